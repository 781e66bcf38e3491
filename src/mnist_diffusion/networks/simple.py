"""The source document's own small denoiser, kept as it is: the honest baseline."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SimpleDenoiser(nn.Module):
    """Three convolutions down, three up, time joined at the bottleneck; no norms, no labels."""

    def __init__(self, *, embedding: int, inputs: int = 1):
        super().__init__()
        self.time = nn.Sequential(
            nn.Linear(1, embedding), nn.GELU(), nn.Linear(embedding, embedding)
        )
        self.down1 = nn.Conv2d(inputs, 64, 3, padding=1)
        self.down2 = nn.Conv2d(64, 128, 3, stride=2, padding=1)
        self.down3 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        self.up3 = nn.ConvTranspose2d(256 + embedding, 128, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(256, 64, 4, stride=2, padding=1)
        self.up1 = nn.Conv2d(128, inputs, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Images (n, inputs, h, h), timesteps (n,) → like the images; labels are not looked at.

        A side that cannot be halved twice is made longer by zeros, for the way down and up.
        """
        side = x.shape[-1]
        rest = -side % 4
        fine = F.relu(self.down1(F.pad(x, (0, rest, 0, rest)) if rest else x))
        middle = F.relu(self.down2(fine))
        coarse = F.relu(self.down3(middle))
        time = self.time(t.float()[:, None] / 1000)[:, :, None, None]
        h = torch.cat([coarse, time.expand(-1, -1, *coarse.shape[2:])], dim=1)
        h = F.relu(self.up3(h))
        h = F.relu(self.up2(torch.cat([h, middle], dim=1)))
        output: Tensor = self.up1(torch.cat([h, fine], dim=1))
        return output[..., :side, :side] if rest else output
