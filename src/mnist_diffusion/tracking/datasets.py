"""What a run was made from or judged, as MLflow's datasets: a name and the digest of its pixels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mnist_diffusion.tracking.entry import Entry

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

LONGEST_DIGEST = 36
"""MLflow refuses longer ones; the whole one stands in the source."""
DIGEST_TAG = {"train": "images_sha256", "evaluate": "samples_sha256"}


def inputs(entry: Entry) -> list[DatasetInput]:
    """The digits that a run was trained on, or the sample set that was judged; else none."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = entry.tags.get(DIGEST_TAG.get(entry.stage, ""))
    if digest is None:
        return []
    name, place, context = (
        ("mnist-train", "data/prepared", "training")
        if entry.stage == "train"
        else (f"samples-{entry.name}", f"data/samples/{entry.name}", "evaluation")
    )
    source = json.dumps({"path": place, "sha256": digest})
    dataset = Dataset(name, digest[:LONGEST_DIGEST], "local", source)
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
