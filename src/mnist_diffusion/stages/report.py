"""Report: tables, pictures and pages from what was measured."""

import sys

from mnist_diffusion.reporting.pages import publish, render
from mnist_diffusion.reporting.reading import load_results, stray_metrics
from mnist_diffusion.settings import Settings


def run(settings: Settings) -> None:
    """Read every declared run and cell, render, write; a missing file is a UserError."""
    results = load_results(settings)
    for path in stray_metrics(settings):
        sys.stderr.write(f"warning: {path}: params.yaml declares no such cell; delete it\n")
    publish(render(results))
