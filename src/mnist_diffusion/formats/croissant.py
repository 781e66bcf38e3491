"""A sample set as Parquet, and the Croissant 1.1 metadata by which others load it.

Croissant (https://docs.mlcommons.org/croissant) is what Hugging Face, Kaggle and OpenML read.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from mnist_diffusion.files import paths
from mnist_diffusion.files.images import png_bytes
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.formats.citation import SPDX, Citation
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.lineage import read_manifest
from mnist_diffusion.provenance.schemas.manifest import timing_of

METADATA, DATA = "croissant.json", "images.parquet"
PROMPTS, DIGESTS = "prompts.txt", "digests.txt"
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
    columns = _columns(paths.samples(cell))
    parquet.write_table(pa.table(columns), folder / DATA)
    write_json(folder / METADATA, _metadata(folder, cell, list(columns), citation))


def _columns(samples: Path) -> dict[str, Any]:
    images, labels = (
        np.load(samples / f"{name}.npy", allow_pickle=False) for name in ("images", "labels")
    )
    told = samples / PROMPTS
    prompts = {"prompt": told.read_text().splitlines()} if told.exists() else {}
    return {
        "index": np.arange(len(images)),
        "image": [png_bytes(Image.fromarray(image)) for image in images],
        "label": labels,
        **prompts,
        "sha256": (samples / DIGESTS).read_text().split(),
    }


def _metadata(folder: Path, cell: str, columns: list[str], citation: Citation) -> dict[str, Any]:
    manifest = read_manifest(paths.samples(cell))
    timing, chosen = timing_of("sample", cell), manifest["parameters"]["cell"]
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
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "@id": f"urn:sha256:{json_digest(manifest)}",
            "prov:label": STAGES["sample"].address(cell),
        },
        "prov:wasDerivedFrom": [
            {"@type": "prov:Entity", "@id": f"urn:sha256:{digest}", "prov:label": address}
            for address, digest in manifest["made_from"].items()
        ],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": DATA,
                "name": DATA,
                "contentUrl": DATA,
                "encodingFormat": "application/x-parquet",
                "sha256": hashlib.sha256((folder / DATA).read_bytes()).hexdigest(),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "digits",
                "name": "digits",
                "key": {"@id": "digits/index"},
                "field": [_field(column) for column in columns],
            }
        ],
    }


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
