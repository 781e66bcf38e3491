"""What manifests say of weights, schedules and digits, held against those themselves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, equal, failed
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.diffusion.schedules import Schedule
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.schedule_card import schedule_card
from mnist_diffusion.sampling.draw import trajectory_steps

DIGITS = paths.PREPARED / "train-images.npy", paths.PREPARED / "train-labels.npy"
NOT_KEPT = {"float_sha256"}
"""Digests of what is not on disk, which drawing the set again alone can tell."""


def check(evidence: Evidence, member: Member) -> Findings:
    """The parts of a run's or a set's manifest that repeat what other files say."""
    content = evidence.json(member.manifest)
    run = member.name if member.stage == "train" else content["parameters"]["cell"]["run"]
    folder = paths.model(str(run))
    config = "parameters" if member.stage == "train" else "parameters.training"
    here = {
        **{f"inputs.{key}": value for key, value in _inputs(evidence, member, folder).items()},
        **{f"outputs.{key}": value for key, value in _outputs(evidence, member, content).items()},
        config: evidence.json(folder / checkpoint.CONFIG),
        **(_trained(folder) if member.stage == "train" else _drawn(folder, content)),
    }
    said = _flat(content)
    for key, value in here.items():
        if not equal(said.get(key), value):
            item = f"{member.manifest}: {key}"
            yield failed(item, "not what the files say", value, said.get(key))


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    nested = {
        f"{part}.{key}": v for part in ("inputs", "outputs") for key, v in content[part].items()
    }
    return {**content, **nested, "parameters.training": content["parameters"].get("training")}


def _inputs(evidence: Evidence, member: Member, folder: Path) -> dict[str, str]:
    images, labels = (evidence.content(path) for path in DIGITS)
    if member.stage == "train":
        return {"images_sha256": images, "labels_sha256": labels}
    return {
        **_weights(evidence, folder),
        "train_images_sha256": images,
        "train_labels_sha256": labels,
    }


def _outputs(evidence: Evidence, member: Member, content: dict[str, Any]) -> dict[str, str]:
    if member.stage == "train":
        return _weights(evidence, member.folder)
    keys = set(content["outputs"]) - NOT_KEPT | {f"{k}_sha256" for k in ("images", "labels")}
    return {
        key: evidence.content(member.folder / f"{Path(key).name.removesuffix('_sha256')}.npy")
        for key in sorted(keys)
    }


def _weights(evidence: Evidence, folder: Path) -> dict[str, str]:
    return {
        "weights_sha256": evidence.content(folder / checkpoint.WEIGHTS),
        "betas_sha256": evidence.content(folder / paths.BETAS),
    }


def _schedule(folder: Path) -> Schedule:
    betas = np.load(regular(folder / paths.BETAS), allow_pickle=False)
    return Schedule(torch.from_numpy(betas))


def _trained(folder: Path) -> dict[str, Any]:
    with regular(folder / "history.csv").open(encoding="utf-8", newline="") as file:
        *_, last = csv.DictReader(file)
    return {"schedule": schedule_card(_schedule(folder)), "final_loss": float(last["loss"])}


def _drawn(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The levels that were visited, found again from the betas."""
    schedule, parameters = _schedule(folder), content["parameters"]["cell"]
    path = levels(schedule, parameters["steps"], parameters["spacing"])
    visited = [int(level.t) for level in path]
    return {
        "schedule": {**schedule_card(schedule), "first_step_signal": float(path[0].alpha)},
        "trajectory_timesteps": [visited[k] for k in trajectory_steps(parameters["steps"])],
    }
