"""What settles when, and where a loss lies: waves and weights whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from mnist_diffusion.evaluation.loss_shares import loss_shares
from mnist_diffusion.evaluation.settling import settled

PLACE = np.arange(28) / 28
COARSE = np.tile(np.sin(2 * np.pi * 2 * PLACE), (28, 1))
FINE = np.tile(np.sin(2 * np.pi * 10 * PLACE), (28, 1))
BETAS = np.linspace(1e-4, 0.02, 999)


def test_waves_settle_when_they_come() -> None:
    """Of 2 cycles from the third step on, of 10 from the sixth; image 1 is there from the start."""
    slow = np.stack([(t >= 3) * COARSE + (t >= 6) * FINE for t in range(10)])
    frames = np.stack([slow, np.broadcast_to(COARSE + FINE, (10, 28, 28))], axis=1)
    last = np.stack([COARSE + FINE] * 2)
    assert settled(frames, last, 0, 3).tolist() == [0.3, 0]
    assert settled(frames, last, 7, 20).tolist() == [0.6, 0]


def test_what_goes_astray_again_has_not_settled() -> None:
    frames = np.stack([COARSE if t != 7 else -COARSE for t in range(10)])[:, None]
    assert settled(frames, COARSE[None], 0, 3).tolist() == [0.8]


def logged(losses: list[float], steps: int = 5) -> pd.DataFrame:
    """The same eps-MSE in each third, at every logged step."""
    rows = [
        {"step": 20 * step, "bin_start": 333 * third, "bin_end": 333 * (third + 1), "loss": loss}
        for step in range(1, steps + 1)
        for third, loss in enumerate(losses)
    ]
    return pd.DataFrame(rows)


def test_the_plain_loss_lies_where_it_was_measured() -> None:
    shares = loss_shares(logged([6.0, 3.0, 1.0]), BETAS, "epsilon", {})
    assert shares.shape == (4, 3)  # the first fifth is left out
    assert shares[0] == pytest.approx([0.6, 0.3, 0.1])


def test_neighbouring_windows_are_one_block() -> None:
    """Of 30 windows a fifth is left out; 24 are 6 blocks, and what drifts slowly is no luck."""
    random = np.random.default_rng(0)
    walk = 3 + np.cumsum(random.normal(0, 0.1, 30))
    measured = pd.concat(
        [logged([6.0, loss, 1.0], 1).assign(step=20 * k) for k, loss in enumerate(walk)]
    )
    shares = loss_shares(measured, BETAS, "epsilon", {})
    middle = walk[6:].reshape(6, 4).mean(axis=1)
    assert shares[:, 1] == pytest.approx(middle / (7 + middle))
    windows = walk[6:] / (7 + walk[6:])
    assert shares[:, 1].std() / 6**0.5 > 1.5 * windows.std() / 24**0.5


def test_what_a_window_has_not_drawn_is_no_loss_of_0() -> None:
    measured = logged([6.0, 3.0, 1.0], steps=20)
    unseen = measured[(measured["step"] % 40 == 0) | (measured["bin_start"] < 600)]
    shares = loss_shares(unseen, BETAS, "epsilon", {})
    assert shares == pytest.approx(np.tile([0.6, 0.3, 0.1], (6, 1)))


def test_p2_moves_it_by_its_weight_on_the_error_in_epsilon() -> None:
    alphas_bar = np.cumprod(1 - BETAS)
    weights = 1 - alphas_bar  # 1 / (1 + SNR)
    expected = weights.reshape(3, 333).sum(axis=1) * [6.0, 3.0, 1.0]
    shares = loss_shares(logged([6.0, 3.0, 1.0]), BETAS, "p2", {"k": 1.0, "gamma": 1.0})
    assert shares[-1] == pytest.approx(expected / expected.sum())
    unit = loss_shares(
        logged([6.0, 3.0, 1.0]), BETAS, "p2", {"k": 1.0, "gamma": 1.0, "unit_mean": True}
    )
    assert unit == pytest.approx(shares)


def test_without_signal_there_is_no_error_in_epsilon_to_weigh() -> None:
    betas = np.append(BETAS, 1.0)
    shares = loss_shares(logged([6.0, 3.0, 1.0]), betas, "v", {})
    assert np.isfinite(shares).all()
