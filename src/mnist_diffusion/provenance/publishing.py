"""How what a stage published is written: a folder with its manifest, or a JSON of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.folders import content_digests, listing
from mnist_diffusion.provenance.inputs import Inputs
from mnist_diffusion.provenance.schemas.artifact import Sourced, dump
from mnist_diffusion.provenance.schemas.manifest import SCHEMA, Manifest


def publish_folder(
    folder: Path, inputs: Inputs, /, reports: Sequence[Path] = (), **details: Any
) -> None:
    """Write a folder's manifest, which makes it whole.

    `reports` are files beside the folder, `details` what the stage has to add. UserError if
    anything that went in has changed since it was digested.
    """
    content = {
        "schema": SCHEMA,
        "stage": inputs.stage,
        "name": inputs.name,
        "files": content_digests([*listing(folder), *reports]),
        "parameters": dict(inputs.parameters),
        **inputs.sources,
        **details,
    }
    Manifest.model_validate(content)
    inputs.verify()
    write_json(folder / MANIFEST, content)


def publish_report(path: Path, inputs: Inputs, shape: type[Sourced], /, **content: Any) -> None:
    """Write the JSON of a stage that publishes no folder, with what made it.

    UserError if anything that went in has changed since it was digested.
    """
    artifact = shape(**content, **inputs.sources)
    inputs.verify()
    dump(path, artifact)
