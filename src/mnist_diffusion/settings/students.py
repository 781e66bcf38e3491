"""The section `students`: denoisers that learn from another's guided paths to draw in few steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mnist_diffusion.settings.resolve import ResolvedRun
from mnist_diffusion.settings.sampling import Interval
from mnist_diffusion.settings.section import Name, NonNegative, Positive, Section, Share
from mnist_diffusion.settings.training import Recipe

Scale = Annotated[float, Field(ge=0, le=100)]


class Student(Section):
    """One distillation."""

    teacher: Name
    """A run that is asked by label."""
    recipe: Name
    trajectories: Annotated[int, Field(ge=10)]
    """Paths of the teacher, from noise to digit, that are learned from."""
    sampler: Literal["ddim", "dpm-solver-1", "dpm-solver-2", "dpm-solver-3"]
    """The teacher's, and its steps."""
    steps: Positive
    guidance: Annotated[list[Scale], Field(min_length=2, max_length=2)]
    """Scales of the paths, evenly from the first to the last; the student is told."""
    guidance_interval: Interval | None
    points: Annotated[int, Field(ge=2)]
    """Of a path, evenly along it, from which the student is to see its end: the most steps that it
    can draw in."""
    from_noise: Share
    """Of what is shown in training: the first of these points, which all drawing starts from."""
    seed: NonNegative

    @model_validator(mode="after")
    def _check_path(self) -> Student:
        if self.steps % self.points:
            raise ValueError(f"points: {self.steps} steps do not part in {self.points}; divide it")
        if not self.guidance[0] < self.guidance[1]:
            raise ValueError(f"guidance: {self.guidance} is no range; put the lower end first")
        return self


class ResolvedStudent(ResolvedRun):
    """Everything that decides a student's weights, besides the teacher's.

    `run` and `train` are the teacher's, whose schedule, prediction and space it has; the recipe is
    its own.
    """

    student: Student


def resolve_student(student: Student, teacher: ResolvedRun, recipe: Recipe) -> ResolvedStudent:
    """A student with all that it and its teacher name."""
    taught = teacher.model_dump(exclude={"network": {"name"}, "recipe": True})
    network = {**taught["network"], "name": "guided-unet"}
    return ResolvedStudent(**{**taught, "network": network}, recipe=recipe, student=student)
