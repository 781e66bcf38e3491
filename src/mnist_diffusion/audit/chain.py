"""What a cell rests on, down to MNIST's own files: each link, its parameters, source and commit."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mnist_diffusion.audit import dvc
from mnist_diffusion.audit.output import Findings, failed, note, some, unverified
from mnist_diffusion.audit.past import Past, past
from mnist_diffusion.dataset import mnist
from mnist_diffusion.files import jsonfile, paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.provenance.schemas.manifest import Timing
from mnist_diffusion.provenance.source import OWN_ROOT, stage_code
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings, parse_settings

SHOWN = 10
"""Digits of a commit that people read."""
NOTHING = "nothing"
"""What stands for a key that is not there."""


@dataclass(frozen=True)
class Member:
    """One stage of a chain, by its name and that of its run or cell."""

    stage: str
    name: str | None = None

    @property
    def address(self) -> str:
        return STAGES[self.stage].address(self.name)

    @property
    def folder(self) -> Path | None:
        """Where it publishes files that a manifest names; None if it has no folder of its own."""
        place = STAGES[self.stage].folder
        return place(self.name or "") if place else None

    @property
    def artifact(self) -> Path:
        """The file that says what it made; KeyError for a stage that has none."""
        if path := STAGES[self.stage].published(self.name):
            return path
        raise KeyError(self.address)

    @property
    def is_there(self) -> bool:
        """Whether it has such a file, and has written it."""
        path = STAGES[self.stage].published(self.name)
        return bool(path and path.is_file())


REPORT = Member("report")
"""It shows all cells, and nothing rests on it."""


class Evidence:
    """What the checks read. Each file is hashed once, however many cells rest on it."""

    def __init__(self) -> None:
        self.content = cache(lambda path: content_digest(self.plain(path)))
        """Content digest of a file."""
        self.json = cache(lambda path: json.loads(self.plain(path).read_text(encoding="utf-8")))
        self.params = cache(lambda: read_yaml(paths.PARAMS))
        self.settings = cache(lambda: parse_settings(self.params(), str(paths.PARAMS)))
        self.code = cache(lambda stage: stage_code(stage, OWN_ROOT))
        """What decides a stage's result, of the source in this folder."""
        self.past = cache(past)

    @property
    def answer(self) -> dvc.Answer:
        """What DVC says of all that is here; it is asked once, and its error is raised again."""
        return self._asked.result()

    @cached_property
    def _asked(self) -> Future[dvc.Answer]:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(dvc.ask)

    def plain(self, path: Path) -> Path:
        """The path, if it is a plain file, or DVC's own link into its cache; else ValueError."""
        linked = any(part.is_symlink() for part in (path, *path.parents))
        if linked and not path.resolve().is_relative_to(self.answer.cache.resolve()):
            raise ValueError(f"{path} is a symbolic link out of what was published")
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is no plain file")
        return path


def members(evidence: Evidence, cell: str) -> list[Member]:
    """The chain of a cell, from the raw digits to its judgement, as dvc.yaml has it."""
    own = {f"sample@{cell}", f"evaluate@{cell}"}
    return _in_order(own | _upstream(evidence.answer, own))


def others(evidence: Evidence) -> list[Member]:
    """The stages that no cell rests on: what is shown beside the cells, and the report."""
    every = evidence.answer.stages
    cells = {address for address in every if STAGES[_member(address).stage].per == "cell"}
    source = {name for name, state in every.items() if all(map(dvc.is_source, state.outs))}
    rest = {*every} - cells - source - _upstream(evidence.answer, cells)
    return _in_order(rest | {REPORT.address})


