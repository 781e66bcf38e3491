"""Report: tables, pictures and pages from what was measured."""

import sys

from mnist_diffusion.reporting.pages import publish, render
from mnist_diffusion.reporting.reading import load_results, stray_metrics
from mnist_diffusion.settings import Settings


def run(settings: Settings) -> None:
    """Read every declared run and cell, render, write; a missing file is a UserError."""
    results = load_results(settings)
    if stray := stray_metrics(settings):
        more = f" (and {len(stray) - 1} more)" if stray[1:] else ""
        text = f"{stray[0]}{more}: params.yaml declares no such cell; run `mnist-diffusion prune`"
        sys.stderr.write(f"warning: {text}\n")
    publish(render(results))
