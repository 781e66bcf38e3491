"""Training of codecs and encoders: losses are what they say, and a stop changes nothing."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from test_training import RECIPE
from torch import Tensor, nn

from mnist_diffusion.dataset import grammar
from mnist_diffusion.dataset.levels import LEVELS, truth
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.prompts import understand
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codecs import CODECS
from mnist_diffusion.networks.encoders import ENCODERS
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import seeded
from mnist_diffusion.settings.encoders import ClipTraining, Codec, CodecTraining
from mnist_diffusion.training import compression, contrast
from mnist_diffusion.training.compression import Compression
from mnist_diffusion.training.contrast import Contrast
from mnist_diffusion.training.epochs import Epochs, Streams
from mnist_diffusion.training.learner import Learner, with_checkpoints
from mnist_diffusion.training.loop import Objective, build_optimizers, fit
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.training.resumable import LossRecord, train_resumably

pytestmark = pytest.mark.usefixtures("in_tmp_path")

CPU = torch.device("cpu")
STEPS, STOP = 6, 4
COUNT, BATCH = 40, 16
MUON = RECIPE.model_copy(update={"parts": 1})
ADAM = MUON.model_copy(update={"optimizer": "adam", "muon_learning_rate": None})
CODEC = CodecTraining(channels=[8, 16], divergence_weight=0.01, log_every=4, seed=3, recipe=MUON)
CLIP = ClipTraining.model_validate(
    {
        "text": {"width": 16, "layers": 1, "heads": 2},
        "image": {"channels": [8, 8, 8]},
        "vector": 8,
        "word_dropout": 0.2,
        "log_every": 4,
        "seed": 3,
        "recipe": ADAM,
    }
)
PLAIN = Codec(latent=4, side=7, shrunk=0.0)


def digits() -> Tensor:
    randomness = torch.Generator().manual_seed(7)
    return torch.randint(256, (COUNT, 28, 28), generator=randomness, dtype=torch.uint8)


def levels() -> np.ndarray:
    randomness = np.random.default_rng(0)
    return np.stack([randomness.integers(0, n, COUNT) for n in LEVELS], axis=1)


def codec() -> tuple[nn.Module, Objective]:
    sizes = {"latent": 4, "side": 7, "channels": CODEC.channels}
    network = seeded(lambda: checkpoint.build(CODECS, "vae", sizes), seed=1)
    return network, Compression(digits(), PLAIN, CODEC, CPU)


def clip() -> tuple[nn.Module, Objective]:
    text = {"tokens": grammar.TOKENS, "length": grammar.LENGTH, "padding": grammar.PADDING}
    sizes = {
        "text": text | CLIP.text.model_dump(),
        "image": CLIP.image.model_dump(),
        "vector": CLIP.vector,
    }
    network = seeded(lambda: checkpoint.build(ENCODERS, "clip", sizes), seed=1)
    return network, Contrast(digits(), levels(), CLIP, CPU)


KINDS = [
    pytest.param(codec, CODEC, compression.DETAILS, id="codec"),
    pytest.param(clip, CLIP, contrast.DETAILS, id="clip"),
]
Make = Callable[[], tuple[nn.Module, Objective]]


def test_an_epoch_shows_each_digit_once_at_the_most() -> None:
    epochs = Epochs(10, 3, Streams("test", 0))
    shown = [torch.cat([epochs(step) for step in range(k, k + 3)]) for k in (0, 3)]
    assert [len(set(one.tolist())) for one in shown] == [9, 9]
    assert not torch.equal(*shown)
    assert torch.equal(Epochs(10, 3, Streams("test", 0))(4), epochs(4))
    assert not torch.equal(Epochs(10, 3, Streams("test", 1))(4), epochs(4))


def test_a_codecs_loss_is_error_and_divergence() -> None:
    network, objective = codec()
    assert isinstance(objective, Compression)
    loss, details = objective(network, 2)
    x, noise = objective.batch(2)
    said = network.get_submodule("encoder")(x)
    mean, log_variance = said[:, :4], said[:, 4:]
    back = network.get_submodule("decoder")(mean + log_variance.mul(0.5).exp() * noise)
    standard = torch.distributions.Normal(0.0, 1.0)
    posterior = torch.distributions.Normal(mean, log_variance.mul(0.5).exp())
    divergence = torch.distributions.kl_divergence(posterior, standard)
    expected = nn.functional.mse_loss(back, x) + 0.01 * divergence.mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(details[:, 1], divergence.mean(dim=(1, 2, 3)).detach())
    assert details.shape == (BATCH, 2)


def test_a_codec_is_held_against_shrunk_digits_at_its_share_of_the_steps() -> None:
    network, _ = codec()
    often = PLAIN.model_copy(update={"shrunk": 0.5})
    objective = Compression(digits(), often, CODEC, CPU)
    sides = [objective.side(step) for step in range(400)]
    assert set(sides) == {4, 5, 6, 7}
    assert 160 < sides.count(7) < 240
    step = sides.index(5)
    x, noise = objective.batch(step)
    back, _ = network(x, noise, 5)
    small = nn.functional.interpolate(x, (20, 20), mode="bilinear", antialias=True)
    details = objective(network, step)[1]
    expected = (back - small).square().mean(dim=(1, 2, 3)).detach()
    torch.testing.assert_close(details[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_clips_loss_is_that_of_every_pair_by_brute_force() -> None:
    network, objective = clip()
    assert isinstance(objective, Contrast)
    loss, details = objective(network, 1)
    tokens, images, true = objective.batch(1)
    logits = network(tokens, images).double()
    of_captions = [
        sum(
            -torch.log(torch.sigmoid(logit if yes else -logit))
            for logit, yes in zip(row, answers, strict=True)
        )
        for row, answers in zip(logits, true, strict=True)
    ]
    expected = torch.stack([torch.as_tensor(one) for one in of_captions])
    torch.testing.assert_close(loss.double(), expected.mean(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(details[:, 0].double(), expected.detach(), rtol=1e-5, atol=1e-5)


def test_what_a_caption_is_true_of_is_read_from_its_words() -> None:
    """Of captions without hidden words, as a person's prompt is read."""
    objective = Contrast(digits(), levels(), CLIP.model_copy(update={"word_dropout": 0.0}), CPU)
    tokens, images, true = objective.batch(1)
    words = {token: word for word, token in grammar.VOCABULARY.items()}
    texts = [" ".join(words[t] for t in row if t > grammar.END) for row in tokens.tolist()]
    asked = np.array([understand(text).asked for text in texts])
    pixels = to_tensor(digits())
    chosen = [int((pixels == image).all(dim=(1, 2, 3)).nonzero()[0]) for image in images]
    assert np.array_equal(true.numpy(), truth(asked, levels()[chosen]))
    assert bool((true.diag() == 1).all())


