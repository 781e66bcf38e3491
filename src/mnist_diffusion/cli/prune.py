"""`mnist-diffusion prune`: what runs and cells left behind that params.yaml declares no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import STAGES, declared
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import LOCKS, discard_lock, exclusive_lock
from mnist_diffusion.settings import Settings, load_settings

RESUME = paths.WORK / "resume"
YARDSTICKS = ("yardstick", "yardstick-drawn")
"""What TSTR keeps of a cell, so that more seeds need no drawing."""


@dataclass(frozen=True)
class Stray:
    """A file or a folder that nothing declares."""

    path: Path
    address: str
    """Whose it was: while somebody writes there, it is left alone."""

    @property
    def size(self) -> int:
        """Bytes; a link counts as itself."""
        inside = self.path.rglob("*") if _is_folder(self.path) else ()
        return sum(p.lstat().st_size for p in (self.path, *inside) if not _is_folder(p))


@dataclass(frozen=True)
class Place:
    """A folder that holds one thing a run, cell or stage."""

    folder: Path
    names: Iterable[str]
    """What is declared to be there."""
    stage: str = ""
    """Whose these are; the names are addresses if of all."""
    suffix: str = ""

    def strays(self) -> Iterator[Stray]:
        """What is there besides; hidden files are nobody's leftovers."""
        if not self.folder.resolve().is_relative_to(Path.cwd().resolve()):
            print(f"{self.folder}: is behind a link out of the repository; left alone")
            return
        known = {name.casefold() for name in self.names}  # on some disks A and a are one
        for path in sorted(self.folder.glob("*")):
            name = path.name.removesuffix(self.suffix)
            hidden = path.name.startswith(".") or not path.name.endswith(self.suffix)
            only_folders = self.stage and not self.suffix
            foreign = only_folders and path.is_file() and not path.is_symlink()
            if not hidden and not foreign and name.casefold() not in known:
                yield Stray(path, f"{self.stage}@{name}" if self.stage else name)


def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is shown.")] = False,
) -> None:
    """Show what no run or cell of params.yaml declares any more, and remove it."""
    found = [stray for place in _places(load_settings()) for stray in place.strays()]
    width = max((len(str(stray.path)) for stray in found), default=0)
    for stray in found:
        print(f"{stray.path!s:<{width}}  {decimal(stray.size):>9}")
    total = decimal(sum(stray.size for stray in found))
    if not found:
        print("nothing to prune: all that is there is declared")
    elif not yes:
        print(f"{len(found)} in all, {total}; run again with --yes to remove them")
    else:
        _remove_all(found)
        print(f"removed {len(found)}, {total}; `make repro` brings the report into line")


def _places(settings: Settings) -> Iterator[Place]:
    """In the order of the pipeline."""
    singles = [one.folder("") for one in STAGES.values() if one.folder and not one.per]
    shared = {one.folder("any").parent for one in STAGES.values() if one.folder and one.per}
    places: dict[Path, Place] = {}  # runs and students share one
    for stage in (one for one in STAGES.values() if one.per):
        for place in filter(None, (stage.folder, stage.pictures, stage.report)):
            folder, suffix = place("any").parent, place("any").suffix
            others = [one.name for one in (*singles, *shared) if one.parent == folder]
            own = [*map(str, stage.names(settings)), *others]
            known = places.setdefault(folder, Place(folder, [], stage.name, suffix))
            places[folder] = replace(known, names=[*known.names, *own])
    yield from places.values()
    addresses = [stage.address(name) for stage, name in declared(settings)]
    yield Place(paths.TIMINGS, addresses, suffix=".json")
    addresses += [f"{kind}@{cell}" for kind in YARDSTICKS for cell in settings.cells]
    addresses += [path.name for path in RESUME.glob("yardstick-real@*")]  # by number, of any cell
    yield Place(RESUME, addresses)
    yield Place(LOCKS, addresses)


def _remove_all(found: Iterable[Stray]) -> None:
    left = []
    for stray in found:
        try:
            with exclusive_lock(stray.address):
                _remove(stray.path)
                discard_lock(stray.address)
        except UserError as error:
            left.append(str(error))
        except OSError as error:
            left.append(f"{stray.path}: {error.strerror}; remove it by hand")
    if left:
        raise UserError(left[0] + (f" (and {len(left) - 1} more were left)" if left[1:] else ""))


def _remove(path: Path) -> None:
    """A link is removed, and what it points to is not."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
