"""Scenes laid out below each other, in inches from the upper left corner: a figure is as high as what is in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from glocalseg.data.cards.card import Card
from glocalseg.report.figures.figure import EDGE, INK, MUTED, Shape, canvas
from glocalseg.report.figures.overlays.scene import Scene
from glocalseg.report.figures.overlays.slices import BAR, DPI, FILL, Place, letter, outline, paint, round_length, scale_bar
from glocalseg.report.figures.overlays.words import called
from glocalseg.report.look.strips import sides
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import structure_colour
from glocalseg.report.text.names import mathtext, shortened

_LINE, _NARROW_LINE = 7, 4  # images in a line
_LARGEST = 1.9  # inches, of an image where a wide figure has few of them
_GAP, _BETWEEN, _EDGE = 0.06, 0.2, 0.03  # inches: between images, between cases, at the edges
_SWATCH = 0.13  # inches, of a square in the legend
_STEP = 1.3 / 72  # inches from line to line of a text, a point of its size
_LETTER = 0.6 / 72  # inches of a letter's width, a point of its size


@dataclass(frozen=True)
class _Tile:
    """One image and the lines above it; without a prediction, the truth alone. The ``first`` of a case tells sides and scale."""

    scene: Scene
    depth: int
    title: tuple[str, ...]
    prediction: NDArray[np.uint8] | None
    first: bool


class _Sheet:
    """Texts, swatches and images, and how far down it is filled (``y``)."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.y = _EDGE
        self.texts: list[tuple[float, float, str, dict[str, Any]]] = []
        self.swatches: list[Rectangle] = []
        self.tiles: list[tuple[_Tile, Place]] = []

    def write(self, rich: str, size: float, **look: Any) -> None:
        """A paragraph over the whole width."""
        for line in textwrap.wrap(rich, int((self.shape.width - 2 * _EDGE) / (size * _LETTER))):
            self.texts.append((_EDGE, self.y, mathtext(line), {"fontsize": size, **look}))
            self.y += size * _STEP

    def legend(self, card: Card, mm: float, bar: float) -> None:
        """What colours and fills mean, and how long a bar of so many mm is in inches, in as many lines as it takes."""
        font, x = self.shape.font, _EDGE
        scale = (f"{mm:g} mm", (bar, 0.03), {"facecolor": EDGE})
        for name, (wide, high), look in [*_entries(card), scale]:
            length = wide + _GAP + (len(name) + 2) * font * _LETTER
            if x > _EDGE and x + length > self.shape.width:
                x, self.y = _EDGE, self.y + 1.2 * font * _STEP
            self.swatches.append(Rectangle((x, self.y + (_SWATCH - high) / 2), wide, high, **look))
            self.texts.append((x + wide + _GAP, self.y, mathtext(name), {"fontsize": font, "color": INK}))
            x += length
        self.y += font * _STEP + _BETWEEN

    def place(self, tiles: Sequence[_Tile], width: float, height: float) -> None:
        """A line of images, each with its lines of text above it."""
        small, step = self.shape.small, self.shape.small * _STEP
        letters, above = int(width / (small * _LETTER)), max(len(tile.title) for tile in tiles) * step
        for i, tile in enumerate(tiles):
            x = _EDGE + i * (width + _GAP)
            for line, rich in enumerate(tile.title):
                text = shortened(rich, letters)
                look = {"fontsize": small, "color": MUTED if line or len(tile.title) == 1 else INK}
                self.texts.append((x, self.y + line * step, mathtext(text), look))
            self.tiles.append((tile, Place(tile.scene.view, x, self.y + above + _GAP / 2, width, height)))
        self.y += above + height + 1.5 * _GAP


