"""Rules for claims of sampling and of classifier-free guidance."""

from __future__ import annotations

import numpy as np

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.reporting.claims import (
    DISPUTED,
    ClaimOutcome,
    Contrast,
    Datum,
    UntestableError,
    Verdict,
    Views,
    agreed,
    at_scale,
    by_conditions,
    by_each,
    by_guidance,
    by_sampler,
    by_share,
    ends,
    measured,
    views,
)
from mnist_diffusion.reporting.labels import points
from mnist_diffusion.reporting.results import CellResult, Cells, Results, highest, lowest

SOURCE_STEPS = 1000
MARGIN = 0.1
"""A loss of this share of the baseline's relative FD is little."""
CHEAP = 20
"""Times fewer network evaluations that would make the long way pointless."""
EXCESS = 7.0
"""Above this guidance scale the source sees over-saturation."""
MORE = 1.1
"""Times what real digits have that is too much."""
UNCLEAR = "an unclear amount"


def _ancestral(results: Results) -> CellResult:
    return by_sampler(results, "ddpm", SOURCE_STEPS, SOURCE_STEPS)[0]


def ddim_steps(results: Results) -> ClaimOutcome:
    """DDIM in 20 to 50 steps against DDPM in 1,000."""
    base = _ancestral(results)
    cells = by_sampler(results, "ddim", 20, 50)
    seen = [views(results, cell, base) for cell in cells]
    losses = [_loss(one) for one in seen]
    verdict = by_share(losses.count("little"), len(losses))
    if set(losses) == {UNCLEAR}:
        verdict = Verdict.UNTESTED
    elif verdict is Verdict.FAILS and set(losses) != {"more"}:
        verdict = Verdict.DEPENDS
    margin = f"{points(MARGIN * base.score('fd_infinity'))} points"
    reason = f"{'; '.join(map(_loss_in_words, seen))}. Little by the classifier: below {margin}."
    return ClaimOutcome(verdict, reason, [measured(base), *(one for v in seen for one in v.data())])


def _loss(seen: Views) -> str:
    """Whether a sampler loses little, much, or cannot be told; or networks that disagree."""
    return agreed(_lost(seen.classifier), _lost(seen.autoencoder))


def _lost(contrast: Contrast) -> str:
    margin = MARGIN * contrast.baseline.score(contrast.metric)
    if contrast.high <= margin:
        return "little"
    return "more" if contrast.low > margin else UNCLEAR


def _loss_in_words(seen: Views) -> str:
    lost = _loss(seen)
    if lost == DISPUTED:
        lost = by_each(_lost(seen.classifier), _lost(seen.autoencoder))
    return f"{seen.classifier.cell.settings.steps} steps lose {lost}"


def higher_order(results: Results) -> ClaimOutcome:
    """DPM-Solver++ against DDIM of at least twice its network evaluations."""
    fast = by_sampler(results, "dpm-solver-2", 1, 25)
    conditions, data = {}, list[Datum]()
    for cell in by_sampler(results, "ddim", 20, 50):
        halved = [c for c in fast if 2 * c.evaluations <= cell.evaluations]
        seen = [views(results, c, cell) for c in halved]
        words = f"no worse than DDIM in {cell.settings.steps} steps for half its evaluations"
        conditions[words] = any(not one.any_worse for one in seen)
        data += [datum for one in seen for datum in one.data()]
    return by_conditions(conditions, data)


def thousand_passes(results: Results) -> ClaimOutcome:
    """Network evaluations, counted while drawing."""
    cell = _ancestral(results)
    counted = f"{cell.evaluations:,}"
    data = [Datum("network evaluations an image", counted, cell.name)]
    return by_conditions({f"counted {counted}": cell.evaluations == SOURCE_STEPS}, data)


