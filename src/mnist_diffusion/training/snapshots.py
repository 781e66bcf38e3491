"""The averaged weights as they were along training: what tells how fast a run learns."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from mnist_diffusion.training.ema import ExponentialAverage

FOLDER = "snapshots"


class Snapshots:
    """Keeps the averaged weights after some steps of a run, evenly spread, the last among them."""

    def __init__(self, network: nn.Module, average: ExponentialAverage, steps: int, count: int):
        self._names = [name for name, _ in network.named_parameters()]
        self._average = average
        self._due = {round(steps * k / count) for k in range(1, count + 1)}
        self._kept: dict[int, dict[str, Tensor]] = {}

    def take(self, step: int) -> None:
        """Keep the weights, if this is one of the steps."""
        if step in self._due:
            copies = (average.cpu() for average in self._average.copies())
            self._kept[step] = dict(zip(self._names, copies, strict=True))

    def state(self) -> dict[str, Tensor]:
        """All that was kept, by step and name."""
        kept = self._kept.items()
        return {f"{step}.{name}": t for step, tensors in kept for name, t in tensors.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        self._kept = {}
        for key, tensor in state.items():
            step, _, name = key.partition(".")
            self._kept.setdefault(int(step), {})[name] = tensor

    def write(self, folder: Path) -> None:
        """Write snapshots/<step>.safetensors, each with all parameters of the network."""
        target = folder / FOLDER
        target.mkdir(parents=True, exist_ok=True)
        for step, tensors in self._kept.items():
            save_file(tensors, target / f"{step}.safetensors")
