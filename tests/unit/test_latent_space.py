"""Latent numbers on a denoiser's scale, and what a codec changes of digits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_codecs import codec, normal
from torch import nn
from torchmetrics.functional.image import peak_signal_noise_ratio

from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.evaluation.reconstructions import changes, high_frequencies, there_and_back
from mnist_diffusion.networks.codec_files import CODEC, SCALE, load_codec, save_codec
from mnist_diffusion.networks.codecs import decoded, encoded
from mnist_diffusion.networks.cost import mflops
from mnist_diffusion.networks.fixed_batches import BATCH, in_batches
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.training.examples import LatentExamples

CPU = torch.device("cpu")


def posteriors(count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels of other means and deviations."""
    size = torch.tensor([0.5, 3.0]).view(1, 2, 1, 1)
    return normal(count, 2, 3, 3) * size + 5 * size, 0.3 + normal(count, 2, 3, 3, seed=1).abs()


def digits(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28)).astype(np.uint8)


def test_draws_have_mean_zero_and_variance_one_on_the_scale() -> None:
    means, deviations = posteriors()
    drawn = means + deviations * normal(*means.shape, seed=2)
    values = Scale.of(means, deviations).scaled(drawn).double()
    assert values.mean(dim=(0, 2, 3)).abs().max() < 0.02
    assert (values.var(dim=(0, 2, 3)) - 1).abs().max() < 0.02
    exact = Scale.of(means, torch.zeros_like(means)).scaled(means).double()
    torch.testing.assert_close(
        exact.mean(dim=(0, 2, 3)), torch.zeros(2).double(), atol=1e-5, rtol=0
    )
    variance = exact.var(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(variance, torch.ones(2).double(), atol=1e-4, rtol=0)


def test_a_scale_and_its_inverse_are_the_identity() -> None:
    means, deviations = posteriors(50)
    scale = Scale.of(means, deviations)
    there = scale.scaled(means.double())
    torch.testing.assert_close(scale.unscaled(there), means.double())
    powers = Scale([1.0, -2.0], [0.5, 4.0])
    whole = torch.randint(-99, 99, (5, 2, 3, 3)).float()
    assert torch.equal(powers.unscaled(powers.scaled(whole)), whole)


def test_examples_are_other_draws_each_time_of_the_same_digits() -> None:
    means, deviations = posteriors(40)
    examples = LatentExamples(means, deviations, Scale.of(means, deviations))
    chosen = torch.tensor([3, 7, 3])
    drawn = [examples(chosen, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0][0], drawn[0][2])
    many = torch.cat([examples(chosen, torch.Generator().manual_seed(k)) for k in range(3000)])
    own = examples.scale.unscaled(many).view(3000, 3, 2, 3, 3)[:, 1].double()
    torch.testing.assert_close(own.mean(dim=0), means[7].double(), atol=0.15, rtol=0)
    torch.testing.assert_close(own.std(dim=0), deviations[7].double(), atol=0.15, rtol=0)


def test_a_codec_travels_with_its_scale(tmp_path: Path) -> None:
    network, scale = codec().eval(), Scale([0.1] * 4, [2.0] * 4)
    config = {"network": {"name": "vae", "sizes": {"latent": 4, "side": 7, "channels": [8, 16]}}}
    save_codec(tmp_path, network, config, scale)
    loaded, found = load_codec(tmp_path)
    latents = normal(2, *network.shape)
    assert found == scale
    assert torch.equal(loaded.decode(latents), network.decode(latents))
    Scale([0.1] * 3, [2.0] * 3).save(tmp_path / CODEC / SCALE)
    with pytest.raises(UserError, match="of another codec"):
        load_codec(tmp_path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"mean": [0], "deviation": [0.0]}'])
def test_what_is_no_scale_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / SCALE).write_text(text)
    with pytest.raises(UserError, match="no scale"):
        Scale.load(tmp_path / SCALE)


def test_batches_are_whole_and_padding_is_left_out() -> None:
    seen: list[int] = []

    def double(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(batch))
        return 2 * batch, batch.sum(dim=1)

    inputs = normal(BATCH + 3, 4)
    twice, sums = in_batches(double, inputs, CPU)
    assert torch.equal(twice, 2 * inputs)
    torch.testing.assert_close(sums, inputs.sum(dim=1))
    assert seen == [BATCH, BATCH]


def test_a_digit_goes_there_and_back_alone() -> None:
    network = codec()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    images = digits(7)
    together = there_and_back(network, images, 0, CPU)
    first = there_and_back(network, images[:3], 0, CPU)
    assert np.array_equal(together.of_means[:3], first.of_means)
    assert np.array_equal(together.of_draws[:3], first.of_draws)
    assert not np.array_equal(together.of_draws, together.of_means)
    means, _ = encoded(network, to_tensor(images), CPU)
    back = decoded(network, means, CPU)
    assert np.array_equal(to_uint8(back), together.of_means)
    expected = peak_signal_noise_ratio(back.clamp(-1, 1), to_tensor(images), data_range=2.0)
    assert together.psnr == pytest.approx(float(expected), rel=1e-5)


def test_white_noise_has_all_frequencies_alike_and_smooth_maps_low_ones() -> None:
    noise = normal(4000, 3, 8, 8)
    along = torch.fft.fftfreq(8).abs()
    share = float((along[:, None] + along > 0.5).double().mean())
    assert high_frequencies(noise) == pytest.approx(share, abs=0.01)
    smooth = normal(4000, 3, 1, 1).expand(-1, -1, 8, 8)
    assert high_frequencies(smooth) < 1e-6
    assert high_frequencies(noise * 5 + 3) == pytest.approx(high_frequencies(noise))


def test_what_is_changed_of_digits_is_told() -> None:
    images = np.zeros((2, 28, 28), dtype=np.uint8)
    images[:, 4:24, 12:15] = 255
    assert changes(images, images) == dict.fromkeys(changes(images, images), 0.0)
    wider = images.copy()
    wider[0, 4:24, 15] = 255
    found = changes(images, wider)
    assert 0.3 < found["thickness_bias"] < 0.5
    assert found["thickness_bias"] == pytest.approx(found["thickness_error"])
    assert found["slant_error"] == pytest.approx(0, abs=1e-9)
    assert changes(wider, images)["thickness_bias"] == pytest.approx(-found["thickness_bias"])


def test_operations_are_counted() -> None:
    """A 3×3 convolution of 4 channels to 8, at 5×5: a multiplication and an addition each."""
    layer = nn.Conv2d(4, 8, 3, padding=1)
    assert mflops(layer, torch.zeros(1, 4, 5, 5)) == pytest.approx(2 * 4 * 8 * 9 * 25 / 1e6)
