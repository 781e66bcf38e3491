"""The IDX parser: it reads what the format says and refuses all else in one line."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from mnist_diffusion.dataset.idx import parse_images, parse_labels, read_digits
from mnist_diffusion.runtime.errors import UserError

PARSERS = [parse_images, parse_labels]


def encode(array: np.ndarray) -> bytes:
    """Write IDX, straight from the description of the format."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


IMAGES = encode(np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256)
LABELS = encode(np.array([7, 0, 9]))


@given(
    numpy_strategies.arrays(
        np.uint8, st.integers(1, 3).map(lambda n: (n, 28, 28)), elements=st.integers(0, 255)
    )
)
def test_images_come_back_as_they_were_written(images):
    assert np.array_equal(parse_images(encode(images), "file"), images)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_labels_come_back_as_they_were_written(labels):
    parsed = parse_labels(encode(np.array(labels)), "file")
    assert parsed.tolist() == labels
    assert parsed.dtype == np.int64


@pytest.mark.parametrize("parse", PARSERS)
@given(
    st.binary(max_size=64)
    | st.tuples(
        st.sampled_from([IMAGES[:4], LABELS[:4]]),
        st.lists(st.sampled_from([0, 1, 28, 2**31, 2**32 - 1]), max_size=4).map(
            lambda sizes: struct.pack(f">{len(sizes)}I", *sizes)
        ),
        st.binary(max_size=64),
    ).map(b"".join)
)
def test_arbitrary_bytes_are_parsed_or_refused_in_one_line(parse, content):
    try:
        parse(content, "file")
    except UserError as error:
        assert_one_line(error)


@pytest.mark.parametrize(
    ("parse", "content", "cause"),
    [
        (parse_images, b"", "starts with nothing"),
        (parse_images, LABELS, "magic number"),
        (parse_labels, IMAGES, "magic number"),
        (parse_images, gzip.compress(IMAGES), "magic number"),
        (parse_images, b"\0\0\x09\x03" + IMAGES[4:], "magic number"),
        (parse_images, IMAGES[:15], "header of 16 bytes"),
        (parse_images, IMAGES[:-1], "truncated"),
        (parse_images, IMAGES + b"\0", "trailing bytes"),
        (parse_images, encode(np.zeros((3, 27, 28))), "images of 27×28"),
        (parse_images, encode(np.zeros((0, 28, 28))), "no items"),
        (parse_labels, encode(np.array([3, 10])), "label 10"),
        (parse_labels, LABELS[:-1], "truncated"),
        (parse_labels, LABELS + b"\0", "trailing bytes"),
        (parse_labels, encode(np.array([])), "no items"),
    ],
)
def test_bad_files_are_refused(parse, content, cause):
    with pytest.raises(UserError, match=cause) as refusal:
        parse(content, "folder/file")
    assert str(refusal.value).startswith("folder/file: ")
    assert_one_line(refusal.value)


@pytest.mark.parametrize(
    ("parse", "header"),
    [
        (parse_images, struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 28, 28)),
        (parse_labels, struct.pack(">4BI", 0, 0, 8, 1, 2**31)),
    ],
)
def test_items_by_the_billion_are_refused_before_memory_is_taken(parse, header):
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="truncated"):
            parse(header, "file")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_images_and_labels_must_pair_up(tmp_path: Path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(IMAGES)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(encode(np.array([1, 2])))
    with pytest.raises(UserError, match="2 labels for 3 images"):
        read_digits(tmp_path, "train")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte: cannot be read"):
        read_digits(tmp_path, "t10k")


def test_the_real_digits(raw_mnist: Path):
    train, test = read_digits(raw_mnist, "train"), read_digits(raw_mnist, "t10k")
    assert train.images.shape == (60_000, 28, 28)
    assert test.images.shape == (10_000, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]  # as on the pages that introduce MNIST
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def assert_one_line(error: UserError) -> None:
    message = str(error)
    assert "\n" not in message
    assert "; " in message  # what to do
