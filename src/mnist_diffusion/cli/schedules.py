"""The cards of all noise schedules side by side, for people."""

import pandas as pd

from mnist_diffusion.diffusion.schedules import SCHEDULES, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS
from mnist_diffusion.provenance.schedule_card import schedule_card


def schedule_table(timesteps: int, steps: int) -> pd.DataFrame:
    """Every schedule, as it is and with zero terminal SNR; index: its name, columns: the card.

    The last columns hold sqrt(alpha_bar) at the first of `steps` sampling steps, by spacing: the
    signal that a sampler takes for noise.
    """
    rows = {}
    for name, build in SCHEDULES.items():
        schedule = build(timesteps)
        rows[name] = _row(schedule, steps)
        rows[f"{name}, zero terminal SNR"] = _row(zero_terminal_snr(schedule), steps)
    return pd.DataFrame(rows)


def _row(schedule: Schedule, steps: int) -> dict[str, str]:
    shown = schedule_card(schedule)
    shown["betas_sha256"] = str(shown["betas_sha256"])[:12]
    for name, spacing in SPACINGS.items():
        first = schedule.level(spacing(schedule, steps)[0])
        shown[f"signal at the first of {steps} steps, {name}"] = float(first.alpha)
    return {key: _text(value) for key, value in shown.items()}


def _text(value: float | int | str | None) -> str:
    if value is None:
        return "-inf"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
