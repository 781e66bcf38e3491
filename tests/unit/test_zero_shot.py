"""What is told of text and image encoder, on encoders whose answers are known."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from mnist_diffusion.dataset import grammar
from mnist_diffusion.dataset.levels import DIGIT, LEVELS, NOTHING, SLANT, THICKNESS, Corners
from mnist_diffusion.dataset.prompts import understand
from mnist_diffusion.evaluation.zero_shot import auc, scores

CPU = torch.device("cpu")
LEVELS_OF_ALL = np.array(list(itertools.product(*map(range, LEVELS))))
CORNERS = Corners([(1, 1), (3, 3)] * 5)
WORDS = {token: word for word, token in grammar.VOCABULARY.items()}
SIDE = 28


class Knowing(nn.Module):
    """Reads captions as a person does, and images that have their levels written in pixels."""

    def __init__(self, wrong: bool = False):
        super().__init__()
        self._sign = -1.0 if wrong else 1.0

    def text(self, tokens: Tensor) -> Tensor:
        return torch.stack([self._text(row) for row in tokens.tolist()])

    def _text(self, row: list[int]) -> Tensor:
        said = " ".join(WORDS[token] for token in row if token > grammar.END)
        asked = understand(said).asked if said else (NOTHING,) * 4
        parts = [
            torch.zeros(count) if code == NOTHING else self._near(count, code)
            for count, code in zip(LEVELS, asked, strict=True)
        ]
        return self._sign * torch.cat(parts)

    def _near(self, count: int, code: int) -> Tensor:
        if count == 10:
            return torch.eye(count)[code]
        return -(torch.arange(count) - code).abs().float()

    def image(self, x: Tensor) -> Tensor:
        levels = ((x[:, 0, 0, :4] + 1) * 127.5).round().long()
        parts = [torch.eye(count)[levels[:, c]] for c, count in enumerate(LEVELS)]
        return torch.cat(parts, dim=1)


def images() -> np.ndarray:
    pixels = np.zeros((len(LEVELS_OF_ALL), SIDE, SIDE), dtype=np.uint8)
    pixels[:, 0, :4] = LEVELS_OF_ALL
    return pixels


def test_the_area_is_that_of_scikit_learn() -> None:
    randomness = np.random.default_rng(0)
    for ties in (False, True):
        true = randomness.random(200) < 0.3
        values = randomness.normal(size=200) + true
        values = values.round() if ties else values
        assert auc(true, values) == pytest.approx(roc_auc_score(true, values))


def test_who_knows_all_is_always_right() -> None:
    found = scores(Knowing(), images(), LEVELS_OF_ALL, CORNERS, 0, CPU)  # type: ignore[arg-type]
    for key in ("digit_by_word", "digit_by_numeral", "thickness_of_two", "slant_of_two"):
        assert found[key] == 1.0, key
    assert found["held_out_of_four"] == 1.0
    assert found["held_out"] == CORNERS.hold(LEVELS_OF_ALL).sum()
    assert found["auc"] > 0.9


def test_who_has_it_all_wrong_is_never_right() -> None:
    knowing = Knowing(wrong=True)
    found = scores(knowing, images(), LEVELS_OF_ALL, CORNERS, 0, CPU)  # type: ignore[arg-type]
    for key in ("digit_by_word", "thickness_of_two", "slant_of_two", "held_out_of_four"):
        assert found[key] == 0.0, key
    assert found["auc"] < 0.1


def test_a_middle_level_counts_only_where_there_are_three() -> None:
    middle = LEVELS_OF_ALL[(LEVELS_OF_ALL[:, [THICKNESS, SLANT]] == 2).all(axis=1)]
    pixels = images()[(LEVELS_OF_ALL[:, [THICKNESS, SLANT]] == 2).all(axis=1)]
    found = scores(Knowing(), pixels, middle, CORNERS, 0, CPU)  # type: ignore[arg-type]
    assert found["thickness_of_three"] == found["slant_of_three"] == 1.0
    assert found["thickness_of_two"] == 0.0  # of none
    assert set(middle[:, DIGIT]) == set(range(10))
