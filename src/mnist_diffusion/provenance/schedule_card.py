"""A schedule's card: what tells it from another of the same name."""

from mnist_diffusion.diffusion.schedules import Schedule
from mnist_diffusion.provenance.digests import array_digest


def schedule_card(schedule: Schedule) -> dict[str, float | int | str | None]:
    """The schedule's own card, under the digest of its betas."""
    return {"betas_sha256": array_digest(schedule.betas.numpy()), **schedule.card()}
