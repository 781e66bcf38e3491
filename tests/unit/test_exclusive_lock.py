import errno
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import discard_lock, exclusive_lock

pytestmark = pytest.mark.usefixtures("in_tmp_path")

HOLD = """
import sys, time
from mnist_diffusion.runtime.locks import exclusive_lock
with exclusive_lock("train@a"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder():
    """Another process that writes train@a."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_refused_in_one_line_that_names_the_first(holder):
    line = f"train@a: is being written by another process \\(pid {holder.pid}\\); wait for it, or"
    with pytest.raises(UserError, match=f"^{line} end it$"), exclusive_lock("train@a"):
        pytest.fail("two writers")
    with exclusive_lock("train@b"):
        pass


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGKILL])
def test_a_dead_writer_holds_nothing(holder, death):
    holder.send_signal(death)
    holder.wait()
    with exclusive_lock("train@a"):
        assert (paths.LOCKS / "train@a").read_text() == str(os.getpid())


def test_an_error_inside_lets_go():
    with pytest.raises(ValueError, match="inside"), exclusive_lock("train@a"):
        raise ValueError("inside")
    with exclusive_lock("train@a"), pytest.raises(UserError), exclusive_lock("train@a"):
        pytest.fail("two writers")


def test_a_lock_whose_file_was_deleted_meanwhile_is_taken_anew(monkeypatch):
    real, calls = fcntl.flock, []

    def flock(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            discard_lock("train@a")  # as its holder may, between our open and our lock
        real(*arguments)

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive_lock("train@a"), pytest.raises(UserError), exclusive_lock("train@a"):
        pytest.fail("two writers")


def test_a_discarded_lock_leaves_no_file():
    with exclusive_lock("train@a"):
        discard_lock("train@a")
    assert list(paths.LOCKS.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / ".work").write_text("in the way")
    with pytest.raises(UserError, match=r"^\.work/locks/train@a: cannot be locked \(Not a dir"):
        exclusive_lock("train@a").__enter__()


def test_a_disk_without_locks_is_told(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\); make "):
        exclusive_lock("train@a").__enter__()


def test_a_lock_is_not_inherited_by_what_its_holder_starts():
    with exclusive_lock("train@a"):
        child = subprocess.Popen(["sleep", "30"])
    try:
        time.sleep(0.05)
        with exclusive_lock("train@a"):
            pass
    finally:
        child.kill()
        child.wait()
