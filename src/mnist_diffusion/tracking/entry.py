"""A stage's record as it goes to MLflow: plain text and numbers, with a digest of what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mnist_diffusion.tracking.agreement import Said
from mnist_diffusion.tracking.record import text
from mnist_diffusion.tracking.records import Record

NAME_TAG = {
    **{"train": "run", "fd_curve": "run"},
    **{"sample": "cell", "evaluate": "cell", "tstr": "cell"},
}
CIRCUMSTANCES = {"scale", "git_commit", "git_dirty", "dvc_experiment"}
"""Tags that differ between two times that one result was made, beside MLflow's own."""


class UnusableEntryError(Exception):
    """An entry that no later attempt can log either."""


@dataclass(frozen=True)
class Entry:
    """A stage that has ended."""

    stage: str
    name: str | None
    scale: str | None
    seconds: float | None
    """None where nobody knows how long it took."""
    end_ms: int
    images_per_second: float | None
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    history: list[tuple[str, float, int]]
    """Metric, value, step."""

    @property
    def address(self) -> str:
        return title(self.stage, self.name)

    @property
    def said(self) -> Said:
        """What a run of it says in MLflow, but for what differs between two times."""
        last = {metric: value for metric, value, _ in self.history}
        tags = dict(filter(_is_content, self.tags.items()))
        return Said(self.params, {**self.metrics, **last}, tags)

    @property
    def content(self) -> str:
        """A digest of what was made, from what and how it scored; not of when, nor of how long."""
        what = asdict(self) | {"tags": self.said.tags}
        for circumstance in ("scale", "seconds", "end_ms", "images_per_second"):
            del what[circumstance]
        # NaN is fine here: a diverged run is a result too.
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def make_entry(
    stage: str,
    name: str | None,
    record: Record,
    *,
    scale: str | None,
    seconds: float | None,
    end_ms: int,
    commit: Mapping[str, str | bool | None],
    images_per_second: float | None = None,
) -> Entry:
    """A record in MLflow's terms; `commit` is what the sidecar says of it."""
    own = {
        "stage": stage,
        NAME_TAG.get(stage, "name"): name,
        "scale": scale,
        **{key: None if value is None else text(value) for key, value in commit.items()},
        "mlflow.source.git.commit": commit.get("git_commit"),
        "mlflow.source.name": f"mnist-diffusion {' '.join(filter(None, (stage, name)))}",
        "mlflow.source.type": "LOCAL",
    }
    tags = {key: value for key, value in own.items() if value} | dict(record.tags)
    return Entry(
        stage=stage,
        name=name,
        scale=scale,
        seconds=seconds,
        end_ms=end_ms,
        images_per_second=images_per_second,
        params={key: text(value) for key, value in record.params.items()},
        metrics={key: float(value) for key, value in record.metrics.items()},
        tags={key: text(value) for key, value in tags.items()},
        history=[(metric, float(value), int(step)) for metric, value, step in record.history],
    )


def title(stage: str, name: str | None) -> str:
    """A stage as DVC calls it."""
    return f"{stage}@{name}" if name else stage


def address_of(tags: Mapping[str, str]) -> str | None:
    """Whose run it is that has these tags in MLflow; None if none of ours."""
    stage = tags.get("stage")
    return title(stage, tags.get(NAME_TAG.get(stage, "name"))) if stage else None


def _is_content(tag: tuple[str, str]) -> bool:
    return tag[0] not in CIRCUMSTANCES and not tag[0].startswith("mlflow.")