def too_slow(results: Results) -> ClaimOutcome:
    """Every much cheaper sampler against the long way."""
    base = _ancestral(results)
    cheap = [c for c in results.chosen("samplers") if CHEAP * c.evaluations <= base.evaluations]
    seen = [views(results, cell, base) for cell in cheap]
    as_good = [one for one in seen if not one.any_worse]
    close = [one for one in seen if one not in as_good and _loss(one) != "more"]
    verdict = Verdict.HOLDS if as_good else Verdict.DEPENDS if close else Verdict.FAILS
    reason = (
        f"{len(as_good)} of {len(seen)} ways with at most 1/{CHEAP} of the network evaluations are "
        f"not worse than DDPM in {SOURCE_STEPS:,} steps under either feature extractor."
    )
    shown = sorted(seen, key=lambda one: one.classifier.difference)[:3]
    return ClaimOutcome(verdict, reason, [datum for one in shown for datum in one.data()])


def coarse_first(results: Results) -> ClaimOutcome:
    """The path of the headline's first images, by frequency."""
    cell = results.headline
    frames = np.asarray(cell.trajectory)
    coarse, fine = settled(frames, 0, 3), settled(frames, 7, 20)
    data = [
        Datum("up to 3 cycles an image", f"{100 * coarse:.0f} % of the steps", cell.name),
        Datum("more than 7 cycles an image", f"{100 * fine:.0f} % of the steps", cell.name),
    ]
    words = f"coarse shapes settle after {100 * coarse:.0f} % of the steps, details after "
    return by_conditions({f"{words}{100 * fine:.0f} %": coarse < fine}, data)


def settled(frames: np.ndarray, low: float, high: float) -> float:
    """Share of the way after which frequencies between two bounds look like the end's.

    frames: (steps + 1, k, 28, 28); cycles an image. Alike: a mean correlation of at least a half.
    """
    spectra = np.fft.fft2(frames.astype(np.float64) / 255)
    cycles = np.hypot(*np.meshgrid(*[np.fft.fftfreq(28, 1 / 28)] * 2))
    band = np.fft.ifft2(spectra * ((cycles > low) & (cycles <= high))).real
    flat = band.reshape(*band.shape[:2], -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-12)
    alike = (flat * flat[-1]).sum(axis=2).mean(axis=1)
    below = np.flatnonzero(alike < 0.5)
    return float((below[-1] + 1 if len(below) else 0) / (len(frames) - 1))


def label_dropout(results: Results) -> ClaimOutcome:
    """One run at s = 1 and s = 0, the latter against a run trained without labels."""
    cells = by_guidance(results)
    plain, unlabelled = at_scale(cells, 1), at_scale(cells, 0)
    mine = unlabelled.run.settings
    alike = [
        cell
        for cell in results.chosen("schedules")
        if cell.run.settings.conditioning == "uncond"
        and (cell.run.settings.schedule, cell.run.settings.network) == (mine.schedule, mine.network)
    ]
    if not alike:
        raise UntestableError("no unconditional run of the same schedule is declared")
    contrast = views(results, unlabelled, alike[0])
    same_loss = mine.weighting == alike[0].run.settings.weighting
    conditions = {
        "with the label the digit asked for comes in most images": ends(plain, "accuracy")[0] > 0.5,
        "without it FD is no worse than of a run trained without labels": not contrast.any_worse,
    }
    data = [measured(plain, "accuracy"), *contrast.data()]
    dropped = f"{100 * results.settings.train.label_dropout:g} % of labels dropped"
    return by_conditions(conditions, data, f"{dropped}{'' if same_loss else '; other losses'}.")


def guidance_ends(results: Results) -> ClaimOutcome:
    """Labels, network evaluations and accuracy of the cells at both ends."""
    cells = by_guidance(results)
    nothing, plain = at_scale(cells, 0), at_scale(cells, 1)
    conditions = {
        "s = 0 asks for no digit": bool((nothing.labels == -1).all()),
        "s = 0 evaluates one network a step": _calls(nothing) == 1,
        "s = 1 evaluates one network a step": _calls(plain) == 1,
        "s = 1 draws the digit asked for more often than chance": ends(plain, "accuracy")[0] > 0.1,
    }
    data = [
        Datum(f"evaluations an image, {_s(cell)}", f"{cell.evaluations:,}", cell.name)
        for cell in cells[:4]
    ]
    return by_conditions(conditions, [*data, measured(plain, "accuracy", "accuracy, s = 1")])


