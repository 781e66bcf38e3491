"""The report as files: one page that needs no network, a README, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mnist_diffusion.evaluation.metrics import METRICS, SUMMARY
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.provenance.schemas.cell_reports import PairedComparison
from mnist_diffusion.reporting import (
    charts,
    choice_charts,
    metric_charts,
    summary,
    training_charts,
)
from mnist_diffusion.reporting.charts import Chart
from mnist_diffusion.reporting.claim_list import claims
from mnist_diffusion.reporting.claims import tally
from mnist_diffusion.reporting.digit_pictures import all_pictures
from mnist_diffusion.reporting.labels import TABLE_TITLES, one_of, signed_points
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.table_list import all_tables

PAGE = paths.REPORTS / "index.html"
README = paths.REPORTS / "README.md"
SCORES = paths.REPORTS / "scores"
LARGEST = 20
"""Differences in the README."""


def render(results: Results) -> dict[Path, bytes]:
    """Every file of the report by its path; the same bytes for the same results."""
    tables, pictures = all_tables(results), all_pictures(results)
    outcomes = [claim.judge(results) for claim in claims()]
    by_place = all_charts(results)
    content = {
        "results": results,
        "tables": tables,
        "pictures": pictures,
        "charts": by_place,
        "facts": summary.facts(results),
        "findings": summary.findings(results),
        "counts": one_of(cell.metrics.n for cell in results.cells.values()),
        "seeds": summary.seeds(results),
        "titles": TABLE_TITLES,
        "gallery": gallery(results),
        "claims": list(zip(claims(), outcomes, strict=True)),
        "tally": tally(outcomes),
        "detected": metric_charts.detection_grid(results),
        "largest": largest(results),
        "packed_script": charts.packed_script,
    }
    files = {
        PAGE: _fill("index.html.j2", content, escape=True),
        README: _fill("readme.md.j2", content, escape=False),
    }
    files |= {SCORES / f"{name}.json": text.encode() for name, text in score_files(results).items()}
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
    return choice_charts.forests(results) | {
        "levels": training_charts.schedule_levels(results),
        "late-errors": training_charts.late_errors(results),
        "cost": [choice_charts.cost(results)],
        "guidance": choice_charts.guidance_panels(results),
        "losses": training_charts.losses(results),
        "fd-curves": training_charts.fd_curves(results),
        "against-n": metric_charts.against_n(results),
        "corruptions": metric_charts.corruption_levels(results),
        "confusion": metric_charts.confusion(results),
        "reliability": [metric_charts.reliability_diagram(results)],
    }


def gallery(results: Results) -> dict[str, list[str]]:
    """Every cell once, under the title of the first comparison that it is part of."""
    left = list(results.cells)
    shelves: dict[str, list[str]] = {}
    for table, title in TABLE_TITLES.items():
        shelves[title] = [c.name for c in results.chosen(table) if c.name in left]
        left = [name for name in left if name not in shelves[title]]
    return {title: names for title, names in {**shelves, "Others": left}.items() if names}


def largest(results: Results) -> list[dict[str, str]]:
    """The differences in relative FD that are largest, under both feature extractors."""
    twin = METRICS["relative_fd"].twin
    found: dict[tuple[str, str], dict[str, PairedComparison]] = {}
    for one in results.compared.comparisons:
        found.setdefault((one.cell, one.baseline), {}).setdefault(one.metric, one)
    pairs = [own for own in found.values() if "relative_fd" in own and twin in own]
    pairs.sort(key=lambda own: -abs(own["relative_fd"].difference))
    return [
        {
            "cell": own["relative_fd"].cell,
            "baseline": own["relative_fd"].baseline,
            "classifier": _difference(own["relative_fd"]),
            "autoencoder": _difference(own[twin or ""]),
        }
        for own in pairs[:LARGEST]
    ]


def _difference(one: PairedComparison) -> str:
    low, high = map(signed_points, one.interval)
    return f"{signed_points(one.difference)} ({low} to {high}): {one.verdict}"


def score_files(results: Results) -> dict[str, str]:
    """The few numbers of a cell that `dvc metrics` puts into a row, by cell."""
    return {
        name: to_text({key: round(value, 2) for key, value in _row(cell).items()})
        for name, cell in results.cells.items()
    }


def _row(cell: CellResult) -> dict[str, float]:
    shares = {name: METRICS[name].of(cell.metrics) for name in SUMMARY}
    ends = cell.metrics.intervals["relative_fd"] or (None, None)
    shares |= dict(zip(("relative_fd_low", "relative_fd_high"), ends, strict=True))
    known = {f"{key}_percent": 100 * share for key, share in shares.items() if share is not None}
    return known | {"network_evaluations": cell.evaluations, "n": cell.metrics.n}


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
