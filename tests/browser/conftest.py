"""The report of a small tree, and a browser to open it in."""

from pathlib import Path

import chromium
import fake_results
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.reporting.pages import publish, render
from mnist_diffusion.reporting.reading import load_results

SETTINGS = fake_results.small_settings()


@pytest.fixture(scope="session")
def browser() -> str:
    command = chromium.find()
    if command is None:
        pytest.skip("no Chromium on this machine: apt install chromium, and run again")
    return command


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reports/ as the report stage leaves it."""
    root = tmp_path_factory.mktemp("site")
    fake_results.build(root, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        publish(render(load_results(SETTINGS)))
    return root


@pytest.fixture(scope="session")
def opened(browser: str, site: Path, tmp_path_factory: pytest.TempPathFactory) -> chromium.Visit:
    """The page, opened as a file like a reader would."""
    address = (site / paths.REPORTS / "index.html").as_uri()
    return chromium.visit(browser, address, tmp_path_factory.mktemp("profile"))
