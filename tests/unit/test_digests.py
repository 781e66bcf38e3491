import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance import digests, environment

GOLDEN_ARRAY = "d7508f5baf4d31d407f77342f217fce00dc7fc3f93840bead99ad709bdb42b50"
DIGITS = np.arange(6, dtype=np.uint8).reshape(2, 3)


def test_golden_values():
    # printf '|u1 (2, 3)\n\0\1\2\3\4\5' | sha256sum
    assert digests.array_digest(DIGITS) == GOLDEN_ARRAY
    assert digests.file_digest(Path("/dev/null")) == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize(
    "other",
    [
        DIGITS.astype(np.int8),
        DIGITS.astype(np.int64),
        DIGITS.reshape(3, 2),
        DIGITS.reshape(6),
        DIGITS.reshape(1, 2, 3),
        np.where(DIGITS == 5, 4, DIGITS).astype(np.uint8),
    ],
    ids=["sign", "width", "shape", "flat", "extra axis", "one byte"],
)
def test_dtype_shape_and_every_byte_count(other):
    assert digests.array_digest(other) != digests.array_digest(DIGITS)


def test_signed_zeros_differ():
    assert digests.array_digest(np.array([0.0])) != digests.array_digest(np.array([-0.0]))


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8", "?"])
def test_memory_layout_does_not_count(dtype):
    array = DIGITS.astype(dtype)
    wanted = digests.array_digest(array)
    assert digests.array_digest(np.asfortranarray(array)) == wanted
    assert digests.array_digest(np.repeat(array, 2, axis=1)[:, ::2]) == wanted
    assert digests.array_digest(array.astype(array.dtype.newbyteorder(">"))) == wanted


def test_a_tensor_is_digested_as_its_array():
    array = DIGITS.astype(np.float32)
    tensor = torch.from_numpy(array).requires_grad_()
    assert digests.array_digest(tensor) == digests.array_digest(array)
    transposed = torch.from_numpy(array.T.copy()).T
    assert digests.arrays_digest({"w": transposed}) == digests.arrays_digest({"w": array})


@pytest.mark.parametrize("array", [np.array(3.0), np.zeros((0, 28, 28), np.uint8)])
def test_scalars_and_empty_arrays_have_digests(array):
    assert digests.array_digest(array) != digests.array_digest(array[None])


def test_objects_are_refused():
    with pytest.raises(TypeError, match="Python objects"):
        digests.array_digest(np.array([{}]))


def test_names_count_and_their_order_does_not():
    a, b = DIGITS, DIGITS.T
    assert digests.arrays_digest({"a": a, "b": b}) == digests.arrays_digest({"b": b, "a": a})
    assert digests.arrays_digest({"a": a, "b": b}) != digests.arrays_digest({"a": b, "b": a})


def test_json_digest_is_that_of_the_written_file(tmp_path):
    content = {"b": [1, None, 0.5], "a": "ä"}
    write_json(tmp_path / "x.json", content)
    assert digests.json_digest(content) == digests.file_digest(tmp_path / "x.json")
    assert digests.json_digest({"a": "ä", "b": [1, None, 0.5]}) == digests.json_digest(content)


def test_environment_is_the_same_twice_and_all_text():
    first = environment.environment("cpu")
    assert first == environment.environment("cpu")
    assert all(isinstance(value, str) for value in first.values())
    assert environment.environment().items() < first.items()
    assert first["torch"] == torch.__version__


def test_a_repository_of_another_user_has_a_commit(tmp_path, monkeypatch):
    """A container's mount: git itself refuses to tell there."""
    monkeypatch.chdir(tmp_path)
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    for command in (["init"], [*identity, "commit", "--allow-empty", "-m", "as it is"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True).returncode != 0
    found = environment.git_commit()
    assert len(found["git_commit"]) == 40 and found["git_dirty"] is False


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert environment.git_commit() == {"git_commit": None, "git_dirty": None}
