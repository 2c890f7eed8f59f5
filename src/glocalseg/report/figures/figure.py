"""A figure of the report: drawn on a matplotlib Figure without global state, saved as the same bytes every time.

A figure is drawn twice, for a page's width (``WIDE``) and for a phone's (``NARROW``), where panels stand below each other and no
text is smaller than ten pixels. Each is saved for a light and a dark page. Marks are the same on both as far as they stand out;
ink, grid and ground change.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from glocalseg.report.text.colours import DARK_PAPER, dark_partners

INK, MUTED, EDGE, GRID, PAPER = "#1f2933", "#5a6773", "#8b96a1", "#e4e7eb", "#ffffff"
ON_DARK = {INK: "#e3e8ee", MUTED: "#a3b0bd", EDGE: "#74818d", GRID: "#2b3641", PAPER: DARK_PAPER}
DPI = 150
QUALITY = 86  # of images as a page holds them, of 100
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "glocalseg",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": EDGE,
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
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Shape:
    """A width to draw for, in inches, and the smallest and usual size of text on it, in points."""

    name: str
    width: float
    small: float
    font: float

    @property
    def narrow(self) -> bool:
        """Whether panels stand below each other."""
        return self.name == "narrow"


WIDE = Shape("wide", 9.6, 8.5, 9.5)  # on a page of 800 pixels a point is one pixel and a tenth, on a full one 1.6
NARROW = Shape("narrow", 4.0, 8.5, 9.0)  # on a phone of 390 pixels a point is 1.2 pixels


@dataclass(frozen=True)
class Plot:
    """A finished figure: its files by the end of their names, what it shows (``alt``) and how it is read (``caption``).

    ``files`` holds ``.svg``, ``.pdf`` and ``.png`` for papers, and what the page shows by ``shown``. ``raster``: it is mostly
    images, and the page shows pixels.
    """

    name: str
    dataset: str
    title: str
    caption: str
    alt: str
    files: Mapping[str, bytes]
    raster: bool = False

    def shown(self, *, narrow: bool, dark: bool) -> str:
        """The end of the file that a page shows: ``-narrow-dark.svg``."""
        end = ".webp" if self.raster else ".svg"
        return f"{'-narrow' if narrow else ''}{'-dark' if dark else ''}{end}"


@contextmanager
def style(shape: Shape) -> Iterator[None]:
    """The look of the report's figures at a width, matplotlib's own settings restored afterwards."""
    with mpl.rc_context({**_STYLE, "font.size": shape.font, "axes.titlesize": shape.font + 0.5, "legend.fontsize": shape.font,
                         "xtick.labelsize": shape.small, "ytick.labelsize": shape.font}):  # fmt: skip
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure of a size in inches that belongs to no window and no global list."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plot(
    draw: Callable[[Shape], Figure], name: str, *, dataset: str, title: str, caption: str, alt: str, raster: bool = False
) -> Plot:
    """A figure drawn and saved at both widths.

    Args:
        draw: makes the figure for a width. It takes colours from this module and ``text.colours`` alone, so that all of them
            have a partner on a dark page.
        name: of its files, without an end: ``hippocampus-gain``.
        raster: whether it is mostly images.
    """
    files: dict[str, bytes] = {}
    for shape in (WIDE, NARROW):
        with style(shape):
            figure = draw(shape)
            files |= _pixels(figure, shape) if raster else _vectors(figure, shape)
    return Plot(name, dataset, title, caption, alt, files, raster)


def _vectors(figure: Figure, shape: Shape) -> dict[str, bytes]:
    start = "-narrow" if shape.narrow else ""
    light = _svg(figure)
    figure.set_layout_engine("none")  # where the first saving put things; laying out takes most of the time
    files = {f"{start}.svg": light, f"{start}-dark.svg": darkened(light)}
    return files if shape.narrow else files | _for_papers(figure)


def _pixels(figure: Figure, shape: Shape) -> dict[str, bytes]:
    start = "-narrow" if shape.narrow else ""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    files = {} if shape.narrow else {".svg": _svg(figure), **_for_papers(figure)}
    files[f"{start}.webp"] = _webp(figure)
    for text in figure.findobj(Text):
        text.set_color(ON_DARK.get(to_hex(text.get_color()), to_hex(text.get_color())))
    figure.set_facecolor(ON_DARK[PAPER])
    return files | {f"{start}-dark.webp": _webp(figure)}


def _svg(figure: Figure) -> bytes:
    """Reproducible: no date, no version, identifiers from a fixed salt."""
    made = io.BytesIO()
    figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None})
    # matplotlib's svg names its document type's and vocabulary's addresses; nothing is loaded, but a page that works
    # offline should not even mention them
    return re.sub(rb"<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*", b"", made.getvalue(), flags=re.DOTALL)


def _for_papers(figure: Figure) -> dict[str, bytes]:
    pdf, png = io.BytesIO(), io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return {".pdf": pdf.getvalue(), ".png": png.getvalue()}


def _webp(figure: Figure) -> bytes:
    raw, made = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="rgba", dpi=DPI)
    size = [int(side * DPI) for side in figure.get_size_inches()]
    image = Image.frombuffer("RGBA", (size[0], len(raw.getvalue()) // (4 * size[0])), raw.getvalue(), "raw", "RGBA", 0, 1)
    image.convert("RGB").save(made, "WEBP", quality=QUALITY, method=2)
    return made.getvalue()


def adapting(svg: bytes) -> bytes:
    """An SVG of the report that is dark where the page is: its colours are variables, with two values each.

    For pages only: programs that are no browsers know no variables.
    """
    partners = {k: v for k, v in (dark_partners() | ON_DARK).items() if k != v and k.encode() in svg}
    names = {k: f"--c{i}" for i, k in enumerate(partners)}
    light = ";".join(f"{name}:{k}" for k, name in names.items())
    dark = ";".join(f"{name}:{partners[k]}" for k, name in names.items())
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    found = re.sub(rb"#[0-9a-f]{6}\b", lambda m: f"var({names[c]})".encode() if (c := m[0].decode()) in names else m[0], svg)
    return re.sub(rb"(<svg [^>]*>)", lambda m: m[1] + style.encode(), found, count=1)


def darkened(svg: bytes) -> bytes:
    """An SVG of the report for a dark page: every colour that has a partner there is replaced by it."""
    partners = {k.encode(): v.encode() for k, v in (dark_partners() | ON_DARK).items()}
    return re.sub(rb"#[0-9a-f]{6}\b", lambda found: partners.get(found[0], found[0]), svg)
