"""`mnist-diffusion audit`: which cells, all checks of each, and how the answer is given."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mnist_diffusion.audit import chain, dvc
from mnist_diffusion.audit.chain import REPORT, Evidence, Member
from mnist_diffusion.audit.commits import check_commit
from mnist_diffusion.audit.output import (
    Checked,
    Finding,
    Findings,
    from_there,
    gather,
    print_audit,
    print_json,
)
from mnist_diffusion.audit.signature import SIGNATURE, check_signature, statement, write_signed
from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import limit_instructions
from mnist_diffusion.settings.messages import suggest

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TRACKED = ("train", "distill", "evaluate")
"""The stages whose runs in MLflow are looked at."""

Check = Callable[[Evidence, Member], Findings]


Key = Annotated[Path, typer.Argument(help="A key of ssh-keygen's.", callback=from_there)]
Signers = Annotated[
    Path | None,
    typer.Option(
        "--signature",
        metavar="ALLOWED_SIGNERS",
        help="Who must have signed, as ssh-keygen has it.",
        callback=from_there,
    ),
]


def audit(
    cells: Annotated[list[str] | None, typer.Argument(help="Cells; none: all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All cells of params.yaml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON on stdout.")] = False,
    regenerate: Annotated[int, typer.Option(min=0, help="Draw so many images again.")] = 0,
    deep: Annotated[bool, typer.Option(help="Draw and judge whole sets again.")] = False,
    seed: Annotated[int | None, typer.Option(help="Which images --regenerate draws.")] = None,
    signers: Signers = None,
) -> None:
    """Prove what made the sample sets: exit 0 proven, 1 failed, 2 cannot verify."""
    if every and cells:
        raise UserError("audit: give the names of cells, or --all")
    _limit_instructions()
    auditor = Auditor(regenerate, seed, deep, whole=not cells)
    checked = [auditor.audit(cell) for cell in chosen_cells(cells or ())]
    beside = [auditor.report(), *([signature(signers)] if signers else [])]
    raise typer.Exit((print_json if as_json else print_audit)(checked, *beside))


def sign(key: Key = Path("~/.ssh/id_ed25519")) -> None:
    """Audit everything and, if all of it is proven, sign it for `audit --signature`."""
    content = statement()  # first: what changes during the audit is then not what was signed
    _limit_instructions()
    auditor = Auditor(whole=True)
    if print_audit([auditor.audit(cell) for cell in chosen_cells(())], auditor.report()):
        raise UserError("sign: not all of it is proven, see above; mend that first")
    write_signed(content, key)
    sys.stdout.write(f"{SIGNATURE}: signed\n")


def signature(signers: Path) -> Checked:
    """Everything that was signed, be it part of a stage or not; UserError without signers."""
    if not signers.is_file():
        raise UserError(f"{signers}: not there; name a file of allowed signers, see ssh-keygen(1)")
    findings = gather("signature", "signed", SIGNATURE, partial(check_signature, signers))
    return Checked("signature", [*findings], Counter(signed=1))


def chosen_cells(cells: Iterable[str]) -> list[str]:
    """The cells asked for, each once; if that is none, all. UserError for one that is nowhere."""
    for cell in cells:
        if not NAME.fullmatch(cell) or not paths.samples(cell).exists():
            known = _declared()
            if cell not in known:
                raise UserError(f"{cell!r}: is not in {paths.PARAMS}; {suggest(cell, known)}")
    return list(dict.fromkeys(cells)) or _declared()


def _declared() -> list[str]:
    """The cells of params.yaml, whatever else is wrong with it."""
    cells = read_yaml(paths.PARAMS).get("cells")
    names = [str(name) for name in cells] if isinstance(cells, dict) else []
    if not names or not all(NAME.fullmatch(name) for name in names):
        raise UserError(f"{paths.PARAMS}: cells: no section of named cells; restore it from git")
    return names


def _limit_instructions() -> None:
    """As params.yaml has it, whatever else is wrong with it; else as a stage that cannot say."""
    compute = read_yaml(paths.PARAMS).get("compute")
    wanted = compute.get("instructions") if isinstance(compute, dict) else None
    limit_instructions("native" if wanted == "native" else "avx2")


@dataclass
class Auditor:
    """Audits cells of the repository that is the current folder; what they share, once."""

    regenerate: int = 0
    """Images of each cell to draw again."""
    seed: int | None = None
    """Which; without it, they follow from the cell's manifest."""
    deep: bool = False
    """Run again what drew and judged each cell."""
    whole: bool = False
    """Render the report again; if deep, run again what is shown beside the cells, too."""
    _evidence: Evidence = field(default_factory=Evidence)
    _done: dict[Member, list[tuple[str, list[Finding]]]] = field(default_factory=dict)

    def audit(self, cell: str) -> Checked:
        """Everything about one cell; whatever lies on the disk, this returns."""
        return self._checked(cell, partial(chain.members, cell=cell))

    def report(self) -> Checked:
        """What is shown beside the cells; nothing rests on it."""
        return self._checked(REPORT.address, chain.others)

    def _checked(self, title: str, find: Callable[[Evidence], list[Member]]) -> Checked:
        """All checks of some members; where DVC cannot answer, nothing else is opened."""
        checked = Checked(title)

        def look() -> Findings:
            for member in find(self._evidence):
                if member not in self._done:
                    self._done[member] = list(self._take(member))
                for name, findings in self._done[member]:
                    checked.checks[name] += 1
                    yield from findings

        checked.findings.extend(gather(title, "dvc", paths.LOCK, look))
        return checked

    def _take(self, member: Member) -> Iterator[tuple[str, list[Finding]]]:
        item = member.artifact if member.is_there else member.address
        for name, check in self._steps(member):
            work = partial(check, self._evidence, member)
            yield name, [*gather(member.address, name, item, work)]

    def _steps(self, member: Member) -> Iterator[tuple[str, Check]]:
        """The checks of a member; without the file that says what it made, DVC's alone."""
        yield "dvc", lambda evidence, member: dvc.check(evidence.answer, member.address)
        if member.is_there:
            yield "chain", chain.check_links
            yield "params", chain.check_parameters
        if member.is_there and member.folder:
            yield "manifest", chain.check_manifest
            yield "files", chain.check_files
            if (member.folder / paths.DIGESTS).exists():
                yield "images", chain.check_each_image
        if member.is_there or member == REPORT:
            yield "source", chain.check_source
            yield "commit", check_commit
            yield from self._slow_steps(member)

    def _slow_steps(self, member: Member) -> Iterator[tuple[str, Check]]:
        """What asks MLflow, or does work again; networks are not trained again."""
        from mnist_diffusion.audit.replay import check_again, check_images

        of_a_cell = member.stage.per == "cell"
        if member.stage.name in TRACKED:
            yield "mlflow", chain.check_tracked
        if self.regenerate and of_a_cell and member.folder:
            yield "redrawn", partial(check_images, count=self.regenerate, seed=self.seed)
        if member == REPORT:
            if self.whole or self.deep:
                yield "rendered", check_again
        elif self.deep and (of_a_cell or (self.whole and not member.folder)):
            yield "deep", check_again