def _upstream(answer: dvc.Answer, addresses: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(addresses)
    while waiting:
        inputs = answer.makers.get(waiting.pop(), {})
        made = {maker for makers in inputs.values() for maker in makers} - found
        waiting += made
        found |= made
    return found


def _in_order(addresses: Iterable[str]) -> list[Member]:
    order = list(STAGES)
    return sorted(map(_member, addresses), key=lambda m: (order.index(m.stage), m.address))


def _member(address: str) -> Member:
    stage, _, name = address.partition("@")
    return Member(stage, name or None)


def check_links(evidence: Evidence, member: Member) -> Findings:
    """What it says it was made from is all that DVC gives it, and is here."""
    recorded: dict[str, str] = evidence.json(member.artifact)["made_from"]
    inputs = evidence.answer.makers.get(member.address, {})
    due = {dep: _links(dep, made, recorded) for dep, made in inputs.items()}
    for links in due.values():
        if not links & {*recorded}:
            text = f"does not name {' or '.join(sorted(links))}"
            yield failed(f"{member.artifact}: made_from", text)
    for source in sorted(recorded):
        if any(source in links for links in due.values()):
            yield from _link(evidence, member, source, recorded[source])
        else:
            yield failed(f"{member.artifact}: made_from.{source}", "has no part in this stage")


def _links(dep: str, made: Iterable[str], recorded: Iterable[str]) -> set[str]:
    """What may stand for a dependency: manifests behind it, or else its files, or it."""
    manifests = {maker for maker in made if _member(maker).folder}
    return manifests or {one for one in recorded if Path(one).is_relative_to(dep)} or {dep}


def _link(evidence: Evidence, member: Member, source: str, recorded: str) -> Findings:
    """One link, by its address or, where it has no manifest, its path."""
    path = Path(source) if "/" in source else _member(source).artifact
    known = mnist.SHA256.get(path.name, "") if path.parent == paths.RAW else recorded
    if recorded != known:
        yield failed(f"{member.artifact}: made_from.{path}", "not MNIST's file", known, recorded)
    if not path.is_file():
        text = f"not there, and {member.address} was made from it; `dvc repro` brings it back"
        yield unverified(path, text)
    elif (here := evidence.content(path)) != known:
        yield failed(path, f"not the one that {member.address} was made from", known, here)


def check_parameters(evidence: Evidence, member: Member) -> Findings:
    """The parameters are those of params.yaml."""
    yield from _parameters(evidence, member, evidence.settings(), str(paths.PARAMS))


def check_source(evidence: Evidence, member: Member) -> Findings:
    """The source that made it is this folder's, or here it could not be made again."""
    path = paths.code(member.stage) if member == REPORT else member.artifact
    content = evidence.json(path)
    recorded = content if member == REPORT else content["code"]["files"]
    other = [name for name, _, _ in differences(evidence.code(member.stage), recorded)]
    if other:
        yield unverified(f"{path}: code", f"made by other source than is here: {some(other)}")


def check_commit(evidence: Evidence, member: Member) -> Findings:
    """The commit of its sidecar has the parameters and the source that made it."""
    timing = paths.timing(member.stage, member.name)
    if not timing.is_file():
        yield unverified(timing, "not there, so that the commit is unknown")
        return
    sidecar = Timing.model_validate(evidence.json(timing))
    commit = sidecar.git_commit
    if not _is_of_this_run(evidence, member):
        text = "of another run; DVC took this one from its cache, so that the commit is unknown"
        yield note(timing, text)
    elif not commit:
        yield unverified(f"{timing}: git_commit", "made outside of git")
    elif sidecar.git_dirty is not False:
        text = f"made with changes not in commit {commit[:SHOWN]}, which says nothing then"
        yield note(f"{timing}: git_dirty", text)
    elif member == REPORT:  # pages have no place for what made them
        return
    elif there := evidence.past(commit):
        yield from _as_committed(evidence, member, there, commit[:SHOWN])
    else:
        text = f"no commit {commit[:SHOWN]} with a {paths.PARAMS} here; fetch it"
        yield unverified(f"{timing}: git_commit", text)


def untimed(evidence: Evidence) -> list[str]:
    """The stages whose sidecar is of another run than what is here."""
    there = [member for member in _in_order(evidence.answer.stages) if member.is_there]
    timed = [member for member in there if paths.timing(member.stage, member.name).is_file()]
    return [member.address for member in timed if not _is_of_this_run(evidence, member)]


def _is_of_this_run(evidence: Evidence, member: Member) -> bool:
    sidecar = evidence.json(paths.timing(member.stage, member.name))
    digest = None if member == REPORT else evidence.content(member.artifact)
    return bool(sidecar.get("manifest_sha256") == digest)


def _as_committed(evidence: Evidence, member: Member, there: Past, commit: str) -> Findings:
    where = f"{paths.PARAMS} at {commit}"
    try:
        keys = evidence.answer.stages[member.address].params
        settings = there.settings_of(keys, evidence.params())
    except UserError as error:
        yield unverified(where, f"this version cannot read it: {error}")
        return
    yield from _parameters(evidence, member, settings, where)
    recorded = evidence.json(member.artifact)["code"]["files"]
    other = [name for name, _, _ in differences(there.code.get(member.stage, {}), recorded)]
    if other:
        text = f"not the source of commit {commit}: {some(other)}"
        yield failed(f"{member.artifact}: code", text)


def _parameters(evidence: Evidence, member: Member, settings: Settings, where: str) -> Findings:
    """Held against settings; a report names a few of its parameters, among its results."""
    content = evidence.json(member.artifact)
    module = importlib.import_module(f"mnist_diffusion.stages.{member.stage}")
    chosen = module.parameters(settings, *filter(None, [member.name]))
    due = {"parameters": json.loads(jsonfile.to_text(chosen))}
    if "parameters" not in content:
        plain = {k: v for k, v in due["parameters"].items() if not isinstance(v, dict | list)}
        due = {key: value for key, value in plain.items() if key in content}
    for key, expected, found in differences(due, {key: content[key] for key in due}):
        yield failed(f"{member.artifact}: {key}", f"not {where}", expected, found)


def differences(
    expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """The innermost dotted keys in which two mappings differ, with both values."""
    for key in dict.fromkeys([*expected, *found]):
        mine, theirs = expected.get(key, NOTHING), found.get(key, NOTHING)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            yield from ((f"{key}.{k}", one, other) for k, one, other in differences(mine, theirs))
        elif mine != theirs or isinstance(mine, bool) != isinstance(theirs, bool):
            yield key, mine, theirs
