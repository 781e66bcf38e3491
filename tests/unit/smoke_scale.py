"""params.yaml at the smoke scale, for tests that make it smaller still; and a run of their own."""

from pathlib import Path
from typing import Any

from mnist_diffusion.files.yamlfile import parse_yaml
from mnist_diffusion.settings.scales import scaled

REPOSITORY = Path(__file__).parents[2]
RUN = {
    "schedule": "cosine",
    "zero_terminal_snr": False,
    "space": "prepared",
    "conditioning": "class",
    "asked": "data/prepared",
    "network": "unet",
    "recipe": "fast",
    "prediction": "v",
    "weighting": "epsilon",
    "timestep_sampling": "stratified",
    "seed": 0,
}
"""An entry of `runs`, whatever params.yaml declares."""


def smoke_text() -> str:
    base, scale = (REPOSITORY / name for name in ("params.yaml", "scales/smoke.yaml"))
    return scaled(base.read_text(), scale.read_text(), str(scale))


def smoke_params() -> dict[str, Any]:
    return parse_yaml(smoke_text(), "smoke")
