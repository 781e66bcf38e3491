"""`mnist-diffusion prune`: what runs and cells left behind that params.yaml declares no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import STAGES, declared
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import discard_lock, exclusive_lock
from mnist_diffusion.settings import Settings, load_settings

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


def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is shown.")] = False,
) -> None:
    """Show what no run or cell of params.yaml declares any more, and remove it."""
    found = [*_strays(load_settings())]
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


def _strays(settings: Settings) -> Iterator[Stray]:
    """What lies beside the declared runs, cells and stages, in the order of the pipeline.

    Hidden files, and files beside folders that stages publish, are nobody's leftovers.
    """
    known, folders = _places(settings)
    there = {str(path).casefold() for path in known}  # on some disks A and a are one
    for folder, (suffix, beginning) in folders.items():
        if not folder.resolve().is_relative_to(Path.cwd().resolve()):
            print(f"{folder}: is behind a link out of the repository; left alone")
            continue
        for path in sorted(folder.glob(f"[!.]*{suffix}")):
            foreign = beginning and not suffix and path.is_file() and not path.is_symlink()
            if not foreign and str(path).casefold() not in there:
                yield Stray(path, beginning + path.name.removesuffix(suffix))


def _places(settings: Settings) -> tuple[set[Path], dict[Path, tuple[str, str]]]:
    """All that is declared, and the folders of which each holds one thing a run, cell or stage.

    With how names end there, and how the addresses of those begin.
    """
    known: set[Path] = set()
    folders: dict[Path, tuple[str, str]] = {}
    for stage in STAGES.values():
        for place in filter(None, (stage.folder, stage.pictures, stage.report)):
            known |= {place(name or "") for name in stage.names(settings)}
            if stage.per:  # runs and students share a folder
                folders.setdefault(place("any").parent, (place("any").suffix, f"{stage.name}@"))
    addresses = [stage.address(name) for stage, name in declared(settings)]
    known |= {paths.TIMINGS / f"{address}.json" for address in addresses}
    addresses += [f"{kind}@{cell}" for kind in YARDSTICKS for cell in settings.cells]
    real = paths.RESUME.glob("yardstick-real@*")  # by number, of any cell
    addresses += [path.name for path in real]
    known |= {folder / one for folder in (paths.RESUME, paths.LOCKS) for one in addresses}
    folders |= {paths.TIMINGS: (".json", ""), paths.RESUME: ("", ""), paths.LOCKS: ("", "")}
    return known | folders.keys(), folders


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
