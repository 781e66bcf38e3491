"""distill: one student, from its teacher's guided paths to models/<student>/."""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.spacings import trailing
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import CODEC
from mnist_diffusion.networks.students import STUDENTS, told
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, read_manifest, snapshot_inputs
from mnist_diffusion.provenance.schedule_card import schedule_card
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed
from mnist_diffusion.runtime.threads import parallel_map
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.lessons import lesson
from mnist_diffusion.sampling.wishes import labels_for
from mnist_diffusion.settings import Cell, ResolvedCell, Settings
from mnist_diffusion.settings.resolve import resolve_cell
from mnist_diffusion.settings.students import ResolvedStudent
from mnist_diffusion.training.distillation import DETAILS, Distillation, Lessons
from mnist_diffusion.training.resumable import LossRecord, train_resumably

STATES = "states"


def run(settings: Settings, name: str) -> Outcome:
    """Draw the teacher's paths, teach the student, and publish it as a run is published."""
    device = configure(settings.compute)
    resolved = settings.student(name)
    teacher = paths.model(resolved.student.teacher)
    inputs = snapshot_inputs(__name__, name, settings, parameters, [teacher], device)
    resumption = Resumption(f"distill@{name}", inputs.key)
    denoiser = load_denoiser(teacher, device)
    lessons = _lessons(denoiser, settings, resolved, resumption)
    objective = Distillation(
        lessons,
        denoiser.schedule,
        PREDICTIONS[resolved.run.prediction],
        batch_size=resolved.recipe.batch_size,
        from_noise=resolved.student.from_noise,
        seed=resolved.student.seed,
        device=device,
    )
    network = _taught_nothing(denoiser.network, resolved).to(device)
    training = train_resumably(network, objective, resolved.recipe, DETAILS, resumption)

    folder = recreate_dir(paths.model(name))
    checkpoint.save(folder, network, resolved.model_dump())
    _write_history(folder, training, resolved)
    shutil.copyfile(teacher / paths.BETAS, folder / paths.BETAS)
    if resolved.run.codec:  # the folder is enough to draw from
        shutil.copytree(teacher / CODEC, folder / CODEC)
    publish_folder(folder, inputs, **_details(network, denoiser, teacher, training))
    resumption.clear()
    return Outcome(resolved.images, resumption.earlier_seconds)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Everything that decides the weights, besides the teacher's."""
    return settings.student(name).model_dump()


def _lessons(
    denoiser: TrainedDenoiser, settings: Settings, resolved: ResolvedStudent, resumption: Resumption
) -> Lessons:
    """All paths, a batch at one scale: what a killed run has kept, and the rest, kept as drawn."""
    student, size = resolved.student, settings.sample.micro_batch
    seed = derive_seed(student.seed, "distill/paths")
    firsts = range(0, student.trajectories, size)
    (low, high), last = student.guidance, max(1, len(firsts) - 1)
    scales = {k: low + (high - low) * number / last for number, k in enumerate(firsts)}
    kept = resumption.parts()
    drawn = {k: kept[k + 1][0][STATES] for k in firsts if k + 1 in kept}

    def draw(first: int) -> tuple[int, torch.Tensor]:
        cell = _cell(settings, resolved, scales[first])
        indices = range(first, first + size)
        return first, lesson(denoiser, cell, seed, indices, student.points)

    missing = [k for k in firsts if k not in drawn]
    for first, states in track(
        parallel_map(draw, missing, denoiser.device),
        total=len(firsts),
        description=f"{student.teacher}, to learn from",
        unit="img",
        scale=size,
        done=len(drawn),
    ):
        resumption.save({STATES: states}, {}, part=first + 1)  # 0 is the training's
        drawn[first] = states
    states = torch.cat([drawn[k] for k in firsts])[: student.trajectories]
    each = torch.tensor([scales[k] for k in firsts]).repeat_interleave(size)[: len(states)]
    return Lessons(
        states[:, :-1],
        states[:, -1],
        told(torch.from_numpy(labels_for(len(states), asked=True)), each),
        trailing(denoiser.schedule, student.points),
    )


def _cell(settings: Settings, resolved: ResolvedStudent, scale: float) -> ResolvedCell:
    """The way that paths are drawn: as a cell with every choice at its default but these."""
    held: dict[str, Any] = {"x0_bound": "none"} if resolved.run.codec else {}
    student = resolved.student
    if student.guidance_interval:
        held["guidance_interval"] = student.guidance_interval
    cell = Cell(
        run=student.teacher,
        sampler=student.sampler,
        steps=student.steps,
        eta=0.0,
        guidance=scale,
        spacing="trailing",
        **held,
    )
    return resolve_cell(cell, settings.sample)


def _taught_nothing(teacher: nn.Module, resolved: ResolvedStudent) -> nn.Module:
    """The student with its teacher's weights."""
    network = checkpoint.build(STUDENTS, **resolved.network.model_dump())
    network.load_state_dict({**network.state_dict(), **teacher.state_dict()})
    return network


def _write_history(folder: Path, training: LossRecord, resolved: ResolvedStudent) -> None:
    history = training.history(resolved.train.log_every)
    history.insert(1, "images", history["step"] * resolved.recipe.batch_size)
    history.to_csv(folder / "history.csv", index=False, lineterminator="\n")


def _details(
    network: nn.Module, denoiser: TrainedDenoiser, teacher: Path, training: LossRecord
) -> dict[str, Any]:
    """What a student's manifest has to say beyond that of any stage."""
    card, taught = schedule_card(denoiser.schedule), read_manifest(teacher)
    return {
        "network_parameters": sum(p.numel() for p in network.parameters()),
        "schedule": card,
        "final_loss": training.rows[-1]["loss"],
        "inputs": {**taught["inputs"], "teacher_sha256": taught["outputs"]["weights_sha256"]},
        "outputs": {
            "weights_sha256": arrays_digest(checkpoint.weights(network)),
            "betas_sha256": card["betas_sha256"],
        },
    }
