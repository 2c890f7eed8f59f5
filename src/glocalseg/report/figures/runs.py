"""Figures of the runs: pretraining loss, validation Dice of fine-tuning, embeddings of slices, throughput."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed
from glocalseg.report.collected.collect import Collected, Embedding
from glocalseg.report.figures.figure import INK, Plot, canvas, finish
from glocalseg.report.text.colours import colours, markers
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display, mathtext, phase_title, plain

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
    encoders = [e for e in embeddings if e.phase != "pretrain_local"]  # a local pretraining leaves the encoder as it is
    first = {e.name: e for e in reversed(encoders)}  # the lowest seed of each
    names = list(dict.fromkeys(e.name for e in encoders))
    if not names:
        return None
    columns = min(4, len(names)) if len(names) != 5 else 3
    rows = -(-len(names) // columns)
    figure = canvas(0.6 + 2.9 * columns if columns < 4 else 10.0, 0.5 + 2.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        _embedding(axes, first[name], legend=name == names[0])
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    grid.flat[0].get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=2.2, labelcolor=INK)
    return finish(
        figure, f"{dataset}-embeddings", dataset=dataset, title="Slices as the networks see them",
        caption="Each point is a slice of a validation subject or of the training pool: its bottleneck features, scaled "
        "to unit length, along their first two principal components (their share of the variance is given). Colours: the "
        "partition of the volume that the slice lies in. Only the first seed is drawn; axes have no unit, and two panels cannot "
        "be compared by their scale.",
        alt=f"Scatter plots of slice embeddings coloured by partition for {', '.join(plain(_network(first[n])) for n in names)}.",
    )  # fmt: skip


def _network(e: Embedding) -> str:
    return display(e.name) if e.phase else "Random network"


def _embedding(axes: Axes, e: Embedding, *, legend: bool) -> None:
    points, share = principal_components(e.features)
    there = sorted(set(e.partition.tolist()))
    names = {k: f"partition {k + 1}" if k >= 0 else "none" for k in there}
    palette = {names[k]: _PARTITIONS[k % len(_PARTITIONS)] if k >= 0 else _UNPARTITIONED for k in there}
    sns.scatterplot(
        x=points[:, 0], y=points[:, 1], hue=[names[k] for k in e.partition.tolist()], hue_order=[names[k] for k in there],
        palette=palette, s=9, alpha=0.75, linewidth=0, legend="full" if legend else False, ax=axes,
    )  # fmt: skip
    axes.set_title(mathtext(_network(e)))
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
    if np.allclose(x, x[:1], rtol=0, atol=1e-12):  # no variance to share out
        return np.zeros((len(x), 2)), (0.0, 0.0)
    pca = PCA(min(2, *x.shape), svd_solver="full").fit(x)
    axes = pca.components_
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    points = np.round((x - pca.mean_) @ (axes * signs[:, None]).T, 6)  # the last bits differ between libraries
    share = [*pca.explained_variance_ratio_.tolist(), 0.0]
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
        names = list(dict.fromkeys(of["name"]))
        first = of["seed"] == of["seed"].min()
        for runs, width, alpha in ((of[~first], 0.8, 0.5), (of[first], 1.6, 1.0)):
            if runs.empty:
                continue
            sns.lineplot(
                _smoothed(runs), x="step", y="loss", hue="name", hue_order=names, palette=colour, units="seed",
                estimator=None, linewidth=width, alpha=alpha, legend="full" if alpha == 1.0 else False, ax=axes,
            )  # fmt: skip
        handles, labels = axes.get_legend_handles_labels()
        axes.set_title(phase_title(phase))
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.legend(handles, [mathtext(display(name)) for name in labels], ncols=2, fontsize=9)
    return finish(
        figure, f"{a.dataset}-pretraining", dataset=a.dataset, title="Pretraining curves",
        caption="Training loss, smoothed; thick: the first seed, thin: the others. Losses of different strategies are different "
        "quantities and cannot be compared with one another. A contrastive loss near zero after a few steps is a warning.",
        alt="Line plots of the training loss against steps for each pretraining strategy.",
    )  # fmt: skip


def _smoothed(logs: pd.DataFrame) -> pd.DataFrame:
    """The curve of every name and seed as a moving mean, at no more points than can be seen."""
    return pd.concat([_curve(run) for _, run in logs.groupby(["name", "seed"], sort=False)], ignore_index=True)


def _curve(run: pd.DataFrame) -> pd.DataFrame:
    smooth = run["loss"].rolling(max(1, len(run) // 40), min_periods=1).mean()
    shown = np.unique(np.linspace(0, len(run) - 1, min(len(run), _POINTS)).round().astype(int))
    return run.assign(loss=smooth).iloc[shown]


def _validation(a: DatasetAnalysis, logs: pd.DataFrame) -> Plot | None:
    own = renamed(logs[(logs["dataset"] == a.dataset) & (logs["structure"] == "mean")])
    if own.empty:
        return None
    panels = [n for n in [*a.budgets, ALL] if (own["budget"] == n).any()]
    methods = [*a.methods, UPPER_BOUND]
    few = own["step"].nunique() < 9
    figure = canvas(max(9.0, 2.2 + 2.2 * len(panels)), 3.5)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, budget in zip(grid, panels, strict=True):
        of = own[own["budget"] == budget]
        for method in (m for m in methods if (of["method"] == m).any()):
            sns.lineplot(
                of[of["method"] == method], x="step", y="dice", estimator="mean", errorbar=None, linewidth=1.4,
                color=colours(a.methods)[method], linestyle=(0, (1, 1)) if method == BASELINE else "-",
                marker=markers(a.methods)[method] if few else None, markersize=3.5, markeredgewidth=0,
                label=mathtext(display(method)), legend=False, ax=axes,
            )  # fmt: skip
        axes.set_title(a.price(budget, UPPER_BOUND if budget == ALL else None), fontsize=9.5)
        axes.set_xlabel("step")
    grid[0].set_ylabel("validation Dice")
    pairs = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(pairs.values()), list(pairs), loc="outside right center", labelcolor=INK)
    return finish(
        figure, f"{a.dataset}-finetuning", dataset=a.dataset, title="Fine-tuning curves",
        caption="By labelled volumes. Mean Dice over repeats, on the volumes that choose the weights, while fine-tuning.",
        alt="Line plots of validation Dice against fine-tuning steps for each method and number of labelled volumes.",
    )  # fmt: skip


def _throughput(a: DatasetAnalysis, timings: pd.DataFrame) -> Plot | None:
    own = timings[(timings["dataset"] == a.dataset) & timings["images_per_second"].notna()]
    if own.empty:
        return None
    bars = own.assign(bar=[_bar(phase, name) for phase, name in zip(own["phase"], own["method"], strict=True)])
    order = list(dict.fromkeys(bars["bar"]))
    colour = {"pretrain_global": "#0072b2", "pretrain_local": "#d55e00", "finetune": "#009e73"}
    figure = canvas(9.0, 0.7 + 0.33 * len(order))
    axes = figure.subplots()
    sns.barplot(
        bars, x="images_per_second", y="bar", hue="phase", order=order, palette=colour, saturation=1, width=0.66, alpha=0.85,
        errorbar=("pi", 100), err_kws={"color": INK, "linewidth": 1.1}, legend=False, ax=axes,
    )  # fmt: skip
    for y, (_, rates) in enumerate(bars.groupby("bar", sort=False)["images_per_second"]):
        axes.annotate(
            f"{rates.mean():,.0f}", (rates.max(), y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.tick_params(axis="y", colors=INK, length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images per second")
    axes.set_ylabel("")
    axes.margins(x=0.1)
    return finish(
        figure, f"{a.dataset}-throughput", dataset=a.dataset, title="Throughput",
        caption="Images that training takes in per second, views included; bar: mean over runs, line: their range. Several "
        "jobs may have shared the machine.",
        alt="Bar chart of images per second for each phase of training.",
    )  # fmt: skip


def _bar(phase: str, name: str) -> str:
    return phase_title(phase) if phase == "finetune" else f"{phase_title(phase)}, {mathtext(display(name))}"
