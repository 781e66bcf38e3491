"""A whole set and its metrics once more, to the last bit of the images before rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.declared import differences
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, note, some, unverified
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.audit.redrawing import compared, rerun, surroundings
from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.evaluation.accuracy import agreement, shares
from mnist_diffusion.evaluation.features import classify, encode
from mnist_diffusion.evaluation.frechet import distances
from mnist_diffusion.evaluation.pixel_scores import pixel_statistics
from mnist_diffusion.evaluation.reference import load_real
from mnist_diffusion.evaluation.scores import scores
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.autoencoder import Autoencoder
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.sampling.draw import draw, labels_for


def check_set(evidence: Evidence, member: Member) -> Findings:
    """Every image, every frame of the trajectories, and what they cost."""
    manifest = evidence.json(member.manifest)
    again = rerun(manifest)
    batches = list(draw(again.denoiser, again.cell, again.sample))
    images = torch.cat([batch.images for batch in batches])
    frames = [to_uint8(f[:, None]) for f in torch.cat([b.trajectory for b in batches], 1)]
    arrays = {
        "images": to_uint8(images),
        "float": images[:, 0].numpy(),
        "labels": labels_for(again.cell.count, again.cell.guidance),
        "trajectory": np.stack(frames),
    }
    path = member.folder / "images.npy"
    stored = np.load(regular(path), allow_pickle=False)
    yield from compared(path, list(range(len(images))), arrays["images"], stored, again.foreign)
    drawn: dict[str, Any] = {f"{key}_sha256": array_digest(a) for key, a in arrays.items()}
    tell = unverified if again.foreign else failed
    for key, expected, found in differences(drawn, manifest["outputs"]):
        yield tell(f"{member.manifest}: outputs.{key}", "not what is drawn", expected, found)
    calls = batches[0].evaluations
    if calls != manifest["network_evaluations"]:
        item, said = f"{member.manifest}: network_evaluations", manifest["network_evaluations"]
        yield failed(item, "not what drawing takes", calls, said)


def check_metrics(evidence: Evidence, member: Member) -> Findings:
    """Every score, of the stored images by the stored judge."""
    report = evidence.json(member.manifest)
    device, foreign = surroundings(report["environment"])
    folder = paths.samples(str(member.name))
    images, labels = (
        np.load(regular(folder / f"{key}.npy"), allow_pickle=False) for key in ("images", "labels")
    )
    scored = _scored(images, torch.from_numpy(labels), device)
    said = {key: _said(report, key) for key in scored}
    tell = unverified if foreign else failed
    wrong = list(differences(scored, said))
    for key, expected, found in wrong:
        cause = f", judged on another {some(foreign)}" if foreign else ""
        yield tell(f"{member.manifest}: {key}", f"not what the judge says{cause}", expected, found)
    if not wrong:
        yield note(member.manifest, "judged again, every score the same")


def _scored(images: NDArray[np.uint8], labels: Tensor, device: torch.device) -> dict[str, Any]:
    """Both networks' scores, by their dotted keys; not the intervals, which follow from them."""
    classifier, _ = checkpoint.load(paths.CLASSIFIER)
    autoencoder = cast(Autoencoder, checkpoint.load(paths.AUTOENCODER)[0])
    pixels, n = to_tensor(images), len(images)
    judged = classify(classifier.to(device), pixels, device)
    second = encode(autoencoder.to(device), pixels, device)
    also = distances(second, load_real(n, "autoencoder").statistics)
    return {
        **scores(judged.features, load_real(n)),
        **{f"second.{key}": value for key, value in also.items()},
        **{f"pixels.{key}": value for key, value in pixel_statistics(images).items()},
        **_agreement(judged.probabilities, labels),
    }


def _agreement(probabilities: Tensor, labels: Tensor) -> dict[str, Any]:
    result = agreement(probabilities, labels) if bool((labels >= 0).all()) else None
    return {
        "accuracy": result["accuracy"] if result else None,
        "accuracy_per_class": result["accuracy_per_class"] if result else None,
        "confusion": result["confusion"] if result else None,
        "confidence": float(probabilities.max(dim=1).values.double().mean()),
        "predicted_per_class": shares(probabilities),
    }


def _said(report: Mapping[str, Any], dotted: str) -> Any:
    part, _, key = dotted.rpartition(".")
    return (report.get(part, {}) if part else report).get(key)
