"""The settings in params.yaml: read, checked and frozen before anything starts.

There are no defaults here: every number of a run stands in params.yaml, where DVC tracks it. That
is why the pipeline need not depend on these files, but for `resolve`.
"""

from mnist_diffusion.settings.judging import AutoencoderTraining as AutoencoderTraining
from mnist_diffusion.settings.judging import ClassifierTraining as ClassifierTraining
from mnist_diffusion.settings.judging import Evaluate as Evaluate
from mnist_diffusion.settings.judging import TableCells as TableCells
from mnist_diffusion.settings.resolve import ResolvedCell as ResolvedCell
from mnist_diffusion.settings.resolve import ResolvedRun as ResolvedRun
from mnist_diffusion.settings.sampling import FIXED_ETA as FIXED_ETA
from mnist_diffusion.settings.sampling import Cell as Cell
from mnist_diffusion.settings.sampling import Choices as Choices
from mnist_diffusion.settings.sampling import Sampling as Sampling
from mnist_diffusion.settings.sampling import SharedChoices as SharedChoices
from mnist_diffusion.settings.sampling import SharedSampling as SharedSampling
from mnist_diffusion.settings.section import Section as Section
from mnist_diffusion.settings.students import ResolvedStudent as ResolvedStudent
from mnist_diffusion.settings.training import Networks as Networks
from mnist_diffusion.settings.training import Recipe as Recipe
from mnist_diffusion.settings.training import Run as Run
from mnist_diffusion.settings.training import Train as Train
from mnist_diffusion.settings.whole import Compute as Compute
from mnist_diffusion.settings.whole import Settings as Settings
from mnist_diffusion.settings.whole import load_settings as load_settings
from mnist_diffusion.settings.whole import parse_settings as parse_settings
