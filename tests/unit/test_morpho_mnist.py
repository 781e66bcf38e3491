"""Real digits as measured here, beside Morpho-MNIST's own measurements of them."""

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.mnist import read_digits

MORPHO_MNIST = Path(__file__).with_name("morpho_mnist.csv")
"""Every 25th test digit as measured by the code of github.com/dccastro/Morpho-MNIST (3a20ed3, MIT
licence) with scikit-image 0.26: pixels, degrees, pixels."""


def test_real_digits_are_measured_as_morpho_mnist_measures_them(raw_mnist: Path) -> None:
    table = np.loadtxt(MORPHO_MNIST, delimiter=",", skiprows=1)
    digits = read_digits(raw_mnist, "t10k").images[table[:, 0].astype(int)]
    found = Attributes.of(digits)
    assert len(table) == 400
    assert spearmanr(found.thickness, table[:, 1]).statistic > 0.98
    assert np.abs(found.thickness - table[:, 1]).mean() < 0.15
    assert np.abs(found.slant - table[:, 2]).max() < 1.0
    assert spearmanr(found.slant, table[:, 2]).statistic > 0.999
    assert spearmanr(found.width, table[:, 3]).statistic > 0.95
