"""The settings in params.yaml: read, checked and frozen before anything starts.

There are no defaults here: every number of a run stands in params.yaml, where DVC tracks it. That
is why the pipeline need not depend on these files, but for `resolve`.
"""

from mnist_diffusion.settings.judging import Autoencoder, Classifier, Evaluate, Table
from mnist_diffusion.settings.resolve import ResolvedCell, ResolvedNetwork, ResolvedRun
from mnist_diffusion.settings.sampling import (
    FIXED_ETA,
    Cell,
    Choices,
    Sample,
    Sampling,
    SharedSampling,
)
from mnist_diffusion.settings.section import Section
from mnist_diffusion.settings.training import P2, Networks, Recipe, Run, Train
from mnist_diffusion.settings.whole import Compute, Settings, load_settings, parse_settings

__all__ = [
    "FIXED_ETA",
    "P2",
    "Autoencoder",
    "Cell",
    "Choices",
    "Classifier",
    "Compute",
    "Evaluate",
    "Networks",
    "Recipe",
    "ResolvedCell",
    "ResolvedNetwork",
    "ResolvedRun",
    "Run",
    "Sample",
    "Sampling",
    "Section",
    "Settings",
    "SharedSampling",
    "Table",
    "Train",
    "load_settings",
    "parse_settings",
]
