"""Figures of the runs: pretraining loss, validation Dice of fine-tuning, embeddings of slices, throughput."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from glocalseg.report.analysis import DatasetAnalysis
from glocalseg.report.collect import Collected, Embedding
from glocalseg.report.figures import INK, MUTED, Plot, canvas, finish
from glocalseg.report.names import ALL, PHASES, UPPER_BOUND, colours, display, markers, mathtext, plain, volumes

_POINTS = 400  # of a curve: more cannot be seen
_PARTITIONS = ["#440154", "#31688e", "#35b779", "#d8b500", "#e8743b", "#a83279", "#5f9ea0", "#8c6d31"]
_UNPARTITIONED = "#c5ccd3"


def run_plots(a: DatasetAnalysis, collected: Collected) -> list[Plot]:
    """The figures of one data set's runs; those without any data are left out."""
    plots = [
        _embeddings(a.dataset, [e for e in collected.embeddings if e.dataset == a.dataset]),
        _pretraining(a, collected.pretraining[collected.pretraining["dataset"] == a.dataset]),
        _validation(a, collected.validation),
        _throughput(a, collected.timings),
    ]
    return [p for p in plots if p]


def _embeddings(dataset: str, embeddings: Sequence[Embedding]) -> Plot | None:
    first = {e.name: e for e in reversed(embeddings) if "+" not in e.name}  # the lowest seed of each global strategy
    names = list(dict.fromkeys(e.name for e in embeddings if "+" not in e.name))
    if not names:
        return None
    columns = min(4, len(names)) if len(names) != 5 else 3
    rows = -(-len(names) // columns)
    figure = canvas(0.6 + 2.9 * columns if columns < 4 else 10.0, 0.5 + 2.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        _embedding(axes, first[name])
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=2.2, labelcolor=INK)
    return finish(
        figure, f"{dataset}-embeddings", dataset=dataset, title="Slices as the networks see them",
        caption="Each point is a slice of a validation subject or of the training pool: its bottleneck features, scaled "
        "to unit length, along their first two principal components (their share of the variance is given). Colours: the "
        "partition of the volume that the slice lies in. Only the first seed is drawn; axes have no unit, and two panels cannot "
        "be compared by their scale.",
        alt=f"Scatter plots of slice embeddings coloured by partition for {', '.join(plain(_network(n)) for n in names)}.",
    )  # fmt: skip


def _network(name: str) -> str:
    return "Random network" if name == "random" else display(name)


def _embedding(axes: Axes, e: Embedding) -> None:
    points, share = principal_components(e.features)
    for k in sorted(set(e.partition.tolist())):
        own = e.partition == k
        colour = _PARTITIONS[k % len(_PARTITIONS)] if k >= 0 else _UNPARTITIONED
        label = f"partition {k + 1}" if k >= 0 else "none"
        axes.scatter(points[own, 0], points[own, 1], s=9, color=colour, alpha=0.75, linewidth=0, label=label)
    axes.set_title(f"{mathtext(_network(e.name))}")
    axes.set_xlabel(f"{100 * share[0]:.0f}% and {100 * share[1]:.0f}% of variance", fontsize=8.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_color("#d5dbe1")


def principal_components(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """(n, 2) coordinates of unit-length features on their two main axes, and the axes' shares of the variance.

    The sign of an axis is chosen so that its largest weight is positive: the picture does not depend on the solver.
    """
    x = features.astype(np.float64)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    x -= x.mean(axis=0)
    _, scale, axes = np.linalg.svd(x, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    total = max(float((scale**2).sum()), 1e-12)
    share = [float(s) ** 2 / total for s in scale[:2]] + [0.0, 0.0]
    points = np.round(x @ axes.T, 6)  # the last bits of a decomposition differ between libraries
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), (share[0], share[1])


def _pretraining(a: DatasetAnalysis, logs: pd.DataFrame) -> Plot | None:
    if logs.empty:
        return None
    phases = [p for p in ("pretrain_global", "pretrain_local") if (logs["phase"] == p).any()]
    colour = colours(list(dict.fromkeys([*a.methods, *logs["name"]])))
    figure = canvas(9.6 if len(phases) > 1 else 6.5, 3.5)
    panels = figure.subplots(1, len(phases), squeeze=False)[0]
    for axes, phase in zip(panels, phases, strict=True):
        of = logs[logs["phase"] == phase]
        for (name, seed), run in of.groupby(["name", "seed"], sort=False):
            first = seed == of["seed"].min()
            x, y = _thin(run["step"].to_numpy(), _smooth(run["loss"].to_numpy()))
            label = mathtext(display(str(name))) if first else None
            axes.plot(x, y, color=colour[str(name)], linewidth=1.6 if first else 0.8, alpha=1 if first else 0.5, label=label)
        axes.set_title(PHASES[phase])
        axes.set_xlabel("step")
        axes.set_ylabel("contrastive loss")
        axes.legend(ncols=2, fontsize=9)
    return finish(
        figure, f"{a.dataset}-pretraining", dataset=a.dataset, title="Pretraining curves",
        caption="Training loss, smoothed; thick: the first seed, thin: the others. Losses of different strategies have different "
        "numbers of negatives and cannot be compared with one another. A local loss near zero after a few steps is a warning.",
        alt="Line plots of the contrastive loss against steps for each pretraining strategy.",
    )  # fmt: skip


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    width = max(1, len(values) // 40)
    smooth: NDArray[np.float64] = pd.Series(values).rolling(width, min_periods=1).mean().to_numpy()
    return smooth


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).round().astype(int))
    return x[keep], y[keep]


def _validation(a: DatasetAnalysis, logs: pd.DataFrame) -> Plot | None:
    own = logs[(logs.get("dataset") == a.dataset) & (logs["structure"] == "mean")].copy() if len(logs) else logs
    if own.empty:
        return None
    own.loc[own["budget"] == ALL, "method"] = UPPER_BOUND
    mean = own.groupby(["budget", "method", "step"])["dice"].mean().reset_index()
    panels = [n for n in [*a.budgets, ALL] if (mean["budget"] == n).any()]
    colour = colours(a.methods)
    figure = canvas(max(9.0, 2.2 + 2.2 * len(panels)), 3.5)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, budget in zip(grid, panels, strict=True):
        for method in [*a.methods, UPPER_BOUND]:
            run = mean[(mean["budget"] == budget) & (mean["method"] == method)]
            if len(run):
                style = (0, (1, 1)) if method == "random" else "-"
                axes.plot(
                    run["step"], run["dice"], color=colour[method], linewidth=1.4, linestyle=style,
                    marker=markers(a.methods)[method] if len(run) < 9 else None, markersize=3.5, label=mathtext(display(method)),
                )  # fmt: skip
        axes.set_title("all volumes" if budget == ALL else volumes(budget))
        axes.set_xlabel("step")
    grid[0].set_ylabel("validation Dice")
    pairs = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(pairs.values()), list(pairs), loc="outside right center", labelcolor=INK)
    return finish(
        figure, f"{a.dataset}-finetuning", dataset=a.dataset, title="Fine-tuning curves",
        caption="Mean Dice on the validation volumes, over draws and seeds, while fine-tuning; a run keeps its best checkpoint.",
        alt="Line plots of validation Dice against fine-tuning steps for each method and number of labelled volumes.",
    )  # fmt: skip


def _throughput(a: DatasetAnalysis, timings: pd.DataFrame) -> Plot | None:
    own = timings[(timings["dataset"] == a.dataset) & timings["images_per_second"].notna()]
    if own.empty:
        return None
    tuned = own["phase"] == "finetune"
    groups = own.assign(bar=own["method"].where(~tuned, "fine-tuning")).groupby(["phase", "bar"], sort=False)[
        "images_per_second"
    ]
    mean, low, high = groups.mean(), groups.min(), groups.max()
    order = [k for p in PHASES for k in mean.index if k[0] == p]
    figure = canvas(9.0, 0.7 + 0.33 * len(order))
    axes = figure.subplots()
    colour = {"pretrain_global": "#0072b2", "pretrain_local": "#d55e00", "finetune": "#009e73"}
    for y, key in enumerate(reversed(order)):
        axes.barh(y, mean[key], height=0.66, color=colour.get(key[0], MUTED), alpha=0.85)
        axes.plot([low[key], high[key]], [y, y], color=INK, linewidth=1.1)
        axes.annotate(
            f"{mean[key]:,.0f}", (high[key], y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
        )
    names = ["Fine-tuning" if k[0] == "finetune" else f"{PHASES[k[0]]}, {mathtext(display(k[1]))}" for k in reversed(order)]
    axes.set_yticks(range(len(order)), names)
    axes.tick_params(axis="y", colors=INK, length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images per second")
    axes.margins(x=0.1)
    return finish(
        figure, f"{a.dataset}-throughput", dataset=a.dataset, title="Throughput",
        caption="Images that training takes in per second, views included; bar: mean over runs, line: their range. Several "
        "jobs may have shared the machine.",
        alt="Bar chart of images per second for each phase of training.",
    )  # fmt: skip
