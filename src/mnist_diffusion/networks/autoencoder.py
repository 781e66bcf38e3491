"""The second feature extractor: an autoencoder, in whose code distances are measured too.

Other layers and another objective than the classifier's, so that no finding rests on one network.
"""

from torch import Tensor, nn

FEATURES = 64


class Autoencoder(nn.Module):
    """Two strided convolutions down to a code of 64 numbers, and the way back to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, FEATURES),
        )
        self.decoder = nn.Sequential(
            nn.Linear(FEATURES, 64 * 7 * 7),
            nn.GELU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, 1, 28, 28) in [-1, 1] → features (n, 64) and the images as they come back."""
        features = self.encoder(x)
        return features, self.decoder(features)
