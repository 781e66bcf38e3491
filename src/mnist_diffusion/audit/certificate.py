"""`mnist-diffusion verify`: how far a run that was repeated agrees with the committed one, told."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mnist_diffusion.audit.commits import unpack
from mnist_diffusion.audit.output import from_there
from mnist_diffusion.files import jsonfile, paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.environment import git
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import parse_settings

VERDICTS = {"same bits": 0, "reproduced": 0, "not reproduced": 1, "unverified": 2}
"""With the exit code of each."""


def verify(
    of: Annotated[
        Path | None,
        typer.Argument(help="It has dvc.lock and reports/; none: here.", callback=from_there),
    ] = None,
    commit: Annotated[str, typer.Option(help="Whose results are repeated.")] = "HEAD",
    as_json: Annotated[bool, typer.Option("--json", help="The certificate on stdout.")] = False,
) -> None:
    """Tell how far a repetition agrees with a commit: exit 0 it does, 1 not, 2 cannot tell."""
    from mnist_diffusion.audit.repetition import Results, certificate  # here: torch is slow to come

    with TemporaryDirectory() as name:
        root = Path(name)
        if not unpack(commit, (paths.LOCK, paths.PARAMS, paths.REPORTS), root):
            raise UserError(f"{commit}: has no results; name a commit that has {paths.LOCK}")
        settings = parse_settings(read_yaml(root / paths.PARAMS), f"{commit}:{paths.PARAMS}")
        told = certificate(Results(root, settings), Results(of or Path(), settings))
    told["commit"] = git("rev-parse", commit)
    if as_json:
        sys.stdout.write(jsonfile.to_text(told))
    else:
        _print(told)
    raise typer.Exit(VERDICTS[told["verdict"]])


def _print(told: Mapping[str, Any]) -> None:
    columns = ("stage", "outputs", "same bits", "other", "not told", "not run")
    table = Table(*columns, box=None, pad_edge=False)
    for name, row in told["outputs"].items():
        listed = (len(row["other"]), len(row["not_told"]))
        counts = (row["all"], row["same"], *listed, row["not_run"])
        table.add_row(name, *map(str, counts))
    console = Console(highlight=False)
    console.print(table)
    for line in _lines(told):
        console.print(line, soft_wrap=True, markup=False)


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    """What is not the same, and the sum of it."""
    from mnist_diffusion.evaluation.metrics import METRICS

    committed, here = told["environment"]["committed"], told["environment"]["here"]
    for key in dict.fromkeys([*committed, *here]):
        if committed.get(key) != here.get(key):
            yield f"{key}: {here.get(key)}, committed {committed.get(key)}"
    for one in told["scores"]:
        if not one["inside"]:
            metric, word = METRICS[one["metric"]], "far outside" if one["far"] else "outside"
            values = (one["here"], one["committed"], *one["predicted"])
            new, old, low, high = (f"{metric.shown(value)} %" for value in values)
            yield f"{one['cell']}: {metric.title} {new}, committed {old}: {word} {low} to {high}"
    changed = {k: one for k, one in told["verdicts"].items() if one["here"] != one["committed"]}
    for name, one in changed.items():
        yield f"{name}: {one['here']}, committed {one['committed']}"
    outside, stages, count = told["outside"], told["stages"], len(told["verdicts"])
    yield (
        f"{stages['ran_since'] or 'none'} of {stages['all']} stages ran since; "
        f"of {len(told['scores'])} other scores {outside['found']} outside, "
        f"some {outside['expected']:.0f} expected and up to {outside['by_chance']} by chance; "
        f"{count - len(changed)} of {count} verdicts the same: {told['verdict']}"
    )