def guidance_twice(results: Results) -> ClaimOutcome:
    """Network evaluations a step, counted while drawing."""
    cells = [cell for cell in by_guidance(results) if cell.settings.guidance not in (0, 1)]
    data = [Datum(f"evaluations a step, {_s(c)}", f"{_calls(c):g}", c.name) for c in cells]
    return by_conditions({f"twice at {_s(cell)}": _calls(cell) == 2 for cell in cells}, data)


def guidance_trade(results: Results) -> ClaimOutcome:
    """Accuracy at its highest and recall at the largest s, against s = 1."""
    cells = by_guidance(results)
    plain, strong = at_scale(cells, 1), cells[-1]
    certain = highest([cell for cell in cells if cell.asked], "accuracy")
    conditions = {
        "accuracy rises with s": ends(certain, "accuracy")[0] > ends(plain, "accuracy")[1],
        f"recall falls by {_s(strong)}": ends(strong, "recall")[1] < ends(plain, "recall")[0],
    }
    data = [
        measured(cell, metric, f"{metric}, {_s(cell)}")
        for metric, pair in (("accuracy", (plain, certain)), ("recall", (plain, strong)))
        for cell in pair
    ]
    return by_conditions(conditions, data)


def photo_range(results: Results) -> ClaimOutcome:
    """Where MNIST's own optimum lies."""
    best = lowest(by_guidance(results))
    reason = f"MNIST has no photographs. For its digits relative FD is lowest at {_s(best)}."
    return ClaimOutcome(Verdict.UNTESTED, reason, [measured(best)])


def over_guided(results: Results) -> ClaimOutcome:
    """Full pixels, ink and FD at every large s."""
    cells = by_guidance(results)
    high = [cell for cell in cells if cell.settings.guidance > EXCESS]
    if not high:
        raise UntestableError(f"no guidance scale above {EXCESS:g} is declared")
    best, plain = lowest(cells), at_scale(cells, 1)
    top, poor = ends(best, "fd_infinity")[1], ends(plain, "recall")[0]
    signs = {
        "too many full stroke pixels": [c for c in cells if _exceeds(c, "saturated")],
        "too much ink": [c for c in cells if _exceeds(c, "mass")],
        f"a worse FD than at {_s(best)}": [c for c in cells if ends(c, "fd_infinity")[0] > top],
    }
    conditions = {
        f"{sign} ({_from_which(those, cells)})": all(cell in those for cell in high)
        for sign, those in signs.items()
    }
    lost = _from_which([c for c in cells if ends(c, "recall")[1] < poor], cells)
    data = [datum for cell in (plain, *high) for datum in _excess_data(cell)]
    return by_conditions(conditions, data, f"Recall is lost {lost}.")


def _exceeds(cell: CellResult, metric: str) -> bool:
    return cell.score(metric) > MORE * (METRICS[metric].of_real(cell.metrics) or 0)


def _from_which(those: Cells, cells: Cells) -> str:
    """The scale from which on all are among those."""
    start = None
    for cell in reversed(cells):
        if cell not in those:
            break
        start = cell
    return f"from {_s(start)} on" if start else f"nowhere up to {_s(cells[-1])}"


def _excess_data(cell: CellResult) -> list[Datum]:
    pixels = cell.metrics.pixels
    full = f"{points(pixels.saturated)} % (real digits: {points(pixels.saturated_real)} %)"
    ink = f"{pixels.mass:.0f} (real digits: {pixels.mass_real:.0f})"
    return [
        Datum(f"full stroke pixels, {_s(cell)}", full, cell.name),
        Datum(f"ink, {_s(cell)}", ink, cell.name),
        measured(cell, label=f"relative FD, {_s(cell)}"),
    ]


def _s(cell: CellResult) -> str:
    return f"s = {cell.settings.guidance:g}"


def _calls(cell: CellResult) -> float:
    return cell.evaluations / cell.settings.steps
