"""`dvc plots` as one page that needs no network: the scripts that DVC's page loads are put into it, from Snakemake's own assets.

python workflow/scripts/plots.py [show | diff REVISIONS...]
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import snakemake

ASSETS = Path(snakemake.__file__).parent / "assets" / "data"
SCRIPT = re.compile(r'<script src="https://[^"]*/npm/(vega|vega-lite|vega-embed)@[^"]*">\s*</script>')


def inlined(page: str) -> str:
    """The page with its three scripts inside."""

    def script(found: re.Match[str]) -> str:
        text = (ASSETS / found[1] / f"{found[1]}.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
        return f"<script>{text}</script>"

    return SCRIPT.sub(script, page)


def main() -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", "plots", *(sys.argv[1:] or ["show"])], check=True, stdout=subprocess.DEVNULL
    )
    page = Path("dvc_plots/index.html")
    page.write_text(inlined(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(page.resolve())
