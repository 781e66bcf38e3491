"""All checks of a cell, in the order of its chain; what cells share is checked once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from mnist_diffusion.audit import (
    chain,
    claims,
    commits,
    contents,
    deep,
    details,
    locks,
    manifests,
    pipeline,
    redrawing,
    rendering,
    scores,
    tables,
)
from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.evidence import LOCK, Evidence
from mnist_diffusion.audit.findings import Checked, Finding, Findings, gather
from mnist_diffusion.audit.tracked import STORE, Tracked
from mnist_diffusion.files.paths import PARAMS, TABLES
from mnist_diffusion.reporting.pages import PAGE

Check = Callable[[Evidence, Member], Findings]
Step = tuple[str, object, Check]
"""A check's name, what to name if it stumbles, and the check."""
NAMES = (
    "manifest", "files", "images", "chain", "details", "dvc.yaml", "dvc.lock", "params", "commit",
    "metrics", "tables", "report", "mlflow", "rendered", "redrawn", "deep",
)  # fmt: skip
"""Every check, in the order of the columns that people see."""


class Auditor:
    """Audits cells of the repository that is the current folder."""

    def __init__(
        self,
        choice: redrawing.Choice | None = None,
        whole: bool = False,
        rendered: bool = False,
    ) -> None:
        self._evidence = Evidence()
        self._tracked = Tracked()
        self._choice = choice
        self._whole = whole
        self._rendered = rendered
        self._done: dict[Member, tuple[list[Finding], Counter[str]]] = {}

    def audit(self, cell: str) -> Checked:
        """Everything about one cell; whatever lies on the disk, this returns."""
        checked = Checked(cell)
        counts: Counter[str] = Counter()
        for member in chain.members(self._evidence, cell):
            findings, names = self._member(member)
            checked.findings.extend(findings)
            counts += names
        checked.checks.update({name: counts[name] for name in NAMES if counts[name]})
        return checked

    def report(self) -> Checked:
        """What is shown beside the cells, whose rows of tables are looked at with them."""
        checked = Checked(chain.REPORT.address, checks={"report": 0})
        for member in claims.members(self._evidence):
            work = partial(claims.check, self._evidence, member)
            checked.findings.extend(gather(member.address, "report", LOCK, work))
            checked.checks["report"] += 1
        if self._rendered:
            work = partial(rendering.check, self._evidence)
            checked.findings.extend(gather(chain.REPORT.address, "rendered", PAGE, work))
            checked.checks["rendered"] = 1
        return checked

    def _member(self, member: Member) -> tuple[list[Finding], Counter[str]]:
        if member not in self._done:
            found: list[Finding] = []
            names: Counter[str] = Counter()
            for name, item, check in self._steps(member):
                names[name] += 1
                work = partial(check, self._evidence, member)
                found += gather(member.address, name, item, work)
            self._done[member] = found, names
        return self._done[member]

    def _steps(self, member: Member) -> Iterator[Step]:
        """The checks of a member; without a manifest only those that can tell so."""
        yield "dvc.yaml", pipeline.FILE, locks.check_declared
        yield "dvc.lock", LOCK, locks.check
        if member == chain.FETCH:
            return
        yield "manifest", member.manifest, manifests.check
        if not member.manifest.is_file():
            return
        yield "params", PARAMS, locks.check_params
        yield "chain", member.manifest, chain.check
        yield "commit", member.timing, commits.check
        if member.stage == "evaluate":
            yield from self._judgement(member)
            return
        yield "files", member.manifest, contents.check
        if member.stage in ("train", "sample"):
            yield "details", member.manifest, details.check
        if member.stage == "train":
            yield "mlflow", STORE, self._tracked.check_training
        if member.stage == "sample":
            yield from self._images(member)

    def _judgement(self, member: Member) -> Iterator[Step]:
        yield "metrics", member.manifest, scores.check
        yield "tables", TABLES, tables.check
        yield "mlflow", STORE, self._tracked.check
        if self._whole:
            yield "deep", member.manifest, deep.check_metrics

    def _images(self, member: Member) -> Iterator[Step]:
        yield "images", member.folder, contents.check_images
        if self._choice:
            check = partial(redrawing.check, choice=self._choice)
            yield "redrawn", member.folder, check
        if self._whole:
            yield "deep", member.folder, deep.check_set
