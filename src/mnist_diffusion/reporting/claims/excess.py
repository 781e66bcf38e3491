"""The claim that too much guidance over-saturates, and from which scale on it does on MNIST."""

from __future__ import annotations

from mnist_diffusion.reporting.claims.claim import (
    Claim,
    Datum,
    Outcome,
    UntestableError,
    by_share,
)
from mnist_diffusion.reporting.claims.contrast import ends
from mnist_diffusion.reporting.claims.select import at_scale, frontier
from mnist_diffusion.reporting.ranking import nearest
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import points, spread

EXCESS = 7.0
"""Above this the source sees over-saturation."""
MORE = 1.1
"""Times what real digits have that is too much."""


def _full(cell: CellResult) -> bool:
    return cell.metrics.pixels.saturated > MORE * cell.metrics.pixels.saturated_real


def _inky(cell: CellResult) -> bool:
    return cell.metrics.pixels.mass > MORE * cell.metrics.pixels.mass_real


def _worse(cell: CellResult, best: CellResult) -> bool:
    return ends(cell, "relative_fd")[0] > ends(best, "relative_fd")[1]


def _excess(results: Results) -> Outcome:
    cells = frontier(results)
    high = [cell for cell in cells if cell.settings.guidance > EXCESS]
    if not high:
        raise UntestableError(f"no guidance scale above {EXCESS:g} is declared")
    best, plain = nearest(cells), at_scale(cells, 1)
    signs = {
        "too many full stroke pixels": [c for c in cells if _full(c)],
        "too much ink": [c for c in cells if _inky(c)],
        f"a worse FD than at s = {best.settings.guidance:g}": [c for c in cells if _worse(c, best)],
    }
    told = "; ".join(f"{sign} {_from_which(those, cells)}" for sign, those in signs.items())
    poor = _from_which([c for c in cells if ends(c, "recall")[1] < ends(plain, "recall")[0]], cells)
    held = sum(all(cell in those for cell in high) for those in signs.values())
    shown = [datum for cell in (plain, *high) for datum in _figures(cell)]
    return Outcome(by_share(held, len(signs)), f"On MNIST: {told}; recall lost {poor}.", shown)


def _from_which(those: list[CellResult], cells: list[CellResult]) -> str:
    """The scale from which on all are among those."""
    start = None
    for cell in reversed(cells):
        if cell not in those:
            break
        start = cell.settings.guidance
    return (
        f"nowhere up to s = {cells[-1].settings.guidance:g}"
        if start is None
        else (f"from s = {start:g} on")
    )


def _figures(cell: CellResult) -> list[Datum]:
    pixels, scale = cell.metrics.pixels, f"s = {cell.settings.guidance:g}"
    full = f"{points(pixels.saturated)} % (real digits: {points(pixels.saturated_real)} %)"
    ink = f"{pixels.mass:.0f} (real digits: {pixels.mass_real:.0f})"
    distance = f"{points(cell.metrics.relative_fd)} % ({spread(ends(cell, 'relative_fd'))})"
    return [
        Datum(f"full stroke pixels, {scale}", full, cell.name),
        Datum(f"ink, {scale}", ink, cell.name),
        Datum(f"relative FD, {scale}", distance, cell.name),
    ]


CLAIMS = [
    Claim(
        "over-guided",
        "Values above 7–8 tend to produce over-saturated, artifact-heavy images.",
        "Classifier-free guidance",
        f"Three signs at every s above {EXCESS:g}: stroke pixels full more than {MORE:g} times as "
        f"often as in real digits, more than {MORE:g} times their ink, and the interval of FD "
        "above that of the best s. It holds if all three are there, fails if none is.",
        _excess,
    )
]
