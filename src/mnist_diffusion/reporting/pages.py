"""The report as files: one page that needs no network, a README, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mnist_diffusion.evaluation.metrics import SUMMARY
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.reporting import (
    charts,
    choice_charts,
    claims,
    forest,
    metric_charts,
    summary,
    training_charts,
)
from mnist_diffusion.reporting.charts import Chart
from mnist_diffusion.reporting.digit_pictures import all_pictures
from mnist_diffusion.reporting.labels import TABLE_TITLES
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.table_list import all_tables

PAGE = paths.REPORTS / "index.html"
README = paths.REPORTS / "README.md"
SCORES = paths.REPORTS / "scores"


def render(results: Results) -> dict[Path, bytes]:
    """Every file of the report by its path; the same bytes for the same results."""
    tables, by_place = all_tables(results), all_charts(results)
    pictures = {picture.name: picture for picture in all_pictures(results)}
    ns = sorted({cell.metrics.n for cell in results.cells.values()})
    content = {
        "results": results,
        "tables": tables,
        "pictures": pictures,
        "charts": by_place,
        "facts": summary.facts(results),
        "counts": " or ".join(f"{n:,}" for n in ns),
        "repeats": summary.repeats(results),
        "titles": TABLE_TITLES,
        "gallery": gallery(results),
        "claims": claims,
        "sections": claims.shown_claims(results),
        "tally": claims.tally([one.outcome for one in results.judged.claims.values()]),
        "detected": metric_charts.detection_grid(results),
        "packed": charts.packed_script(chart for own in by_place.values() for chart in own),
    }
    files = {
        PAGE: _fill("index.html.j2", content, escape=True),
        README: _fill("readme.md.j2", content, escape=False),
    }
    files |= {
        SCORES / f"{name}.json": to_text(_scores(cell)).encode()
        for name, cell in results.cells.items()
    }
    files |= {paths.TABLES / f"{name}.csv": t.to_csv().encode() for name, t in tables.items()}
    files |= {
        paths.FIGURES / f"{picture.name}.{picture.suffix}": picture.content
        for picture in pictures.values()
        if picture.file
    }
    drawn = [chart for place in ("forest", "cost", "guidance") for chart in by_place[place]]
    return files | {paths.FIGURES / f"{chart.name}.png": chart.png() for chart in drawn}


def all_charts(results: Results) -> dict[str, list[Chart]]:
    """Charts by the place they stand in."""
    makers = {
        "forest": forest.forest,
        "levels": training_charts.schedule_levels,
        "late-errors": training_charts.late_errors,
        "cost": choice_charts.cost,
        "guidance": choice_charts.guidance_panels,
        "losses": training_charts.losses,
        "fd-curves": training_charts.fd_curves,
        "against-n": metric_charts.against_n,
        "corruptions": metric_charts.corruption_levels,
        "confusion": metric_charts.confusion,
        "reliability": metric_charts.reliability_diagram,
    }
    return {place: list(make(results)) for place, make in makers.items()}


def gallery(results: Results) -> dict[str, list[str]]:
    """Every cell once, under the title of the first comparison that it is part of."""
    left = list(results.cells)
    shelves: dict[str, list[str]] = {}
    for table, title in TABLE_TITLES.items():
        shelves[title] = [c.name for c in results.chosen(table) if c.name in left]
        left = [name for name in left if name not in shelves[title]]
    return {title: names for title, names in {**shelves, "Others": left}.items() if names}


def _scores(cell: CellResult) -> dict[str, float]:
    """The few numbers of a cell that `dvc metrics` puts into a row."""
    low, high = cell.interval("fd_infinity")
    shares = {name: cell.score(name) for name in SUMMARY}
    shares |= {"fd_infinity_low": low, "fd_infinity_high": high}
    known = {f"{k}_percent": round(100 * v, 2) for k, v in shares.items() if not isnan(v)}
    return known | {"network_evaluations": cell.evaluations, "n": cell.metrics.n}


def publish(files: Mapping[Path, bytes]) -> None:
    """Write each file whole, then drop tables and figures that are no longer part of the report."""
    for path, content in files.items():
        write_atomically(path, content)
    for folder in (paths.TABLES, paths.FIGURES, SCORES):
        for path in folder.iterdir():
            if path.suffix in (".csv", ".png", ".gif", ".json") and path not in files:
                path.unlink()


def _fill(template: str, content: Mapping[str, Any], escape: bool) -> bytes:
    environment = Environment(
        loader=FileSystemLoader(charts.TEMPLATES),
        undefined=StrictUndefined,
        autoescape=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["zip"] = partial(zip, strict=True)
    return environment.get_template(template).render(content).encode()
