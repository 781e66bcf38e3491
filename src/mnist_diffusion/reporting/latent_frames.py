"""Frames of codecs, of digits asked for in words, and of drawn halves: a row a codec or a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.encoder_reports import DigitsJudged
from mnist_diffusion.reporting.results import NAN, Results

BACK = ("fd_infinity", "second_fd_infinity", "accuracy", "saturated")
"""What of digits that came back is told, the metrics' names."""
PIXELS = 28 * 28
GROUPS = ("held_out", "seen_corners")
ASKED_LOOKS = {"1": ("thin", "left"), "3": ("thick", "right")}
"""What the codes at either end are called, of thickness and of slant."""


def codecs_frame(results: Results) -> pd.DataFrame:
    """Every codec: what it costs real digits, and how much it saves."""
    rows = [
        {
            "codec": name,
            "values": one.values,
            "psnr": one.psnr,
            **_judged(one.back),
            "thickness_bias": one.thickness_bias,
            "slant_error": one.slant_error,
            "high_frequencies": 100 * one.high_frequencies,
            "mflop": one.latent_mflop,
            "cheaper": one.pixel_mflop / one.latent_mflop,
            "decoding_mflop": one.decoding_mflop,
        }
        for name, one in results.codecs.items()
    ]
    return pd.DataFrame(rows)


def real_digits(results: Results) -> dict[str, Any]:
    """The same of the digits as they are, which is the same beside any codec."""
    one = next(iter(results.codecs.values()))
    own = {"codec": "none: pixels", "values": PIXELS, "mflop": one.pixel_mflop, "cheaper": 1.0}
    return own | _judged(one.real)


def _judged(digits: DigitsJudged) -> dict[str, float]:
    """Each score in per cent, and of the distances how sure it is."""
    found = {f"{name}_percent": 100 * getattr(digits, name) for name in BACK}
    assert all(METRICS[name].percent for name in BACK)
    return found | {"fd_infinity_error": 100 * digits.errors["fd_infinity"]}


def clip_frame(results: Results) -> pd.DataFrame:
    """The text and image encoder on test digits, in per cent: one row."""
    found = results.clip.model_dump(exclude={"clip_sha256", "n", "held_out"})
    return pd.DataFrame([{key: 100 * value for key, value in found.items()}])


def prompts_frame(results: Results) -> pd.DataFrame:
    """Every cell that was asked for looks: shares that are so, and what they measure."""
    rows = []
    for name, one in results.adherence.items():
        shares = one.all.model_dump(include={"digit", "thickness", "slant", "everything"})
        row: dict[str, Any] = {
            "cell": name,
            "run": one.run,
            "guidance": one.guidance,
            "n": one.n,
            **{f"{key}_right": _percent(share) for key, share in shares.items()},
            **{group: _percent(getattr(one, group).everything) for group in GROUPS},
        }
        for place, (key, following) in enumerate(
            (("thickness", one.thickness), ("slant", one.slant))
        ):
            row[f"{key}_rank"] = following.rank_correlation
            for code, words in ASKED_LOOKS.items():
                row[words[place]] = _beside_real(following.means.get(code), one.real[key][code])
        rows.append(row)
    return pd.DataFrame(rows)


def _percent(share: float | None) -> float:
    return NAN if share is None else 100 * share


def _beside_real(mean: float | None, real: float) -> str:
    return "n/a" if mean is None else f"{mean:.1f} ({real:.1f})"


def seams_frame(results: Results) -> pd.DataFrame:
    """Every cell that draws halves: the step across the edge, in per cent of the pixels' range."""
    rows = []
    for name, one in results.seams.items():
        drawn, real = np.array(one.drawn), np.array(one.real)
        error = float((drawn - real).std(ddof=1) / len(drawn) ** 0.5)
        rows.append(
            {
                "cell": name,
                "run": one.run,
                "guidance": one.guidance,
                "n": one.n,
                "seam": 100 * float(drawn.mean()),
                "seam_real": 100 * float(real.mean()),
                "seam_excess": 100 * float(drawn.mean() / real.mean() - 1),
                "seam_error": 100 * error / float(real.mean()),
            }
        )
    return pd.DataFrame(rows)
