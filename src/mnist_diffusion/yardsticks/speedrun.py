"""Seconds on two processors from the training digits to drawn ones of a stated FD∞.

The rules are data, docs/speedrun.yaml, and what may change is scales/speedrun.yaml and the source
that trains and draws. Every seed runs the pipeline's own stages in a folder of its own, where
nothing is there but the real digits and the judges, under two clocks: the wall's, and that of the
processors, which is the one to compare where other work was about.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from math import isclose
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

from pydantic import Field, ValidationError

from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.distribution.bundle import COPY
from mnist_diffusion.evaluation.features import Extractors
from mnist_diffusion.evaluation.frechet import fd_infinity
from mnist_diffusion.evaluation.real_digits import load_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.files.yamlfile import parse_yaml, read_yaml
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.schemas.artifact import load as load_report
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.provenance.schemas.yardsticks import SpeedrunRecord
from mnist_diffusion.provenance.source import OWN_ROOT
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import exclusive_lock, recreate_dir
from mnist_diffusion.runtime.parent_watch import MARK
from mnist_diffusion.runtime.threads import VARIABLE
from mnist_diffusion.settings import Evaluate, Section, Settings, parse_settings
from mnist_diffusion.settings.messages import explain
from mnist_diffusion.settings.scales import scaled
from mnist_diffusion.yardsticks.publishing import publish

RULES = Path("docs/speedrun.yaml")
SCALE = paths.SCALES / "speedrun.yaml"
NAME = "speedrun"
"""Of the scale, the run and the cell."""
TOLERANCE = 1e-4
"""Of a share: other processors round otherwise."""
TIMED = ("codec", "latents", "train", "sample")
"""Stages."""
GIVEN = (
    *(OWN_ROOT, paths.REQUIREMENTS, paths.PREPARED, paths.REFERENCE, paths.REFERENCE_REPORT),
    *(paths.CLASSIFIER, paths.CLASSIFIER_REPORT, paths.AUTOENCODER, paths.AUTOENCODER_REPORT),
)
"""What is there when the clock starts; the judges are for the judging alone."""


class Rules(Section):
    """docs/speedrun.yaml."""

    target: float
    """FD∞ of the worst seed, at the most."""
    second: float
    """That by the second network, at the most: else a training could aim at the judge."""
    accuracy: float
    """At the least, of the digits asked for."""
    copies: float
    """At the least: how probable so many near-copies of training digits are by luck."""
    count: int
    seeds: Annotated[list[int], Field(min_length=1)]
    threads: int
    evaluate: Evaluate
    pins: dict[str, str]
    """Content digests of what is given, by path."""
    test_digits: dict[str, float]
    """What the first real test digits score: who measures otherwise, gets something else."""

    @classmethod
    def load(cls) -> Rules:
        """UserError if they are not whole."""
        try:
            return cls.model_validate(read_yaml(RULES))
        except ValidationError as error:
            raise UserError(f"{RULES}: {explain(error, cls)}") from None

    def require(self, settings: Settings) -> None:
        """UserError if anything that all records share is another."""
        for name, wanted in self.pins.items():
            path = Path(name)
            if not path.is_file():
                raise UserError(f"{path}: not found; run `dvc repro reference` first")
            if content_digest(path) != wanted:
                raise _other(name)
        if settings.evaluate != self.evaluate or settings.cell(NAME).count != self.count:
            raise UserError(f"{SCALE}: evaluate or count is not as {RULES} has it; set it so")
        found = measured(self.count, settings)
        for key, value in self.test_digits.items():
            if not isclose(found[key], value, rel_tol=TOLERANCE):
                raise _other(f"{key} of {self.count} test digits is {found[key]}, which is")

    def are_met(self, lap: dict[str, Any]) -> bool:
        """Whether what was drawn is what the clock was to run for."""
        return bool(
            lap["fd_infinity"] <= self.target
            and lap["second_fd_infinity"] <= self.second
            and lap["accuracy"] >= self.accuracy
            and lap["copies_p"] >= self.copies
        )


def _other(what: str) -> UserError:
    return UserError(
        f"{what}: not what {RULES} pins, and times to another goal do not compare; restore it, or "
        "begin another table"
    )


def measured(count: int, settings: Settings) -> dict[str, float]:
    """FD∞ of the first real test digits by both networks, by what measures sample sets."""
    images, labels = load_split("test")
    extractors = Extractors.load(configure(settings.compute))
    judged = extractors.judge(images[:count], labels[:count])
    return {
        key: fd_infinity(
            judged.features_of(network),
            judged.labels,
            load_statistics(network),
            settings.evaluate.seed,
        ).value
        for key, network in (("fd_infinity", "classifier"), ("second_fd_infinity", "autoencoder"))
    }


def speedrun() -> SpeedrunRecord:
    """Run every seed of the rules, judge what it draws, and write down what it took."""
    rules = Rules.load()
    _, settings = _settings(rules.seeds[0])
    rules.require(settings)
    with exclusive_lock(NAME):
        laps = [_lap(rules, seed) for seed in rules.seeds]
        rules.require(settings)
    return publish(
        NAME,
        SpeedrunRecord,
        [*TIMED, "evaluate"],
        [paths.PREPARED, paths.REFERENCE, paths.CLASSIFIER, paths.AUTOENCODER],
        rules=rules.model_dump(),
        scale=read_yaml(SCALE),
        reached=all(lap["reached"] for lap in laps),
        seconds=mean(lap["seconds"] for lap in laps),
        processor_seconds=mean(lap["processor_seconds"] for lap in laps),
        laps=laps,
        environment=environment(configure(settings.compute)),
    )


def row(record: SpeedrunRecord) -> str:
    """Of the table in docs/speedrun.md; what was changed is for whoever ran it to say."""
    by_seed = ", ".join(f"{lap.fd_infinity:.2%}" for lap in record.laps)
    load = max(lap.load for lap in record.laps)
    return (
        f"| {record.finished[:10]} | {record.processor_seconds:.0f} | {record.seconds:.0f} | "
        f"{by_seed} | {'yes' if record.reached else 'no'} | {record.environment['cpu']}, load "
        f"{load:.1f} |"
    )


def _settings(seed: int) -> tuple[dict[str, Any], Settings]:
    """params.yaml of a lap, as it is written and as it is read."""
    base, scale = (path.read_text(encoding="utf-8") for path in (paths.PARAMS, SCALE))
    content = parse_yaml(scaled(base, scale, str(SCALE)), str(SCALE))
    for section in ("runs", "cells"):
        if NAME not in content[section]:
            raise UserError(f"{SCALE}: {section}: there is no {NAME!r}; declare it")
    content["codec"]["seed"] = content["runs"][NAME]["seed"] = seed
    return content, parse_settings(content, str(SCALE))


def _lap(rules: Rules, seed: int) -> dict[str, Any]:
    """Train and draw by one seed under the clocks, then judge."""
    folder = recreate_dir(paths.WORK / NAME / str(seed))
    for given in GIVEN:
        (folder / given).parent.mkdir(parents=True, exist_ok=True)
        (folder / given).symlink_to(given.resolve())
    content, settings = _settings(seed)
    write_json(folder / paths.PARAMS, content)
    codec = settings.runs[NAME].codec
    _run(folder, rules, "code")
    load, began, spent = os.getloadavg()[0], time.perf_counter(), _processors()
    for stage, name in zip(TIMED, (codec, codec, NAME, NAME), strict=True):
        if name:  # pixels need no codec
            _run(folder, rules, stage, name)
    seconds, processors = time.perf_counter() - began, _processors() - spent
    _run(folder, rules, "evaluate", NAME)
    judged = load_report(folder / paths.metrics(NAME), CellMetrics)
    scores, near = judged.model_extra or {}, judged.memorisation
    lap = {
        "seed": seed,
        "seconds": seconds,
        "processor_seconds": processors,
        "load": load,
        "fd_infinity": scores["fd_infinity"],
        "error": judged.errors["fd_infinity"],
        "second_fd_infinity": judged.second.fd_infinity,
        "accuracy": scores["accuracy"] or 0.0,
        "copies_p": min(near.pixels.p, near.features.p),
        "samples_sha256": judged.samples_sha256,
    }
    return lap | {"reached": rules.are_met(lap)}


def _run(folder: Path, rules: Rules, *words: str) -> None:
    """A stage, as DVC would run it, so that it ends with us; UserError if it fails.

    It has said why.
    """
    environment = os.environ | {VARIABLE: str(rules.threads), COPY: "1", MARK: " ".join(words)}
    command = [sys.executable, "-m", "mnist_diffusion", *words]
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise UserError(f"{' '.join(words)}: failed in {folder}; mend it, and run all anew")


def _processors() -> float:
    """Seconds that processors have spent on all processes that this one started and saw end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
