"""docs/manifest.schema.json, which others can check manifests by without this code."""

import copy
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.provenance.schemas.manifest import json_schema

SCHEMA = Path(__file__).parents[2] / "docs/manifest.schema.json"
STAGES = {
    *("prepare", "classifier", "autoencoder", "judges", "reference", "train", "distill"),
    *("codec", "latents", "captions", "clip", "sample"),
}


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def manifests(published):
    """What every stage really publishes."""
    paths = [*published.glob("data/**/manifest.json"), *published.glob("models/**/manifest.json")]
    return [json.loads(path.read_text()) for path in paths]


def test_it_is_the_schema_of_the_code():
    """If not: python -c "…; print(to_text(json_schema()), end='')" > docs/manifest.schema.json"""
    assert SCHEMA.read_text() == to_text(json_schema())


def test_manifests_of_all_stages_hold_to_it(validator, manifests):
    assert {manifest["stage"] for manifest in manifests} == STAGES
    for manifest in manifests:
        validator.validate(manifest)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 1),
        ("stage", "evaluate"),
        ("invented", 1),
        ("files", {"x": "short"}),
        ("made_from", None),
        ("environment", {"threads": 2}),
    ],
)
def test_what_is_no_manifest_does_not(validator, manifests, key, value):
    for manifest in manifests:
        wrong = {**copy.deepcopy(manifest), key: value}
        assert not validator.is_valid(wrong)
