"""dvc.lock and DVC's cache, held against the files: DVC checks neither by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mnist_diffusion.audit import declared, pipeline
from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.dvcfiles import FOLDER, cache_object, listed, members
from mnist_diffusion.audit.evidence import LOCK, Evidence
from mnist_diffusion.audit.findings import Findings, failed, unverified
from mnist_diffusion.files import paths

SOURCE = Path("src")


def check(evidence: Evidence, member: Member) -> Findings:
    """What the lock says went in and came out of a stage is what is here."""
    yield from check_outs(evidence, member)
    for entry in evidence.lock.get(member.address, {}).get("deps", []):
        yield from _dep(evidence, member, Path(entry["path"]), entry["md5"])


def check_outs(evidence: Evidence, member: Member) -> Findings:
    """The lock has the stage, and what it left is here, and whole in DVC's cache."""
    if not LOCK.is_file():
        yield unverified(LOCK, "not there; `dvc repro` writes it")
        return
    stage = evidence.lock.get(member.address)
    if stage is None:
        yield unverified(f"{LOCK}: {member.address}", "not there; `dvc repro` adds it")
        return
    command = f"mnist-diffusion {member.stage}"
    if stage["cmd"] != command:
        yield failed(f"{LOCK}: {member.address}.cmd", "another command", command, stage["cmd"])
    for entry in stage.get("outs", []):
        yield from _out(evidence, member, Path(entry["path"]), entry["md5"])


def check_source(evidence: Evidence, member: Member) -> Findings:
    """The source that a stage ran, says the lock, is the source here."""
    for entry in evidence.lock.get(member.address, {}).get("deps", []):
        path = Path(entry["path"])
        if path.is_relative_to(SOURCE):
            yield from _dep(evidence, member, path, entry["md5"])


def check_declared(evidence: Evidence, member: Member) -> Findings:
    """The stage is one of dvc.yaml, and the lock has all that it runs, needs and leaves.

    What the lock leaves out would be looked at by nobody.
    """
    stage = evidence.pipeline.get(member.address)
    if stage is None:
        text = "not declared; `mnist-diffusion prune` shows what nothing declares any more"
        yield unverified(f"{pipeline.FILE}: {member.address}", text)
        return
    command = f"mnist-diffusion {member.stage}"
    if stage.command != command:
        item = f"{pipeline.FILE}: {member.address}.cmd"
        yield failed(item, "another command", command, stage.command)
    if member.address not in evidence.lock:
        return
    there = _parts(evidence.lock[member.address])
    for part, due in stage.parts.items():
        for name in sorted(due - there[part]):
            item = f"{LOCK}: {member.address}.{part}: {name}"
            yield unverified(item, f"in {pipeline.FILE}, and not recorded; run `dvc repro`")
        for name in sorted(there[part] - due):
            item = f"{LOCK}: {member.address}.{part}: {name}"
            yield unverified(item, f"not in {pipeline.FILE} any more; run `dvc repro`")


def check_params(evidence: Evidence, member: Member) -> Findings:
    """The params that the lock has are those of params.yaml, and those of the manifest."""
    yield from check_recorded(evidence, member)
    stages = evidence.lock
    values = declared.recorded(stages.get(member.address, {}))
    if member.address in stages and member.stage != "evaluate":
        whole = declared.overlaid(evidence.params, values)
        recorded = declared.parameters(whole, f"{LOCK}: {member.address}", member)
        said = evidence.json(member.manifest)["parameters"]
        for key, expected, found in declared.within("parameters", recorded, said):
            item = f"{member.manifest}: {key}"
            yield failed(item, f"not what {LOCK} recorded", expected, found)


def check_recorded(evidence: Evidence, member: Member) -> Findings:
    """The params that the lock has are those of params.yaml."""
    for key, value in declared.recorded(evidence.lock.get(member.address, {})).items():
        now = declared.look_up(evidence.params, key)
        for inner, then, here in declared.within(key, value, now):
            text = f"no longer what {member.address} was made with; run `dvc repro`"
            yield failed(f"{paths.PARAMS}: {inner}", text, then, here)


def _parts(stage: Mapping[str, Any]) -> dict[str, set[str]]:
    """What the lock has of a stage: paths of deps and outs, dotted keys of params."""
    entries = {part: stage.get(part) or () for part in ("deps", "outs")}
    paths_of = {part: {str(one["path"]) for one in every} for part, every in entries.items()}
    return {**paths_of, "params": {*declared.recorded(stage)}}


def _out(evidence: Evidence, member: Member, path: Path, md5: str) -> Findings:
    yield from _cached(evidence, path, md5)
    if not path.exists():
        yield unverified(path, f"not there; `dvc repro {member.address}` brings it back")
        return
    here = evidence.md5(path)
    if here == md5:
        return
    names = list(_differing(evidence, path, md5))
    for name, expected, found in names:
        yield failed(path / name, f"not what {LOCK} recorded", expected, found)
    if not names:
        yield failed(path, f"not what {LOCK} recorded of {member.address}", md5, here)


def _dep(evidence: Evidence, member: Member, path: Path, md5: str) -> Findings:
    if not path.exists():
        yield unverified(path, f"{member.address} was made from it, and it is not there")
    elif (here := evidence.md5(path)) != md5:
        if path.is_relative_to(SOURCE):
            yield unverified(path, f"{member.address} was made by other source", md5, here)
        else:
            text = f"not what {member.address} was made from, says {LOCK}"
            yield failed(path, text, md5, here)


def _differing(evidence: Evidence, path: Path, md5: str) -> Iterator[tuple[str, str, str]]:
    """The files in which a folder differs from the one recorded, if the cache knows that one."""
    place = cache_object(evidence.cache, md5)
    if not md5.endswith(FOLDER) or not place.is_file():
        return
    here = dict(members(path)) if path.is_dir() else {}
    yield from declared.differences(_listing(place), here)


def _cached(evidence: Evidence, path: Path, md5: str) -> Findings:
    """The cache's own copies, if it has them: DVC trusts those that it made read-only."""
    place = cache_object(evidence.cache, md5)
    if not place.is_file():
        return
    here = evidence.md5(place)
    if here != md5.removesuffix(FOLDER):
        yield failed(place, f"DVC's cached copy of {path} was changed", md5, here)
    elif md5.endswith(FOLDER):
        for name, one in _listing(place).items():
            file = cache_object(evidence.cache, one)
            if file.is_file() and (found := evidence.md5(file)) != one:
                yield failed(file, f"DVC's cached copy of {path / name} was changed", one, found)


def _listing(place: Path) -> dict[str, str]:
    content: Any = json.loads(place.read_text(encoding="utf-8"))
    return listed(content)
