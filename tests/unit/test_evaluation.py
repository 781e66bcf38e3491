"""Judging, against scipy and against cases whose answer is known."""

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from mnist_diffusion.evaluation.accuracy import agreement, calibration_error, reliability, shares
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, distances
from mnist_diffusion.runtime.errors import UserError


def gaussian(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(12, 12, generator=torch.Generator().manual_seed(99))
    return scale * (torch.randn(count, 12, generator=generator) @ mixing) + shift


def test_fd_of_shifted_and_scaled_gaussians_is_the_closed_form() -> None:
    """Same samples moved by d and scaled by k: d²·dim + (k - 1)² tr C."""
    real = gaussian(500, 0).double()
    centred = real - real.mean(0)
    reference = ReferenceStatistics.of(centred)
    found = distances(1.5 * centred + 0.2, reference)
    assert found["fd"] == pytest.approx(12 * 0.2**2 + 0.25 * reference.trace, rel=1e-6)
    assert found["relative_fd"] == pytest.approx(found["fd"] / reference.trace)


def test_fd_of_a_set_with_itself_is_zero_in_any_order() -> None:
    real = gaussian(400, 0)
    found = distances(real.flip(0), ReferenceStatistics.of(real))["fd"]
    assert found == pytest.approx(0, abs=1e-4)
    assert found >= 0


def test_fd_is_that_of_torchmetrics() -> None:
    real, drawn = gaussian(900, 0).double(), gaussian(40, 1, shift=0.3).double()
    metric = FrechetInceptionDistance(feature=Features(12))
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(drawn, real=False)
    found = distances(drawn, ReferenceStatistics.of(real))["fd"]
    assert found == pytest.approx(float(metric.compute()), rel=1e-6)


class Features(nn.Identity):
    """Stands where torchmetrics expects an Inception network: features go in and come out."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width


def test_one_image_has_no_distance() -> None:
    with pytest.raises(UserError, match=r"^fd: 1 image has no covariance; draw 2 or more"):
        distances(gaussian(1, 0), ReferenceStatistics.of(gaussian(90, 1)))


def one_hot(seen: list[int], confidence: float = 0.91) -> Tensor:
    rest = (1 - confidence) / 9
    return torch.full((len(seen), 10), rest).scatter(1, torch.tensor(seen)[:, None], confidence)


def test_accuracy_by_hand() -> None:
    wanted = torch.tensor([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    seen = [0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    result = agreement(one_hot(seen), wanted)
    assert result["accuracy"] == pytest.approx(10 / 12)
    assert result["accuracy_per_class"]["0"] == 0.5
    assert result["accuracy_per_class"]["9"] == 0.0
    assert result["confusion"][0][:2] == [1, 1]
    assert result["confusion"][9][8] == 1
    assert shares(one_hot(seen))["1"] == pytest.approx(3 / 12)


def test_calibration_by_hand() -> None:
    """Confidence .91 and 3 of 4 right: an error of .16, in one bin."""
    probabilities, labels = one_hot([0, 1, 2, 3]), torch.tensor([0, 1, 2, 4])
    assert calibration_error(probabilities, labels) == pytest.approx(0.16, abs=1e-6)
    (only,) = reliability(probabilities, labels)
    assert only["count"] == 4
    assert only["accuracy"] == 0.75
    assert only["confidence"] == pytest.approx(0.91)


class Echo(nn.Module):
    """Features that tell the image, and the batch size it came in."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.shape = x.shape
        return x.flatten(1)[:, :128], x.flatten(1)[:, 100:110]


@pytest.mark.parametrize("count", [1, 499, 501])
def test_judging_keeps_order_and_count_at_one_shape(count: int) -> None:
    images = torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    network = Echo()
    judged = classify(network, images, torch.device("cpu"))
    assert network.shape[0] == 500
    assert torch.equal(judged.features, images.flatten(1)[:, :128])
    torch.testing.assert_close(judged.probabilities, images.flatten(1)[:, 100:110].softmax(dim=1))
