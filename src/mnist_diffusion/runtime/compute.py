"""The device and its arithmetic: chosen once, before a stage computes anything."""

import torch

from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import limit_instructions
from mnist_diffusion.runtime.threads import single_threaded_kernels
from mnist_diffusion.settings import Compute


def configure(compute: Compute) -> torch.device:
    """Pick the device, keep kernels to the wanted instructions, one thread and fixed orders.

    Raises UserError if a forced device is missing: there is no silent fallback.
    """
    limit_instructions(compute.instructions)
    single_threaded_kernels()
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory it has not written; filling it costs 7 % of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if compute.device == "cpu" or (compute.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("compute.device: cuda is forced but not there; set auto or cpu")
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda")
