"""Stage 3: train the whole network with few labels, select on validation, test on the native grid (METHOD.md 6, 7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glocalseg.augment.views import apply_training
from glocalseg.config import ConfigError
from glocalseg.evaluation.metrics import case_scores, dice_scores
from glocalseg.evaluation.predict import predict
from glocalseg.finetuning.base import Slices, load_regime
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, save_weights
from glocalseg.plan import Job, Plan
from glocalseg.provenance import write_atomic
from glocalseg.stages.common import Inputs, Task, finish, open_inputs
from glocalseg.training.loop import Schedule, train
from glocalseg.training.meter import write_rows
from glocalseg.training.randomness import generator

SCORE_COLUMNS = ["dataset", "method", "budget", "draw", "seed", "subject", "volume", "structure", "metric", "value"]
MEAN = "mean"


class Selection:
    """Keeps the weights with the best mean validation Dice; an earlier step wins a tie (METHOD.md 6)."""

    def __init__(self, net: nn.Module, scores: Callable[[], dict[str, float]]) -> None:
        self._net, self._scores = net, scores
        self.best = {"step": 0, "dice": -1.0}
        self.rows: list[dict[str, Any]] = []
        self.weights: dict[str, Tensor] = {}

    def observe(self, step: int) -> None:
        """Score the network after ``step`` steps and keep a copy if it is the best so far."""
        scores = self._scores()
        scores[MEAN] = float(np.nanmean(list(scores.values())))
        self.rows += [{"step": step, "structure": name, "dice": value} for name, value in scores.items()]
        if scores[MEAN] > self.best["dice"]:
            self.best = {"step": step, "dice": scores[MEAN]}
            self.weights = {name: t.detach().clone() for name, t in self._net.state_dict().items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, and the best score with all rows."""
        return self.weights, {"best": self.best, "rows": self.rows}

    def restore(self, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
        """Put a saved state back."""
        self.weights, self.best, self.rows = tensors, rest["best"], rest["rows"]


def finetune(job: Job, plan: Plan, root: Path) -> None:
    """Train, select and test one run, and seal its folder.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``; also if no validation volume holds a structure.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = open_inputs(job, plan, root)
    _require_validation(inputs)
    config, device = plan.benchmark.finetune, inputs.device
    net = inputs.network(plan, running_averages=False)
    task = make_task(inputs, plan, net)
    structures = inputs.card.structures
    selection = Selection(net, lambda: _validate(net, inputs))
    schedule = Schedule(config.learning_rate, config.steps, cosine=config.schedule == "cosine", warmup=config.warmup)
    seconds, rate = train(
        inputs.run,
        task.trained,
        task.loss,
        steps=config.steps,
        schedule=schedule,
        images_per_step=task.images_per_step,
        checkpoint_every=config.checkpoint_every,
        observer=selection,
        observe_every=config.validate_every,
    )
    write_rows(inputs.folder / "validation.csv", selection.rows, ["step", "structure", "dice"])
    net.load_state_dict(selection.weights)
    save_weights(selection.weights, inputs.folder / FILE)
    began = time.perf_counter()
    predictions = predict(net, inputs.store, inputs.split.test, device)
    _write_scores(inputs, predictions)
    _write_predictions(inputs.folder / "predictions.npz", predictions)
    chosen = {row["structure"]: row["dice"] for row in selection.rows if row["step"] == selection.best["step"]}
    subject = dict(zip(inputs.store.volumes["volume"], inputs.store.volumes["subject"], strict=True))
    split = {name: list(getattr(inputs.split, name)) for name in ("pretrain", "train", "validation", "test")}
    finish(
        inputs,
        timing={"train_seconds": seconds, "test_seconds": time.perf_counter() - began, "images_per_second": rate},
        more={
            "split": split,
            "subjects": {v: subject[v] for names in split.values() for v in names},
            "best": selection.best,
            "collapsed": [name for name in structures.values() if chosen[name] < config.collapse_below],
            "loss": config.loss,
        },
    )


def make_task(inputs: Inputs, plan: Plan, net: SegmentationNet) -> Task:
    """The whole of ``net`` and the loss of the job's regime."""
    config, device, seed = plan.benchmark.finetune, inputs.device, inputs.seed
    regime = load_regime(str(inputs.job.parts["regime"]))
    slices = _slices(inputs)

    @device.compile
    def forward(shown: Tensor) -> Tensor:
        with device.autocast():
            return net(shown)

    def loss(step: int) -> Tensor:
        device.begin_step()
        return regime.loss(forward, slices, config, generator(seed, "finetune", step, device.device))

    return Task(net.train(), loss, forward, config.batch)


def _slices(inputs: Inputs) -> Slices:
    labels = torch.from_numpy(np.asarray(inputs.store.labels[inputs.store.rows(inputs.split.train)])).long()
    one_hot = F.one_hot(labels, inputs.card.classes).permute(0, 3, 1, 2)
    return Slices(
        images=inputs.images(inputs.split.train),
        labels=inputs.device.images(one_hot),
        unlabelled=inputs.images(inputs.split.pretrain),
        augment=inputs.device.compile(apply_training),
    )


def _require_validation(inputs: Inputs) -> None:
    """Nothing, if a validation volume holds a structure: its Dice is then a number at every step, whatever is predicted (D20)."""
    volumes = inputs.split.validation
    if not any(np.isin(inputs.store.native_label(v), list(inputs.card.structures)).any() for v in volumes):
        names = ", ".join(inputs.card.structures.values())
        raise ConfigError(
            f"{inputs.card.name}: splits: validation: expected {names} in one of {', '.join(volumes)}, which the weights "
            "are selected by, found none of them"
        )


def _validate(net: nn.Module, inputs: Inputs) -> dict[str, float]:
    """Mean Dice of each structure over the validation volumes, on their native grids."""
    found = predict(net, inputs.store, inputs.split.validation, inputs.device)
    cases = [dice_scores(p, inputs.store.native_label(v), inputs.card.structures) for v, p in found.items()]
    return {name: _mean([case[name] for case in cases]) for name in inputs.card.structures.values()}


def _mean(scores: list[float]) -> float:
    """Mean of the scores that are numbers; nan if none is: the structure is in no volume, and no prediction says so."""
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def _write_scores(inputs: Inputs, predictions: dict[str, NDArray[np.uint8]]) -> None:
    table, job = inputs.store.volumes.set_index("volume"), inputs.job
    rows = []
    for volume, prediction in predictions.items():
        row = table.loc[volume]
        spacing = (float(row["spacing_depth"]), float(row["spacing_height"]), float(row["spacing_width"]))
        scores = case_scores(
            prediction, inputs.store.native_label(volume), spacing=spacing, structures=inputs.card.structures
        )
        run = (job.dataset, job.name, job.budget, job.draw, job.seed, row["subject"], volume)
        rows += [dict(zip(SCORE_COLUMNS, (*run, *score), strict=True)) for score in scores]
    frame = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    write_atomic(inputs.folder / "scores.csv", frame.to_csv(index=False, lineterminator="\n").encode())


def _write_predictions(path: Path, predictions: dict[str, NDArray[np.uint8]]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as f:
        np.savez_compressed(f, **predictions)  # type: ignore[arg-type]
    temporary.replace(path)
