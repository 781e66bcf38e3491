"""The smaller frames, each of one kind of report: a row a point, a pair, a cell or a codec.

Shares and distances are in per cent; NaN where there is no value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mnist_diffusion.evaluation.quantities import mean, share_of
from mnist_diffusion.provenance.schemas.cell_reports import PairedComparison
from mnist_diffusion.provenance.schemas.encoder_reports import (
    AdherenceReport,
    DigitsJudged,
    Obedience,
)
from mnist_diffusion.provenance.schemas.rank_report import RankDisagreement, RankedCell, RanksReport
from mnist_diffusion.reporting.labels import ends_text, points
from mnist_diffusion.reporting.results import NAN, Results, in_percent
from mnist_diffusion.reporting.tables import LACKING

TINY = 1e-6
"""A smaller probability is of tails that nobody knows."""
BACK = ("fd_infinity", "second_fd_infinity", "accuracy", "saturated")
"""What of digits that came back is told, the metrics' names."""
PIXELS = 28 * 28
RIGHT = ("digit", "thickness", "slant", "everything")
ASKED_LOOKS = {"thickness": {"1": "thin", "3": "thick"}, "slant": {"1": "left", "3": "right"}}
"""What the codes at either end are called."""


def fd_curves_frame(results: Results) -> pd.DataFrame:
    """Every run along its training."""
    points = ((run, point) for run, curve in results.fd_curves.items() for point in curve.points)
    rows = [(run, p.step, p.images, 100 * p.relative_fd) for run, p in points]
    return pd.DataFrame(rows, columns=["run", "step", "images", "relative_fd_percent"])


def comparisons_frame(results: Results) -> pd.DataFrame:
    """Every paired comparison, in points of a per cent."""
    compared = results.compared.comparisons
    frame = pd.DataFrame([dict(one) for one in compared], columns=[*PairedComparison.model_fields])
    return frame.assign(
        difference=100 * frame["difference"],
        error=100 * frame["error"],
        ratio_low=[one.ratio[0] if one.ratio else NAN for one in compared],
        ratio_high=[one.ratio[1] if one.ratio else NAN for one in compared],
        p_shown=[f"{p:.2g}" if p >= TINY else f"< {TINY:.0e}" for p in frame["p_adjusted"]],
        low=[100 * one.interval[0] for one in compared],
        high=[100 * one.interval[1] for one in compared],
    )


def ranks_frame(report: RanksReport) -> pd.DataFrame:
    """Every cell in the order of the main judge, with what the others make of it."""
    main, *others = report.judges
    by_cell: dict[str, dict[str, RankedCell]] = {}
    for one in report.cells:
        by_cell.setdefault(one.cell, {})[one.judge] = one
    rows = [
        {
            "cell": cell,
            "rank": own[main].rank,
            "fd_infinity_percent": 100 * own[main].fd_infinity,
            "by_others": "; ".join(_rank(own[judge]) for judge in others),
            "rank_range": max(x.rank for x in own.values()) - min(x.rank for x in own.values()),
        }
        for cell, own in by_cell.items()
    ]
    return pd.DataFrame(rows)


def _rank(one: RankedCell) -> str:
    read = "" if one.accuracy is None else f", {100 * one.accuracy:.1f} % read right"
    return f"{one.judge}: {one.rank}, {100 * one.fd_infinity:.2f} %{read}"


def disagreements_frame(report: RanksReport) -> pd.DataFrame:
    """Every two cells of which judges say the opposite, with both their differences, in points."""
    rows = [
        {"cell": one.cell, "other": one.other, "nearer_by": _by(one, -1), "farther_by": _by(one, 1)}
        for one in report.disagreements
    ]
    return pd.DataFrame(rows)


def _by(one: RankDisagreement, sign: int) -> str:
    """The judges whose difference has this sign, each with its standard error."""
    return "; ".join(
        f"{judge} {100 * difference:+.2f} ± {100 * one.errors[judge]:.2f}"
        for judge, difference in one.differences.items()
        if sign * difference > 0
    )


