"""The script that draws the charts: Vega with its parts, out of a package and not off a network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import vl_convert

STARTER = Path(__file__).parents[1] / "templates" / "charts.js"
DVC_VEGA_LITE = "5.21"
"""Of the major version that DVC's own templates are written in."""
DVC_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>DVC plots</title>
<!-- Made by mnist_diffusion.reporting.charts.bundle.dvc_page(); DVC's own page asks a network. -->
<script>
SCRIPT
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


@cache
def script() -> str:
    """Vega, Vega-Lite and Vega-Embed with the lines that put every chart in its place."""
    return _bundle(STARTER.read_text(encoding="utf-8"))


def dvc_page() -> str:
    """The page of `dvc plots show`, as .dvc/plots/offline.html has it: the library inside."""
    bundled = _bundle("window.vegaEmbed = vegaEmbed;", DVC_VEGA_LITE)
    return DVC_PAGE.replace("SCRIPT", bundled)


def _bundle(snippet: str, version: str | None = None) -> str:
    bundled: str = vl_convert.javascript_bundle(snippet, version)
    return bundled.replace("</script", "<\\/script")
