"""Playground: the page that draws, from trained networks, sample sets and scores."""

from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.reporting.playground.page import PAGE, render
from mnist_diffusion.settings import Settings


def run(settings: Settings) -> None:
    """Render it; a missing or wrong file is a UserError."""
    write_atomically(PAGE, render(settings))
