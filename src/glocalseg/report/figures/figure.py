"""A figure of the report: drawn on a matplotlib Figure without global state, saved as the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "glocalseg",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#9aa5b1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Plot:
    """A finished figure: the bytes of its two files, what it shows (``alt``) and how it is read (``caption``)."""

    name: str
    dataset: str
    title: str
    caption: str
    alt: str
    svg: bytes
    png: bytes
    raster: bool = False  # mostly images: the page shows the PNG

    def write(self, folder: Path) -> None:
        """Write ``<name>.svg`` and ``<name>.png``."""
        (folder / f"{self.name}.svg").write_bytes(self.svg)
        (folder / f"{self.name}.png").write_bytes(self.png)


@contextmanager
def style() -> Iterator[None]:
    """The look of the report's figures, matplotlib's own settings restored afterwards."""
    with mpl.rc_context(_STYLE):
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure of a size in inches that belongs to no window and no global list."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, name: str, *, dataset: str, title: str, caption: str, alt: str, raster: bool = False) -> Plot:
    """The figure as reproducible SVG and PNG: no date, no version, identifiers from a fixed salt."""
    vector, pixels = io.BytesIO(), io.BytesIO()
    figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # where the first saving put things; laying out takes most of the time
    figure.savefig(pixels, format="png", dpi=150, metadata={"Software": None})
    # matplotlib's svg names its document type's and vocabulary's addresses; nothing is loaded, but a page that works
    # offline should not even mention them
    svg = re.sub(rb"<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*", b"", vector.getvalue(), flags=re.DOTALL)
    return Plot(name, dataset, title, caption, alt, svg, pixels.getvalue(), raster)
