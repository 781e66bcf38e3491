"""The report as files: one page that needs no network, one text for the front page, tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.reporting import findings, verdict
from mnist_diffusion.reporting.charts import bundle
from mnist_diffusion.reporting.charts.register import all_charts
from mnist_diffusion.reporting.claims.register import judged, tally
from mnist_diffusion.reporting.figures import all_figures
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.sight import sight
from mnist_diffusion.reporting.style import Figure
from mnist_diffusion.reporting.tables import all_tables
from mnist_diffusion.reporting.verdict import seeds
from mnist_diffusion.reporting.words import COMPARISONS

PAGE = paths.REPORTS / "index.html"
TEXT = paths.REPORTS / "comparison.md"
CLAIMS = paths.REPORTS / "claims.md"
SCORES = paths.REPORTS / "scores"
MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "gif": "image/gif"}


def render(results: Results) -> dict[Path, bytes]:
    """Every file of the report by its path; the same bytes for the same results."""
    tables = {table.name: table for table in all_tables(results)}
    figures = all_figures(results)
    claims = judged(results)
    content = {
        "results": results,
        "tables": tables,
        "figures": figures,
        "facts": verdict.facts(results),
        "findings": findings.findings(results),
        "caveats": verdict.caveats(results),
        "titles": COMPARISONS,
        "gallery": gallery(results),
        "claims": claims,
        "tally": tally(claims),
        "charts": all_charts(results),
        "seeds": seeds(results),
        "sight": sight(results),
        "script": bundle.script,
    }
    files = {
        PAGE: _fill("index.html.j2", content, escape=True),
        TEXT: _fill("comparison.md.j2", content, escape=False),
        CLAIMS: _fill("claims.md.j2", content, escape=False),
    }
    files |= {SCORES / f"{name}.json": text.encode() for name, text in scores(results).items()}
    files |= {paths.TABLES / f"{name}.csv": t.to_csv().encode() for name, t in tables.items()}
    # Of use only where a slider moves along it.
    kept = [figure for figure in figures.values() if figure.name != "film"]
    for figure in kept:
        # The page holds the charts' SVG; as files, one format each is enough.
        files |= {
            paths.FIGURES / f"{figure.name}.{suffix}": picture
            for suffix, picture in figure.files.items()
            if suffix != "svg"
        }
    return files


def gallery(results: Results) -> dict[str, list[str]]:
    """Every cell once, under the title of the first comparison that it is part of."""
    left = list(results.cells)
    shelves: dict[str, list[str]] = {}
    for table, title in COMPARISONS.items():
        shelves[title] = [c.name for c in results.chosen(table) if c.name in left]
        left = [name for name in left if name not in shelves[title]]
    return {title: names for title, names in {**shelves, "Others": left}.items() if names}


def scores(results: Results) -> dict[str, str]:
    """The few numbers of a cell that `dvc metrics` puts into a row, by cell."""
    return {
        name: to_text({key: round(value, 2) for key, value in _row(cell).items()})
        for name, cell in results.cells.items()
    }


def _row(cell: CellResult) -> dict[str, float]:
    judged = cell.metrics
    shares = {"relative_fd": judged.relative_fd, "accuracy": judged.accuracy}
    shares |= {"recall": judged.recall, "precision": judged.precision}
    low, high = judged.intervals["relative_fd"] or (None, None)
    shares |= {"relative_fd_low": low, "relative_fd_high": high}
    known = {f"{key}_percent": 100 * share for key, share in shares.items() if share is not None}
    return known | {"network_evaluations": cell.manifest.network_evaluations, "n": judged.n}


def publish(files: Mapping[Path, bytes]) -> None:
    """Write each file whole, then drop tables and figures that are no longer part of the report."""
    for path, content in files.items():
        write_atomically(path, content)
    for folder, suffixes in (
        (paths.TABLES, {".csv"}),
        (paths.FIGURES, {".png", ".gif"}),
        (SCORES, {".json"}),
    ):
        for path in folder.iterdir():
            if path.suffix in suffixes and path not in files:
                path.unlink()


def data_uri(figure: Figure) -> str:
    """The figure's sharpest file as a URI, so that the page carries it."""
    content = base64.b64encode(figure.files[figure.shown]).decode()
    return f"data:{MEDIA_TYPES[figure.shown]};base64,{content}"


def _fill(template: str, content: Mapping[str, Any], escape: bool) -> bytes:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "zip": partial(zip, strict=True),
        "bar": lambda text: text.replace("|", "\\|"),
    }
    return environment.get_template(template).render(content).encode()
