"""In which of the report's tables a cell stands: tags, for MLflow cannot filter by many names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from mnist_diffusion.tracking import runs, spool
from mnist_diffusion.tracking.flushing import LIMIT_SECONDS, within
from mnist_diffusion.tracking.store import CELLS, open_experiment


def tag_of(table: str) -> str:
    """The tag of the cells of a table; its value is true."""
    return f"in_{table}"


def mark(tables: Mapping[str, Collection[str]]) -> None:
    """Make the tags of the latest runs agree with the tables, cells by table.

    Nothing here raises: a failure is one line on stderr.
    """
    try:
        within(LIMIT_SECONDS, partial(_mark, tables))
    except Exception as error:
        spool.warn("views of the report's tables are not complete in MLflow", error)


def _mark(tables: Mapping[str, Collection[str]]) -> None:
    client, experiment = open_experiment(CELLS)
    for run in runs.latest(client, experiment):
        for table, cells in tables.items():
            tag = tag_of(table)
            wanted = run.data.tags.get("cell") in cells
            if wanted and tag not in run.data.tags:
                client.set_tag(run.info.run_id, tag, "true")
            if not wanted and tag in run.data.tags:
                client.delete_tag(run.info.run_id, tag)
