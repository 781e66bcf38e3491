"""The denoisers that a run's config may name.

Apart from the judges, so that an edit of a judge trains no denoiser again.
"""

from collections.abc import Callable

from torch import nn

from mnist_diffusion.networks import CLASSES
from mnist_diffusion.networks.simple import SimpleDenoiser
from mnist_diffusion.networks.unet import UNet

DENOISERS: dict[str, Callable[..., nn.Module]] = {
    "unet": lambda **sizes: UNet(classes=CLASSES, **sizes),
    "simple": SimpleDenoiser,
}
