"""Figures of what networks hold after pretraining: embeddings of slices, and what probes find in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.collected.collect import Collected, Embedding
from glocalseg.report.figures.figure import INK, MUTED, PAPER, Plot, Shape, canvas, plot
from glocalseg.report.figures.panels import grid, legend_below
from glocalseg.report.text.colours import PARTITIONS, UNPARTITIONED, colours, markers
from glocalseg.report.text.names import display, mathtext, plain

_POINTS, _FEWER, _MOST = 3000, 50, 600  # dots of a figure, fewer for each panel, of a panel: more make it too heavy


def network_plots(a: DatasetAnalysis, collected: Collected) -> list[Plot]:
    """The embeddings and the probes of one data set; those without any data are left out."""
    own = [e for e in collected.embeddings if e.dataset == a.dataset]
    plots = [
        _embeddings(a.dataset, own),
        _diagnostics(a, collected.diagnostics[collected.diagnostics["dataset"] == a.dataset]),
    ]
    return [p for p in plots if p]


def _embeddings(dataset: str, embeddings: Sequence[Embedding]) -> Plot | None:
    encoders = [e for e in embeddings if e.phase != "pretrain_local"]  # a local pretraining leaves the encoder as it is
    lowest = {e.name: e for e in sorted(encoders, key=lambda e: -e.seed)}
    shown = [lowest[name] for name in dict.fromkeys(e.name for e in encoders)]
    if not shown:
        return None
    most = min(_MOST, max(60, _POINTS // len(shown) - _FEWER))
    thinned = ", thinned out evenly" if any(len(e.features) > most for e in shown) else ""
    return plot(
        lambda shape: _draw_embeddings(shape, shown, most), f"{dataset}-embeddings", dataset=dataset,
        title="Slices as the networks see them",
        caption=f"Each point is a slice of a validation subject or of the training pool{thinned}: its bottleneck features, "
        "scaled to unit length, along their first two principal components, which have the given shares of the variance. Colours "
        "and numbers: the partition of the volume that the slice lies in; the number stands at the middle of its points. Only "
        "the first seed is drawn; axes have no unit, and two panels cannot be compared by their scale.",
        alt=f"Scatter plots of slice embeddings by partition for {', '.join(plain(_network(e)) for e in shown)}.",
    )  # fmt: skip


def _draw_embeddings(shape: Shape, shown: Sequence[Embedding], most: int) -> Figure:
    figure, panels = grid(
        shape, len(shown), wide=4 if len(shown) <= 12 else 5, narrow=2, height=1.9 if shape.narrow else 2.3
    )
    for axes, e in zip(panels, shown, strict=True):
        _embedding(axes, e, most)
    there = sorted({int(k) for e in shown for k in e.partition})
    dots = [Line2D([], [], linestyle="none", marker="o", markersize=6, markeredgewidth=0, color=_colour(k)) for k in there]
    legend_below(figure, shape, dots, [f"partition {k + 1}" if k >= 0 else "in none" for k in there])
    return figure


def _network(e: Embedding) -> str:
    return display(e.name) if e.phase else "Random network"


def _colour(partition: int) -> str:
    return PARTITIONS[partition % len(PARTITIONS)] if partition >= 0 else UNPARTITIONED


def _embedding(axes: Axes, e: Embedding, most: int) -> None:
    points, share = principal_components(e.features)
    size = float(np.abs(points).max()) or 1.0
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), most)).round().astype(int))
    for k in sorted({int(k) for k in e.partition}):
        own = points[kept[e.partition[kept] == k]] / size
        if len(own):
            axes.add_patch(_dots(own, _colour(k)))
    for k in sorted({int(k) for k in e.partition if k >= 0}):
        middle = np.median(points[e.partition == k] / size, axis=0)
        axes.text(middle[0], middle[1], str(k + 1), ha="center", va="center_baseline", color=INK, weight="bold", fontsize=10,
                  bbox={"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.75})  # fmt: skip
    axes.set_title(mathtext(_network(e)))
    axes.set_xlabel(f"{100 * share[0]:.0f}% and {100 * share[1]:.0f}% of variance")
    axes.set(xlim=(-1.08, 1.08), ylim=_reach(points[:, 1] / size), xticks=[], yticks=[])


def _reach(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _dots(points: NDArray[np.float64], colour: str) -> PathPatch:
    """All dots of a colour as one path of very short strokes with round ends: a third of the bytes of as many marks."""
    ends = np.repeat(points, 2, axis=0)
    ends[1::2, 0] += 1e-3
    path = Path(ends, np.tile([Path.MOVETO, Path.LINETO], len(points)))
    path.should_simplify = False
    return PathPatch(path, facecolor="none", edgecolor=colour, linewidth=2.6, capstyle="round", alpha=0.75)


def principal_components(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """(n, 2) coordinates of unit-length features on their two main axes, and the axes' shares of the variance.

    The sign of an axis is chosen so that its largest weight is positive: the picture does not depend on the solver.
    """
    x = features.astype(np.float64)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    if np.allclose(x, x[:1], rtol=0, atol=1e-12):  # no variance to share out
        return np.zeros((len(x), 2)), (0.0, 0.0)
    pca = PCA(min(2, *x.shape), svd_solver="full").fit(x)
    axes = pca.components_
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    points = np.round((x - pca.mean_) @ (axes * signs[:, None]).T, 6)  # the last bits differ between libraries
    share = [*pca.explained_variance_ratio_.tolist(), 0.0]
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), (share[0], share[1])


def _diagnostics(a: DatasetAnalysis, table: pd.DataFrame) -> Plot | None:
    probes = [c for c in ("position_r2", "same_place") if table[c].notna().any()]
    if not probes:
        return None
    return plot(
        lambda shape: _draw_diagnostics(shape, a, table, probes), f"{a.dataset}-diagnostics", dataset=a.dataset,
        title="What pretrained networks know of place",
        caption="A point per seed, a line at their median. R² of position: how well a ridge regression tells a slice's relative "
        "position from its features, on subjects it has not seen; 1 is perfect, and what lies "
        "below 0 stands at 0. Share at the same place: how often the nearest "
        "local feature in an unrelated slice of another volume lies at the same place in the frame; dashed: by chance; close to "
        "1, the decoder has learnt places in the frame, not anatomy. Hollow: no decoder block was pretrained, the features are "
        "those of random ones.",
        alt=_said(table, probes),
    )  # fmt: skip


_PROBES = {"position_r2": "R² of position", "same_place": "share at the same place"}


def _said(table: pd.DataFrame, probes: Sequence[str]) -> str:
    """Where each probe finds least and most, by the median over seeds."""
    parts = []
    for probe in probes:
        medians = table.groupby(["name", "phase"])[probe].median().dropna()
        low, high = medians.idxmin(), medians.idxmax()
        ends = [f"{_called(*map(str, key))} ({medians[key]:.2f})" for key in (low, high)]
        parts.append(f"{_PROBES[probe]} from {ends[0]} to {ends[1]}")
    return f"Dot plot of diagnostics by pretraining: {'; '.join(parts)}."


def _called(name: str, phase: str) -> str:
    return plain(display(name)) if phase else "random network"


def _draw_diagnostics(shape: Shape, a: DatasetAnalysis, table: pd.DataFrame, probes: Sequence[str]) -> Figure:
    keys = list(dict.fromkeys(zip(table["name"], table["phase"], strict=True)))
    down = len(probes) if shape.narrow else 1
    figure = canvas(shape.width, (0.75 + 0.27 * len(keys)) * down)
    panels = list(figure.subplots(down, len(probes) // down, squeeze=False).flat)
    colour, mark = colours([*a.methods, *table["name"]]), markers([*a.methods, *table["name"]])
    for place, (axes, probe) in enumerate(zip(panels, probes, strict=True)):
        for row, (name, phase) in enumerate(keys):
            own = table[(table["name"] == name) & (table["phase"] == phase)]
            values = own[probe].dropna().clip(lower=0)
            if values.empty:
                continue
            axes.plot([values.median()] * 2, [row - 0.32, row + 0.32], color=INK, linewidth=1.4)
            hollow = probe == "same_place" and not own["decoder"].any()
            axes.plot(
                values, row + _spread(len(values)), linestyle="none", marker=mark[name], markersize=4.5, color=colour[name],
                markerfacecolor=PAPER if hollow else colour[name], markeredgewidth=1, clip_on=False,
            )  # fmt: skip
        labels = [mathtext(display(n)) if p else "Random network" for n, p in keys]
        axes.set_yticks(range(len(keys)), labels if shape.narrow or place == 0 else [""] * len(keys))
        axes.set_ylim(len(keys) - 0.4, -0.6)
        axes.set_xlabel(_PROBES[probe])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.grid(axis="y", visible=False)
        if probe == "same_place":
            axes.set_xlim(-0.03, 1.03)
            axes.axvline(float(table["same_place_chance"].mean()), color=MUTED, linewidth=1.2, linestyle="--")
        else:
            axes.set_xlim(right=1 + 0.05 * (1 - axes.get_xlim()[0]))
            axes.locator_params(axis="x", nbins=6, steps=[1, 2, 5, 10])
    return figure


def _spread(count: int) -> NDArray[np.float64]:
    """Where the points of a row stand, so that equal ones can be told apart."""
    return np.linspace(-0.2, 0.2, count) if count > 1 else np.zeros(1)
