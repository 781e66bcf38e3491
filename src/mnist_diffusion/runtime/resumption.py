"""State of unfinished work, in .work/resume/<address>/: whole or not there, and only of its key."""

import hashlib
import json
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError

SUFFIX = ".safetensors"

State = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors, and facts that JSON can hold; floats come back exactly."""


class Resumption:
    """What a stage has kept of its work so far, to go on from after it was killed.

    `address` is the stage's, such as train@cosine-class; `key` is a digest of all that decides its
    result, so that the state of other code, of another layout too, of other parameters or inputs
    is never gone on from.
    """

    def __init__(self, address: str, key: str):
        self.address = address
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._folder = paths.RESUME / address
        self._started = time.monotonic()
        self._saved = set[Path]()
        self.earlier_seconds = 0.0
        """What earlier processes have taken for what was gone on from, once that is loaded."""

    def load(self) -> State | None:
        """The newest whole state of this key, if there is one; sweeps like `parts`."""
        return self.parts().get(0)

    def parts(self) -> dict[int, State]:
        """All whole states of this key by part; broken ones, of other keys and scraps are removed.

        A broken one is announced in a line on stderr.
        """
        found: dict[int, State] = {}
        for path in sorted(self._folder.glob("*")):
            state = self._read(path) if path.name.startswith(self._key[:16]) else None
            if state is not None and path.suffix == SUFFIX:
                found[int(path.stem.rpartition("-")[2])] = state
            else:
                with suppress(OSError):
                    path.unlink()
        return found

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any], part: int = 0) -> None:
        """Keep a state in the place of an older one of its part; UserError if it cannot be."""
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        seconds = self.earlier_seconds + time.monotonic() - self._started
        text = json.dumps({"facts": facts, "seconds": seconds})
        metadata = {"text": text, "digest": _digest(tensors, self._key, text)}
        path = self._folder / f"{self._key[:16]}-{part:06d}{SUFFIX}"
        try:
            write_atomically(path, serialise(tensors, metadata), durable=True)
            self._saved.add(path)
        except OSError as error:
            raise UserError(
                f"{path}: not written ({error.strerror}); mend that and run this again: it "
                "goes on from the state before"
            ) from None

    def clear(self) -> None:
        """Forget all states of this address: its work is published."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, path: Path) -> State | None:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = metadata.get("text", "")
            if metadata.get("digest") != _digest(tensors, self._key, text):
                raise ValueError("its content is not what its digest says")
            told = json.loads(text)
            if path not in self._saved:
                self.earlier_seconds = max(self.earlier_seconds, told["seconds"])
            return tensors, told["facts"]
        except (OSError, SafetensorError, ValueError) as error:
            cause = (str(error).splitlines() or [type(error).__name__])[0]
            sys.stderr.write(f"warning: {path}: {cause}; starting anew\n")
            return None


def _digest(tensors: dict[str, Tensor], key: str, text: str) -> str:
    """Without metadata the same tensors are always the same bytes."""
    return hashlib.sha256(serialise(tensors) + f"{key}\n{text}".encode()).hexdigest()