def codecs_frame(results: Results) -> pd.DataFrame:
    """First real digits as they are; every codec: what it costs them, and how much it saves."""
    one = next(iter(results.codecs.values()))
    real = {"codec": "none: pixels", "values": PIXELS, "mflop": one.pixel_mflop, "cheaper": 1.0}
    rows = [
        {
            "codec": name,
            **one.model_dump(include={"values", "psnr", "thickness_bias", "slant_error"}),
            **_judged(one.back),
            "high_frequencies": 100 * one.high_frequencies,
            "mflop": one.latent_mflop,
            "cheaper": one.pixel_mflop / one.latent_mflop,
            "decoding_mflop": one.decoding_mflop,
        }
        for name, one in results.codecs.items()
    ]
    return pd.DataFrame([real | _judged(one.real), *rows])


def _judged(digits: DigitsJudged) -> dict[str, float]:
    """Each score in per cent, and of the distances how sure it is."""
    found = {f"{name}_percent": 100 * getattr(digits, name) for name in BACK}
    return found | {"fd_infinity_error": 100 * digits.errors["fd_infinity"]}


def clip_frame(results: Results) -> pd.DataFrame:
    """The text and image encoder on test digits, in per cent: one row."""
    found = results.clip.model_dump(exclude={"clip_sha256", "n", "held_out"})
    return pd.DataFrame([{key: 100 * value for key, value in found.items()}])


def prompts_frame(results: Results) -> pd.DataFrame:
    """Every cell that was asked for looks: shares that are so, and what they measure."""
    level = results.settings.evaluate.level
    rows = [
        {
            **{"cell": name, "guidance": one.guidance, "n": one.n},
            **{f"{key}_right": in_percent(getattr(one.all, key)) for key in RIGHT},
            "held_out": in_percent(one.held_out.everything),
            "seen_corners": in_percent(one.seen_corners.everything),
            "everything": _share_text(one.all, level),
            "held_out_text": _share_text(one.held_out, level),
            "seen_text": _share_text(one.seen_corners, level),
            **dict(_followed(one)),
        }
        for name, one in results.adherence.items()
    ]
    return pd.DataFrame(rows)


def _followed(one: AdherenceReport) -> Iterator[tuple[str, Any]]:
    """How well each look follows what is asked; at its ends, the mean beside that of real ones."""
    for key, looks in ASKED_LOOKS.items():
        following = getattr(one, key)
        yield f"{key}_rank", following.rank_correlation
        for code, word in looks.items():
            drawn = following.means.get(code)
            yield word, LACKING if drawn is None else f"{drawn:.1f} ({one.real[key][code]:.1f})"


def looks_kept(results: Results) -> str:
    """How many real digits still are all that is asked of them after each codec."""
    level = results.settings.evaluate.level
    kept = [
        f"{name} {_share_text(one.looks.all, level)}, of the combinations never trained together "
        f"{_share_text(one.looks.held_out, level)}"
        for name, one in results.codecs.items()
    ]
    return (
        f"In brackets {100 * level:.0f} % intervals, over images of one training each. Real test "
        f"digits that went through a codec still are all that a prompt for them asks, in %: "
        f"{'; '.join(kept)}."
    )


def _share_text(group: Obedience, level: float) -> str:
    """A share in per cent with its interval, over images (Agresti & Coull 1998)."""
    if group.everything is None:
        return LACKING
    low, high = share_of(group.everything, group.n).interval(level)
    return f"{points(group.everything)} ({ends_text((max(low, 0.0), min(high, 1.0)))})"


def seams_frame(results: Results) -> pd.DataFrame:
    """Every cell that draws halves: the step across the edge, in per cent of the pixels' range."""
    rows = []
    for name, one in results.seams.items():
        drawn, real = np.array(one.drawn), np.array(one.real)
        rows.append(
            {
                **{"cell": name, "guidance": one.guidance, "n": one.n},
                "seam": 100 * drawn.mean(),
                "seam_real": 100 * real.mean(),
                "seam_excess": 100 * (drawn.mean() / real.mean() - 1),
                "seam_error": 100 * mean(drawn - real).error / real.mean(),
            }
        )
    return pd.DataFrame(rows)
