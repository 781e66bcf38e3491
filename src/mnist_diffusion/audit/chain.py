"""What a cell rests on, down to MNIST's own files: each link, its files, parameters and source."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from mnist_diffusion.audit import dvc
from mnist_diffusion.audit.output import NAMED, Findings, failed, gather, note, some, unverified
from mnist_diffusion.dataset import mnist
from mnist_diffusion.files import jsonfile, paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.pipeline import STAGES, Stage, parse_address
from mnist_diffusion.provenance.digests import content_digest, image_digests
from mnist_diffusion.provenance.schemas.manifest import Manifest
from mnist_diffusion.provenance.source import OWN_ROOT, stage_code
from mnist_diffusion.runtime.errors import in_one_line
from mnist_diffusion.settings import parse_settings

NOTHING = "nothing"
"""What stands for a key that is not there."""


@dataclass(frozen=True)
class Member:
    """One stage of a chain, and the name of its run or cell."""

    stage: Stage
    name: str | None = None

    @property
    def address(self) -> str:
        return self.stage.address(self.name)

    @property
    def folder(self) -> Path | None:
        """Where it publishes files that a manifest names; None if it has no folder of its own."""
        return self.stage.folder(self.name or "") if self.stage.folder else None

    @property
    def artifact(self) -> Path:
        """The file that says what it made; KeyError for a stage that has none."""
        if path := self.stage.published(self.name):
            return path
        raise KeyError(self.address)

    @property
    def is_there(self) -> bool:
        """Whether it has such a file, and has written it."""
        path = self.stage.published(self.name)
        return bool(path and path.is_file())


REPORT = Member(STAGES["report"])
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

    def digits(self, folder: Path) -> mnist.Digits:
        """The images of a sample set, and their labels."""
        files = (self.plain(folder / f"{part}.npy") for part in mnist.Digits._fields)
        return mnist.Digits(*(np.load(file, allow_pickle=False) for file in files))


def members(evidence: Evidence, cell: str) -> list[Member]:
    """The chain of a cell, from the raw digits to its judgement, as dvc.yaml has it."""
    own = {f"sample@{cell}", f"evaluate@{cell}"}
    return in_order(own | _upstream(evidence.answer, own))


def others(evidence: Evidence) -> list[Member]:
    """The stages that no cell rests on: what is shown beside the cells, and the report."""
    every = evidence.answer.stages
    cells = {address for address in every if parse_address(address)[0].per == "cell"}
    source = {name for name, state in every.items() if all(map(dvc.is_source, state.outs))}
    rest = {*every} - cells - source - _upstream(evidence.answer, cells)
    return in_order(rest | {REPORT.address})


def _upstream(answer: dvc.Answer, addresses: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(addresses)
    while waiting:
        inputs = answer.makers.get(waiting.pop(), {})
        made = {maker for makers in inputs.values() for maker in makers} - found
        waiting += made
        found |= made
    return found


def in_order(addresses: Iterable[str]) -> list[Member]:
    """Stages by their addresses, in the order of the pipeline."""
    order, found = list(STAGES), (Member(*parse_address(address)) for address in addresses)
    return sorted(found, key=lambda member: (order.index(member.stage.name), member.address))


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
    manifests = {maker for maker in made if parse_address(maker)[0].folder}
    return manifests or {one for one in recorded if Path(one).is_relative_to(dep)} or {dep}


def _link(evidence: Evidence, member: Member, source: str, recorded: str) -> Findings:
    """One link, by its address or, where it has no manifest, its path."""
    path = Path(source) if "/" in source else Member(*parse_address(source)).artifact
    known = mnist.SHA256.get(path.name, "") if path.parent == paths.RAW else recorded
    if recorded != known:
        yield failed(f"{member.artifact}: made_from.{path}", "not MNIST's file", known, recorded)
    if not path.is_file():
        text = f"not there, and {member.address} was made from it; `dvc repro` brings it back"
        yield unverified(path, text)
    elif (here := evidence.content(path)) != known:
        yield failed(path, f"not the one that {member.address} was made from", known, here)


def check_manifest(evidence: Evidence, member: Member) -> Findings:
    """The manifest is of the known shape, and this stage's."""
    path, content = member.artifact, evidence.json(member.artifact)
    try:
        Manifest.model_validate(content)
    except ValidationError as error:
        for one in error.errors():
            key = ".".join(str(part) for part in one["loc"])
            yield failed(f"{path}: {key}", one["msg"], found=one["input"])
    for key, due in (("stage", member.stage.name), ("name", member.name)):
        if content.get(key) != due:
            yield failed(f"{path}: {key}", "is another's", due, content.get(key))


