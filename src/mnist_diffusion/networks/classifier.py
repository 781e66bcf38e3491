"""The judge: a digit classifier, in whose penultimate features distances are measured."""

from torch import Tensor, nn

CLASSES = 10
FEATURES = 128


def _convolution(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


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
            nn.Linear(64 * 3 * 3, FEATURES),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(FEATURES, CLASSES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, 1, 28, 28) in [-1, 1] → features (n, 128) and logits (n, 10)."""
        features = self.body(x)
        return features, self.head(features)
