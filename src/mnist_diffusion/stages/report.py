"""Report: tables, pictures and pages from what was measured."""

import sys

from mnist_diffusion.files import paths
from mnist_diffusion.reporting.claims.register import judged, tally
from mnist_diffusion.reporting.pages import CLAIMS, PAGE, TEXT, publish, render
from mnist_diffusion.reporting.results import load_results, stray_metrics
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import Record


def run(settings: Settings) -> None:
    """Read every declared run and cell, render, write; a missing file is a UserError."""
    results = load_results(settings)
    for path in stray_metrics(settings):
        sys.stderr.write(f"warning: {path}: params.yaml declares no such cell; delete it\n")
    publish(render(results))


def record(settings: Settings) -> Record:
    """The headline, for tracking."""
    results = load_results(settings)
    headline = results.headline
    metrics = {
        "fd": headline.metrics.fd,
        "relative_fd": headline.metrics.relative_fd,
        "relative_fd_floor": headline.metrics.relative_fd_floor,
    }
    if headline.metrics.accuracy is not None:
        metrics["accuracy"] = headline.metrics.accuracy
    for verdict, count in tally(judged(results)).items():
        metrics[f"claims_{verdict.name.lower()}"] = count
    return Record(
        params={
            "scale": results.settings.scale,
            "headline": headline.name,
            "runs": len(results.runs),
            "cells": len(results.cells),
        },
        metrics=metrics,
        tags={
            "classifier_sha256": results.classifier.classifier_sha256,
            "reference_sha256": results.reference.reference_sha256,
            "samples_sha256": headline.metrics.samples_sha256,
        },
        artifacts=[TEXT, CLAIMS, PAGE, paths.FIGURES / "hero.png"],
    )
