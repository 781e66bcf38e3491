"""The two networks in whose features distances are measured.

The judge is a digit classifier. The second network is an autoencoder, of other layers and another
objective, so that no finding rests on one network.
"""

from collections.abc import Callable

from torch import Tensor, nn

from mnist_diffusion.networks import CLASSES

CLASSIFIER_FEATURES = 128
AUTOENCODER_FEATURES = 64


class Classifier(nn.Module):
    """Four convolutions, one hidden layer of 128 features, ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(1, 32, 5, stride=2),
            _convolution(32, 48, 3),
            nn.MaxPool2d(2),
            _convolution(48, 64, 3),
            _convolution(64, 64, 3),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 3 * 3, CLASSIFIER_FEATURES),
            nn.BatchNorm1d(CLASSIFIER_FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(CLASSIFIER_FEATURES, CLASSES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, 1, 28, 28) in [-1, 1] → features (n, 128) and logits (n, 10)."""
        features = self.body(x)
        return features, self.head(features)


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
            nn.Linear(64 * 7 * 7, AUTOENCODER_FEATURES),
        )
        self.decoder = nn.Sequential(
            nn.Linear(AUTOENCODER_FEATURES, 64 * 7 * 7),
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


def _convolution(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


JUDGES: dict[str, Callable[..., nn.Module]] = {
    "classifier": Classifier,
    "autoencoder": Autoencoder,
}
"""What a judge's config may name."""