def test_words_are_hidden_and_ends_are_not() -> None:
    _, objective = clip()
    plain = Contrast(digits(), levels(), CLIP.model_copy(update={"word_dropout": 0.0}), CPU)
    assert isinstance(objective, Contrast)
    hidden = torch.cat([objective.batch(step)[0] for step in range(20)])
    shown = torch.cat([plain.batch(step)[0] for step in range(20)])
    changed = hidden != shown
    assert bool((hidden[changed] == grammar.UNKNOWN).all())
    assert bool((shown[changed] > grammar.END).all())
    assert float(changed.sum() / (shown > grammar.END).sum()) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("make", "settings", "details"), KINDS)
def test_it_goes_on_as_if_it_had_never_stopped(
    make: Make, settings: Any, details: tuple[str, ...]
) -> None:
    recipe = settings.recipe.model_copy(update={"steps": STEPS})
    kept = Resumption("train@whole", "a" * 64)
    network, objective = make()
    whole = train_resumably(network, objective, recipe, details, kept)

    stopped, objective = make()
    average, optimizers = ExponentialAverage(stopped, recipe.ema), build_optimizers(stopped, recipe)
    training = LossRecord(Learner(stopped, optimizers, average), details)
    steps = fit(stopped, objective, recipe, average, optimizers)
    again = Resumption("train@stopped", "a" * 64)
    list(islice(with_checkpoints(steps, training, again), STOP))
    again.save(*training.state(STOP))

    resumed, objective = make()
    record = train_resumably(resumed, objective, recipe, details, again)
    assert digests(resumed) == digests(network)
    assert record.rows == whole.rows
    assert [row["step"] for row in record.rows] == list(range(1, STEPS + 1))
    assert not resumed.training


def digests(network: nn.Module) -> dict[str, str]:
    return {name: array_digest(t) for name, t in checkpoint.weights(network).items()}


@pytest.mark.parametrize(("make", "settings", "details"), KINDS)
def test_training_lowers_the_loss(make: Make, settings: Any, details: tuple[str, ...]) -> None:
    recipe = settings.recipe.model_copy(update={"steps": 30})
    network, objective = make()
    record = train_resumably(network, objective, recipe, details, Resumption("a", "a" * 64))
    losses = [row["loss"] for row in record.rows]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_a_history_is_means_over_windows() -> None:
    def rows() -> Iterator[dict[str, float]]:
        for step in range(1, 8):
            yield {"step": step, "loss": step**2, "learning_rate": 1 / step, "error": -step}

    learner = Learner(nn.Identity(), [], None)  # type: ignore[arg-type]
    table = LossRecord(learner, ("error",), list(rows())).history(every=3)
    assert table["step"].tolist() == [3, 6, 7]
    assert table["loss"].tolist() == pytest.approx([14 / 3, 77 / 3, 49])
    assert table["learning_rate"].tolist() == pytest.approx([1 / 3, 1 / 6, 1 / 7])
    assert table["error"].tolist() == [-2, -5, -7]
