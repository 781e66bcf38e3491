"""Train on synthetic, test on real, at the size of MNIST itself.

The stage `tstr` holds cells against one another at a thousand digits or two, where the number of
digits sets the limit. At 50,000 what is drawn sets it, and others have published a figure:
99.0 % (https://github.com/VSehwag/minimal-diffusion).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from mnist_diffusion.dataset.mnist import CLASSES, Digits
from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.features import classify, load_cell
from mnist_diffusion.evaluation.transfer import over_seeds
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.digests import array_digest, arrays_digest, json_digest
from mnist_diffusion.provenance.environment import environment, rounding
from mnist_diffusion.provenance.schemas.yardsticks import TstrYardstick
from mnist_diffusion.provenance.source import stage_code
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import exclusive_lock
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import draw
from mnist_diffusion.sampling.wishes import labels_for
from mnist_diffusion.settings import ResolvedCell, Settings, SharedSampling, load_settings
from mnist_diffusion.settings.messages import suggest
from mnist_diffusion.training.supervised import trained_classifier
from mnist_diffusion.yardsticks.publishing import publish


def tstr(cell_name: str | None, count: int, seeds: int) -> TstrYardstick:
    """Teach classifiers by digits of a cell, or of the headline, and by as many real ones.

    The judge's own network and recipe, from scratch. Killed, it goes on from the digits drawn and
    the classifiers trained so far; both are kept, so that more seeds need no drawing.
    """
    settings = load_settings()
    name = cell_name or settings.report.headline
    cell = _asked(settings, name, count)
    device = configure(settings.compute)
    denoiser = load_denoiser(paths.model(cell.run), device, cell)
    with exclusive_lock("yardstick@tstr"):
        drawn, drawing = _drawn(name, cell, settings.shared(name), denoiser, count)
        published = _published(name, drawn)
        taught = {
            "drawn": _taught(settings, f"drawn@{name}", drawn, seeds),
            "real": _taught(settings, f"real@{count}", _real(count), seeds),  # of any cell
        }
        return publish(
            f"tstr-{name}",
            TstrYardstick,
            ["sample", "tstr"],
            [paths.model(cell.run), paths.PREPARED],
            cell=name,
            parameters={
                "cell": settings.cell(name).model_dump(exclude={"count"}),
                "sample": settings.shared(name).model_dump(),
                "classifier": settings.classifier.model_dump(),
            },
            weights=denoiser.weights_digests(),
            count=count,
            published=published,
            images_sha256=array_digest(drawn.images),
            processor_seconds={"drawing": round(drawing)}
            | {k: round(s) for k, (_, s) in taught.items()},
            environment=environment(device),
            **{kind: accuracy for kind, (accuracy, _) in taught.items()},
        )


def summary(figure: TstrYardstick) -> str:
    """For whoever waits at a terminal."""
    drawn, real = (
        f"{one.accuracy:.2%} ({one.interval[0]:.2%} to {one.interval[1]:.2%})"
        for one in (figure.drawn, figure.real)
    )
    return f"TSTR of {figure.cell}: {figure.count:,} drawn digits teach {drawn}, real ones {real}"


def _asked(settings: Settings, name: str, count: int) -> ResolvedCell:
    """The cell, of as many whole micro-batches as hold `count` digits.

    UserError where digits cannot be had of it, or so many not be held against real ones.
    """
    if name not in settings.cells:
        raise UserError(f"--cell: there is no {name!r}; {suggest(name, settings.cells)}")
    cell, size = settings.cell(name), settings.shared(name).micro_batch
    if not cell.asks(settings.denoisers[cell.run].conditioning) or cell.inpaint != "none":
        raise UserError(f"--cell: {name} is not asked for whole digits; name another")
    if not 10 <= count <= settings.prepare.train:
        most = settings.prepare.train
        raise UserError(f"--count: {count} is not from 10 to {most} digits; give so many")
    return cell.model_copy(update={"count": -(-count // size) * size})


def _drawn(
    name: str, cell: ResolvedCell, sample: SharedSampling, denoiser: TrainedDenoiser, count: int
) -> tuple[Digits, float]:
    """As many digits, each in turn, and the seconds of processors that they took."""
    decides = {
        "weights": denoiser.weights_digests(),
        "betas": array_digest(denoiser.schedule.betas.numpy()),
        "cell": cell.model_dump(exclude={"count"}),
        "sample": sample.model_dump(),
        "code": stage_code("sample"),
        "rounding": rounding(environment(denoiser.device)),
    }
    resumption = Resumption(f"yardstick@{name}", json_digest(decides))
    batches = {first: (kept["images"], told) for first, (kept, told) in resumption.parts().items()}
    started = time.process_time()
    for batch in track(
        draw(denoiser, cell, sample, skip=frozenset(batches)),
        total=cell.count // sample.micro_batch,
        description=name,
        unit="img",
        scale=sample.micro_batch,
        done=len(batches),
    ):
        images, now = torch.from_numpy(to_uint8(batch.images)), time.process_time()
        batches[batch.first] = images, {"seconds": now - started}
        resumption.save({"images": images}, {"seconds": now - started}, part=batch.first)
        started = now
    chosen = [batches[first] for first in range(0, cell.count, sample.micro_batch)]
    pixels = torch.cat([images for images, _ in chosen]).numpy()[:count]
    return Digits(pixels, labels_for(count, asked=True)), sum(told["seconds"] for _, told in chosen)


def _published(name: str, drawn: Digits) -> int:
    """How many of the digits the cell has published; UserError if those are others."""
    if not (paths.samples(name) / MANIFEST).is_file():
        return 0
    known = load_cell(name).images[: len(drawn.images)]
    if not np.array_equal(known, drawn.images[: len(known)]):
        raise UserError(f"{paths.samples(name)}: not what its run draws; run `dvc repro`")
    return len(known)


def _real(count: int) -> Digits:
    """Training digits as they come: MNIST has too few fives for as many of each."""
    images, labels = load_split("train")
    return Digits(images[:count], labels[:count])


def _taught(
    settings: Settings, name: str, digits: Digits, seeds: int
) -> tuple[dict[str, Any], float]:
    """What digits teach by each seed, and the seconds of processors that it took.

    Not several at once: dropout draws from torch's one generator.
    """
    device = configure(settings.compute)
    tensors = {"images": to_tensor(digits.images), "labels": torch.from_numpy(digits.labels)}
    judge, here = settings.classifier, rounding(environment(device))
    key = json_digest([arrays_digest(tensors), judge.model_dump(), stage_code("tstr"), here])
    resumption = Resumption(f"yardstick-{name}", key)
    kept, test = resumption.parts(), load_split("test")
    for seed in (seed for seed in range(seeds) if seed not in kept):
        began, recipe = time.process_time(), judge.model_copy(update={"seed": judge.seed + seed})
        network = trained_classifier(tensors["images"], tensors["labels"], recipe, device)
        seen = classify(network, to_tensor(test.images), device).seen
        kept[seed] = {"seen": seen}, {"seconds": time.process_time() - began}
        resumption.save(*kept[seed], part=seed)
    wanted = torch.from_numpy(test.labels)
    right = torch.stack([kept[seed][0]["seen"] == wanted for seed in range(seeds)])
    by_digit = {
        str(digit): float(right[:, wanted == digit].double().mean()) for digit in range(CLASSES)
    }
    accuracy = over_seeds(right, settings.evaluate.level) | {"accuracy_per_class": by_digit}
    return accuracy, sum(kept[seed][1]["seconds"] for seed in range(seeds))
