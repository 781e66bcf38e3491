"""`mnist-diffusion audit`: which cells, and how the answer is given."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from mnist_diffusion.audit import printing
from mnist_diffusion.audit.auditor import Auditor
from mnist_diffusion.audit.chain import NAME
from mnist_diffusion.audit.findings import Checked
from mnist_diffusion.audit.redrawing import Choice
from mnist_diffusion.files import jsonfile, paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import limit_instructions
from mnist_diffusion.settings.messages import suggest


def audit(
    cells: Sequence[str] = (),
    all_: bool = False,
    as_json: bool = False,
    regenerate: int = 0,
    deep: bool = False,
    seed: int | None = None,
) -> int:
    """Audit some cells, or all; 0 proven, 1 failed, 2 cannot verify. UserError for no such cell."""
    _limit_instructions()
    choice = Choice(regenerate, seed) if regenerate else None
    auditor = Auditor(choice, whole=deep, rendered=all_ or deep)
    checked = [auditor.audit(cell) for cell in chosen(cells, all_)]
    report = auditor.report()
    code = verdict([*checked, report])
    if as_json:
        sys.stdout.write(jsonfile.to_text(printing.as_json(checked, report, code)))
    else:
        printing.show(checked, report, Console(highlight=False))
    return code


def chosen(cells: Sequence[str], all_: bool) -> list[str]:
    """The cells asked for, each once; UserError if that is none, or one that is nowhere."""
    if all_ == bool(cells):
        raise UserError("audit: give the names of cells, or --all")
    if all_:
        return list(_declared())
    for cell in cells:
        if not NAME.fullmatch(cell) or not paths.samples(cell).exists():
            _require(cell)
    return list(dict.fromkeys(cells))


def verdict(checked: Sequence[Checked]) -> int:
    """The exit code of them all: one that failed outweighs all others."""
    codes = {one.code for one in checked}
    return 1 if 1 in codes else 2 if 2 in codes else 0


def _require(cell: str) -> None:
    known = _declared()
    if cell not in known:
        raise UserError(f"{cell!r}: is not in {paths.PARAMS}; {suggest(cell, known)}")


def _limit_instructions() -> None:
    """As params.yaml has it, whatever else is wrong with it; else as a stage that cannot say."""
    compute = read_yaml(paths.PARAMS).get("compute")
    wanted = compute.get("instructions") if isinstance(compute, dict) else None
    limit_instructions("native" if wanted == "native" else "avx2")


def _declared() -> list[str]:
    """The cells of params.yaml, whatever else is wrong with it."""
    cells = read_yaml(paths.PARAMS).get("cells")
    names = [str(name) for name in cells] if isinstance(cells, dict) else []
    if not names or not all(NAME.fullmatch(name) for name in names):
        raise UserError(f"{paths.PARAMS}: cells: no section of named cells; restore it from git")
    return names
