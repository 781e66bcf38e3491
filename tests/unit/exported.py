"""What `mnist-diffusion export` makes of the small repository; and what others' validators need."""

from __future__ import annotations

import io
from contextlib import chdir
from importlib.resources import files
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

from mnist_diffusion.formats.export import export
from mnist_diffusion.settings import load_settings

CONTEXTS = {"https://w3id.org/ro/crate/1.1/context": files("rocrate") / "data/ro-crate.jsonld"}


def build(folder: Path, published: Path) -> None:
    with chdir(published):
        export(load_settings(), folder / "out")


class _Files(HTTPAdapter):
    """Answers with files, and asks no network."""

    def send(self, request: Any, *_: Any, **__: Any) -> Any:
        answer = HTTPResponse(
            io.BytesIO(CONTEXTS[request.url].read_bytes()),
            headers={"Content-Type": "application/ld+json"},
            status=200,
            preload_content=False,
        )
        return self.build_response(request, answer)


def offline_cache(path: Path) -> Path:
    """The cache that rocrate-validator reads offline, with the contexts that crates name."""
    with CachedSession(str(path), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", _Files())
        for url in CONTEXTS:
            accepted = "application/ld+json, application/json, */*;q=0.1"
            session.get(url, headers={"Accept": accepted})
    return path