def draw(shape: Shape, scenes: Sequence[Scene], heads: Sequence[tuple[str, str]], card: Card) -> Figure:
    """The figure of scenes at one scale, each with its two lines above it, for a width."""
    groups, most = [_tiles(scene) for scene in scenes], _NARROW_LINE if shape.narrow else _LINE
    line = max(len(group) for of in groups for group in of)
    beside = max(sum(map(len, of)) for of in groups)
    if beside <= most:  # all slices of a case in one line
        groups, line = [[list(chain(*of))] for of in groups], beside
    elif line <= most:  # what is below the first slice's images needs no names again
        groups = [[of[0], *(_nameless(group) for group in of[1:])] for of in groups]
    line = min(line, most)
    width = (shape.width - 2 * _EDGE - _GAP * (line - 1)) / line
    width = width if shape.narrow else min(width, _LARGEST)
    height = width * scenes[0].view.height / scenes[0].view.width
    sheet, mm = _Sheet(shape), round_length(BAR * scenes[0].view.width)
    sheet.legend(card, mm, mm / scenes[0].view.width * width)
    for of, (first, second) in zip(groups, heads, strict=True):
        sheet.write(first, shape.font, color=INK, fontweight="bold")
        sheet.write(second, shape.small, color=MUTED)
        sheet.y += _GAP
        for group in of:
            for start in range(0, len(group), line):
                sheet.place(group[start : start + line], width, height)
        sheet.y += _BETWEEN
    return _render(sheet, card, mm)


def _entries(card: Card) -> list[tuple[str, tuple[float, float], dict[str, Any]]]:
    """The legend's names, and how the square before each looks."""
    names, square = [card.structures[k] for k in sorted(card.structures)], (_SWATCH, _SWATCH)
    own = [{"facecolor": structure_colour(k), "edgecolor": EDGE, "linewidth": 0.8} for k in range(1, len(names) + 1)]
    return [
        *((name, square, look) for name, look in zip(names, own, strict=True)),
        ("truth", square, {"facecolor": to_rgba(EDGE, FILL), "edgecolor": "none"}),
        ("prediction", square, {"facecolor": "none", "edgecolor": EDGE, "linewidth": 1.6}),
    ]


def _tiles(scene: Scene) -> list[list[_Tile]]:
    """For every slice the truth and every prediction."""
    groups: list[list[_Tile]] = []
    for depth in scene.images:
        title = ("Truth", f"slice {depth + 1}/{len(scene.truth)}")
        tiles = [_Tile(scene, depth, title, None, first=not groups)]
        for run, labels in scene.predictions:
            title = (called(scene.case, run), f"Dice {number(run.dice[scene.case.volume])}")
            tiles.append(_Tile(scene, depth, title, labels, first=False))
        groups.append(tiles)
    return groups


def _nameless(tiles: Sequence[_Tile]) -> list[_Tile]:
    return [replace(tile, title=tile.title[1:] if tile.prediction is None else ()) for tile in tiles]


def _render(sheet: _Sheet, card: Card, mm: float) -> Figure:
    """One pair of axes holds all, in inches, and one image all slices: many of either would take most of a report's time."""
    width, height = (int(np.ceil(inches * DPI)) for inches in (sheet.shape.width, sheet.y))
    pixels = np.zeros((height, width, 4), np.uint8)
    figure = canvas(width / DPI, height / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for x, y, text, look in sheet.texts:
        axes.text(x, y, text, va="top", **look)
    for swatch in sheet.swatches:
        axes.add_patch(swatch)
    for tile, place in sheet.tiles:
        scene, depth = tile.scene, tile.depth
        paint(pixels, place, scene.images[depth], scene.truth[depth], scene.spacing)
        if tile.prediction is not None:
            outline(axes, place, tile.prediction[depth], scene.spacing)
        if tile.first:
            letter(axes, place, sides(card.slice_axis), sheet.shape.small)
            scale_bar(axes, place, mm)
    axes.imshow(pixels, extent=(0, width / DPI, height / DPI, 0), interpolation="none", aspect="auto", zorder=0)
    axes.set(xlim=(0, width / DPI), ylim=(height / DPI, 0))
    return figure