def check_files(evidence: Evidence, member: Member) -> Findings:
    """Every file that the manifest names is here, and of that content; DVC finds others."""
    for name, digest in sorted(evidence.json(member.artifact)["files"].items()):
        if _is_own(member, name):
            check = partial(_check_file, evidence, Path(name), digest)
            yield from gather(member.address, "files", name, check)
        else:
            yield failed(f"{member.artifact}: files.{name}", f"no file of {member.address}")


def _check_file(evidence: Evidence, path: Path, digest: str) -> Findings:
    if (here := evidence.content(path)) != digest:
        yield failed(path, "not what was published", digest, here)


def _is_own(member: Member, name: str) -> bool:
    """Whether a path is plain, and one of those that the stage writes."""
    report = member.stage.report
    inside = name == os.path.normpath(name) and Path(name).is_relative_to(member.folder or "")
    return "\0" not in name and (inside or bool(report and Path(name) == report("")))


def check_each_image(evidence: Evidence, member: Member) -> Findings:
    """Each image, with its place and its label, is the one that was published there."""
    folder = member.artifact.parent
    images, labels = evidence.digits(folder)
    published = evidence.plain(folder / paths.DIGESTS).read_text(encoding="ascii").splitlines()
    if not len(images) == len(labels) == len(published):
        counts = f"{len(images)} images, {len(labels)} labels"
        yield failed(folder / "images.npy", "another number", len(published), counts)
        return
    here = image_digests(images, labels)
    wrong = [k for k, digest in enumerate(published) if digest != here[k]]
    for k in wrong[:NAMED]:
        item = f"{folder / 'images.npy'}: image {k}"
        yield failed(item, "not what was published there", published[k], here[k])
    if wrong[NAMED:]:
        rest = f"{len(wrong) - NAMED} more images are not what was published there"
        yield failed(folder / "images.npy", rest)


def check_parameters(evidence: Evidence, member: Member) -> Findings:
    """The parameters are those of params.yaml.

    A report names a few of its parameters, among its results.
    """
    content = evidence.json(member.artifact)
    module = importlib.import_module(f"mnist_diffusion.stages.{member.stage.name}")
    chosen = module.parameters(evidence.settings(), *filter(None, [member.name]))
    due = {"parameters": json.loads(jsonfile.to_text(chosen))}
    if "parameters" not in content:
        plain = {k: v for k, v in due["parameters"].items() if not isinstance(v, dict | list)}
        due = {key: value for key, value in plain.items() if key in content}
    for key, expected, found in differences(due, {key: content[key] for key in due}):
        yield failed(f"{member.artifact}: {key}", f"not {paths.PARAMS}", expected, found)


def check_source(evidence: Evidence, member: Member) -> Findings:
    """The source that made it is this folder's, or here it could not be made again."""
    path = paths.code(member.stage.name) if member == REPORT else member.artifact
    content = evidence.json(path)
    recorded = content if member == REPORT else content["code"]["files"]
    other = [name for name, _, _ in differences(evidence.code(member.stage.name), recorded)]
    if other:
        yield unverified(f"{path}: code", f"made by other source than is here: {some(other)}")


def check_tracked(evidence: Evidence, member: Member) -> Findings:
    """Its run in MLflow, which may be missing, and may not contradict the files."""
    from mnist_diffusion.tracking.sync import mlflow_differences

    sync = "run `mnist-diffusion track --sync`"
    try:
        seen = mlflow_differences(member.stage.name, str(member.name))
    except Exception as error:
        yield note("MLflow", f"cannot be asked: {in_one_line(error)}")
        return
    if seen is None:
        yield note("MLflow", f"has no finished run of {member.address}, as it is here; {sync}")
        return
    for kind, key, expected, found in seen[1]:
        item = f"MLflow: run {seen[0][:8]}, {kind} {key}"
        yield failed(item, f"contradicts the files of {member.address}; {sync}", expected, found)


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
