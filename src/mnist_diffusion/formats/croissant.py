"""A sample set as Parquet, and the Croissant 1.1 metadata by which others load it.

Croissant (https://docs.mlcommons.org/croissant) is what Hugging Face, Kaggle and OpenML read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from mnist_diffusion.evaluation.features import load_cell
from mnist_diffusion.files import paths
from mnist_diffusion.files.images import png_bytes
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.formats.citation import SPDX, Citation
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import file_digest, json_digest
from mnist_diffusion.provenance.lineage import read_manifest
from mnist_diffusion.provenance.schemas.manifest import timing_of

METADATA, DATA = "croissant.json", "images.parquet"
COLUMNS = {
    "index": ("sc:Integer", "Whose it is: image k is the same however many are drawn."),
    "image": ("sc:ImageObject", "28 × 28 grey levels, a PNG."),
    "label": ("sc:Integer", "The digit that was asked for, -1 where none was."),
    "prompt": ("sc:Text", "What was asked for in words."),
    "sha256": ("sc:Text", "Of index, label, type and shape in a line, and of the pixels after it."),
}
"""What each is for Croissant, and for a reader; a sample set that no words made has no prompts."""
WORDS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
    *("fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset"),
    *("jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{word: f"cr:{word}" for word in WORDS},
}


def write_sample_set(folder: Path, cell: str, citation: Citation) -> None:
    """Write both; UserError if the sample set is not whole."""
    folder.mkdir(parents=True)
    columns = _columns(cell)
    parquet.write_table(pa.table(columns), folder / DATA)
    data = {
        "@type": "cr:FileObject",
        "@id": DATA,
        "name": DATA,
        "contentUrl": DATA,
        "encodingFormat": "application/x-parquet",
        "sha256": file_digest(folder / DATA),
    }
    records = {
        "@type": "cr:RecordSet",
        "@id": "digits",
        "name": "digits",
        "key": {"@id": "digits/index"},
        "field": [_field(column) for column in columns],
    }
    content = _described(cell, citation) | {"distribution": [data], "recordSet": [records]}
    write_json(folder / METADATA, content)


def _columns(cell: str) -> dict[str, Any]:
    samples, (images, labels) = paths.samples(cell), load_cell(cell)
    told = samples / paths.PROMPTS
    prompts = {"prompt": told.read_text().splitlines()} if told.exists() else {}
    return {
        "index": np.arange(len(images)),
        "image": [png_bytes(Image.fromarray(image)) for image in images],
        "label": labels,
        **prompts,
        "sha256": (samples / paths.DIGESTS).read_text().split(),
    }


def _described(cell: str, citation: Citation) -> dict[str, Any]:
    """What the digits are, whose, and what made them."""
    manifest = read_manifest(paths.samples(cell))
    timing, chosen = timing_of("sample", cell), manifest["parameters"]["cell"]
    address = STAGES["sample"].address(cell)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"mnist-diffusion-{cell}",
        "description": (
            f"{chosen['count']} digits that the diffusion model `{chosen['run']}` drew, by "
            f"{chosen['sampler']} in {chosen['steps']} steps at guidance {chosen['guidance']:g}. "
            "No real digits: MNIST is what the model was trained on."
        ),
        "version": citation.version,
        "license": SPDX + citation.licence,
        "creator": {"@type": "sc:Organization", "name": citation.authors},
        "citeAs": f"{citation.authors}: {citation.title}, {citation.version}",
        **({"datePublished": timing.finished} if timing else {}),
        "prov:wasGeneratedBy": _known("prov:Activity", address, json_digest(manifest)),
        "prov:wasDerivedFrom": [
            _known("prov:Entity", *one) for one in manifest["made_from"].items()
        ],
    }


def _known(kind: str, address: str, digest: str) -> dict[str, str]:
    """What stands for a stage, or for what it left."""
    return {"@type": kind, "@id": f"urn:sha256:{digest}", "prov:label": address}


def _field(column: str) -> dict[str, Any]:
    kind, described = COLUMNS[column]
    return {
        "@type": "cr:Field",
        "@id": f"digits/{column}",
        "name": column,
        "description": described,
        "dataType": kind,
        "source": {"fileObject": {"@id": DATA}, "extract": {"column": column}},
    }
