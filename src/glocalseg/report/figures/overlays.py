"""The best, the median and the worst test case of one run, drawn on its images in the native grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from glocalseg.data.cards.card import Card
from glocalseg.data.slices.geometry import window
from glocalseg.data.slices.store import SliceStore, open_store
from glocalseg.evaluation.metrics import PRIMARY
from glocalseg.evaluation.predictions import PREDICTIONS, read_predictions
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed, repeat_table
from glocalseg.report.collected.collect import Collected
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.figures.figure import INK, MUTED, Plot, canvas, finish
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import structure_colour
from glocalseg.report.text.names import ALL, UPPER_BOUND, display, mathtext, plain, shortened

COLUMNS = 5
NAME = 23  # characters of a volume's name that fit beside a row


@dataclass(frozen=True)
class Choice:
    """The run whose predictions are shown, and its volumes from best to worst with their mean Dice."""

    method: str
    budget: str
    repeat: str
    folder: Path
    cases: tuple[tuple[str, str, float], ...]  # rank ("best"), volume, Dice


def overlay_plot(a: DatasetAnalysis, plan: Plan, collected: Collected, root: Path) -> Plot | None:
    """The overlay figure of a data set, or None where no run or no slice store is there."""
    choice = choose(a, plan, collected)
    store_job = next((j for j in plan.of("data") if j.dataset == a.dataset), None)
    if choice is None or store_job is None or not (root / store_job.record).is_file():
        return None
    store = open_store(root / store_job.record)
    predictions = read_predictions(root / choice.folder / PREDICTIONS, [volume for _, volume, _ in choice.cases])
    return _draw(choice, a, plan.cards[a.dataset], store, predictions)


def choose(a: DatasetAnalysis, plan: Plan, collected: Collected) -> Choice | None:
    """The best method at the smallest budget, its middle repeat: few labels, neither luck nor bad luck."""
    cell = next((c for n in a.budgets if (c := a.best(n))), None) or a.upper
    if cell is None:
        return None
    means = repeat_table(a)
    of = means[(means["method"] == cell.method) & (means["budget"] == cell.budget)]
    repeat = str(of.sort_values("dice", kind="stable")["repeat"].iloc[(len(of) - 1) // 2])
    s = renamed(collected.scores[collected.scores["metric"] == PRIMARY])
    own = s[(s["dataset"] == a.dataset) & (s["method"] == cell.method) & (s["budget"] == cell.budget)]
    job = next(
        j for j in plan.of("finetune")
        if j.repeat and (j.dataset, str(j.budget), j.repeat.name) == (a.dataset, cell.budget, repeat)
        and (UPPER_BOUND if j.budget == ALL else j.name) == cell.method
    )  # fmt: skip
    dice = own[own["repeat"] == repeat].groupby("volume")["value"].mean().dropna().sort_values(kind="stable")
    places = {"best": len(dice) - 1, "median": (len(dice) - 1) // 2, "worst": 0}
    cases = tuple((rank, str(dice.index[i]), float(dice.iloc[i])) for rank, i in places.items())
    return Choice(cell.method, cell.budget, repeat, job.record.parent, cases)


def _draw(
    choice: Choice, a: DatasetAnalysis, card: Card, store: SliceStore, predictions: dict[str, NDArray[np.uint8]]
) -> Plot:
    figure = canvas(9.2, 6.6)
    grid = figure.subplots(len(choice.cases), COLUMNS, squeeze=False)
    for row, (rank, volume, dice) in zip(grid, choice.cases, strict=True):
        _case(row, store, volume, predictions[volume])
        row[0].set_ylabel(row_title(rank, volume, dice), fontsize=9, color=INK)
    names = [card.structures[k] for k in sorted(card.structures)]
    handles: list[Patch | Line2D] = [
        Patch(color=structure_colour(k), alpha=0.55, label=f"{n}, truth") for k, n in enumerate(names, 1)
    ]
    handles += [
        Line2D([], [], color=structure_colour(k), linewidth=2, label=f"{n}, prediction") for k, n in enumerate(names, 1)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(2, len(names)), labelcolor=INK)
    what = f"{display(choice.method)}, labelled volumes: {a.price(choice.budget, choice.method)}, repeat {choice.repeat}"
    figure.suptitle(mathtext(what), x=0.01, ha="left", fontsize=10, color=MUTED)
    cases = ", ".join(f"{rank} {volume} with Dice {number(dice)}" for rank, volume, dice in choice.cases)
    return finish(
        figure, f"{a.dataset}-overlays", dataset=a.dataset, title="Best, median and worst test case",
        caption="Filled: the truth; outline: the prediction, on the native grid. Fill without outline was missed, outline without"
        f" fill is too much. {COLUMNS} slices through the extent of the truth, cut to the structures, upright, patient's "
        "right or front on the left. The run: the method with the highest mean at the smallest number of labelled volumes, its "
        "middle repeat; cases are ordered by mean Dice.",
        alt=f"Images with outlines of truth and prediction for {plain(what)}: {cases}.", raster=True,
    )  # fmt: skip


def row_title(rank: str, volume: str, dice: float) -> str:
    """Rank, Dice and volume on two lines that are no longer than a row is high; a name is no formula, whatever it holds."""
    return f"{rank}, Dice {number(dice)}\n{shortened(volume, NAME)}".replace("$", r"\$")


def _case(row: NDArray[np.object_], store: SliceStore, volume: str, prediction: NDArray[np.uint8]) -> None:
    truth = store.native_label(volume)
    if prediction.shape != truth.shape:
        raise ReportError(f"predictions of {volume}: expected shape {truth.shape}, found {prediction.shape}")
    info = store.volumes.set_index("volume").loc[volume]
    spacing = (float(info["spacing_height"]), float(info["spacing_width"]))
    filled = np.flatnonzero(truth.any(axis=(1, 2)))
    first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (0, len(truth) - 1)
    depths = np.linspace(first, last, COLUMNS + 2)[1:-1].round().astype(int)
    frames = store.images[store.rows([volume])]
    view = _view(truth, prediction, spacing)
    resampled = (int(info["resampled_height"]), int(info["resampled_width"]))
    for axes, depth in zip(row, depths, strict=True):
        _slice(axes, unframe(frames[depth], resampled), truth[depth], prediction[depth], spacing)
        axes.set_xlim(
            view[1], view[0]
        )  # the first axis counts towards right or front: shown on the left, as radiologists do
        axes.set_ylim(view[2], view[3])
        axes.set_title(f"slice {depth + 1} of {len(truth)}", fontsize=7.5, fontweight="normal", color=MUTED)


def _slice(
    axes: Axes,
    image: NDArray[np.float32],
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    spacing: tuple[float, float],
) -> None:
    """One slice in mm: the first axis of the arrays runs along x, the second upwards along y."""
    extent = (0, truth.shape[0] * spacing[0], 0, truth.shape[1] * spacing[1])
    low, high = np.nanpercentile(image, [1, 99]) if np.isfinite(image).any() else (0.0, 1.0)
    axes.set_facecolor("#20242a")
    axes.imshow(
        image.T, cmap="gray", extent=extent, origin="lower", interpolation="bilinear", vmin=low, vmax=max(high, low + 1e-6)
    )
    fill = np.zeros((*truth.shape, 4))
    for k in sorted(set(np.unique(truth).tolist()) - {0}):
        fill[truth == k] = to_rgba(structure_colour(k), 0.42)
    axes.imshow(fill.transpose(1, 0, 2), extent=extent, origin="lower", interpolation="nearest")
    for k in sorted(set(np.unique(prediction).tolist()) - {0}):
        _outline(axes, prediction == k, spacing, structure_colour(k))
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _outline(axes: Axes, mask: NDArray[np.bool_], spacing: tuple[float, float], colour: str) -> None:
    """The border of a mask along the edges of its pixels, in mm: exact, however few pixels there are."""
    padded = np.pad(mask, 1).astype(np.int8)
    i, j = np.nonzero(np.diff(padded, axis=0))  # a change between i and i + 1 of the padded mask
    upright = [(x * spacing[0], (y - 1) * spacing[1], y * spacing[1]) for x, y in zip(i, j, strict=True)]
    i, j = np.nonzero(np.diff(padded, axis=1))
    level = [(y * spacing[1], (x - 1) * spacing[0], x * spacing[0]) for x, y in zip(i, j, strict=True)]
    for segments, draw in ((level, axes.hlines), (upright, axes.vlines)):
        if segments:
            at, start, end = np.array(segments).T
            draw(at, start, end, colors=colour, linewidth=1.6)


def unframe(frame: NDArray[np.float32], resampled: tuple[int, int]) -> NDArray[np.float32]:
    """A frame's slice put back on the whole resampled slice, NaN where the frame did not reach (docs/method.md 2.2, step 4)."""
    whole = np.full(resampled, np.nan, np.float32)
    (to_rows, from_rows), (to_columns, from_columns) = (window(n, m) for n, m in zip(resampled, frame.shape, strict=True))
    whole[to_rows, to_columns] = frame[from_rows, from_columns]
    return whole


def _view(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], spacing: tuple[float, float]
) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) in mm: a square around the structures of all slices with a margin."""
    there = (truth > 0).any(axis=0) | (prediction > 0).any(axis=0)
    x, y = np.nonzero(there) if there.any() else np.nonzero(np.ones_like(there))
    left, right, bottom, top = (
        x.min() * spacing[0],
        (x.max() + 1) * spacing[0],
        y.min() * spacing[1],
        (y.max() + 1) * spacing[1],
    )
    half = 0.62 * max(right - left, top - bottom)
    middle_x, middle_y = (left + right) / 2, (bottom + top) / 2
    return middle_x - half, middle_x + half, middle_y - half, middle_y + half
