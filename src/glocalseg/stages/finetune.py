"""Fine-tuning: train the whole network with few labels, select on validation, predict the test volumes (docs/method.md 6, 7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.data.splits.lists import Split
from glocalseg.evaluation.overlap import dice_scores
from glocalseg.evaluation.predict import predict
from glocalseg.evaluation.predictions import LAST, PREDICTIONS, write_predictions
from glocalseg.methods.catalogue import regimes
from glocalseg.methods.finetuning.base import Regime, Slices
from glocalseg.methods.finetuning.parts import InParts
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, save_weights
from glocalseg.stages.opening import Inputs, finish, open_inputs
from glocalseg.stages.specs import FinetuneSpec, Place
from glocalseg.training.loop import train
from glocalseg.training.meter import write_rows
from glocalseg.training.task import Task

MEAN = "mean"


class Selection:
    """Keeps the weights with the best mean validation Dice; an earlier step wins a tie (docs/method.md 6).

    Args:
        lead: steps from the first in which the network is not trained yet, and so is no choice.
    """

    def __init__(self, net: nn.Module, scores: Callable[[], dict[str, float]], *, lead: int = 0) -> None:
        self._net, self._scores, self._lead = net, scores, lead
        self.best = {"step": 0, "dice": -1.0}
        self.rows: list[dict[str, Any]] = []
        self.weights: dict[str, Tensor] = {}

    def observe(self, step: int) -> None:
        """Score the network after ``step`` steps and keep a copy if it is the best so far."""
        if step <= self._lead:
            return
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


def finetune(spec: FinetuneSpec, place: Place) -> None:
    """Train, select and predict one run, and seal its folder: weights, curves, predictions and its record.

    The test volumes are predicted with the selected weights and, where there was a selection, with the last ones besides: what
    selection is worth, and what is left without the labels that it takes, is a row of the report.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``; also if no validation volume holds a structure.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = open_inputs(spec, spec.split, place, steps=steps_of(spec))
    tune(spec, inputs, lambda: make_task(spec, inputs, inputs.network(spec, running_averages=False)))


def tune(spec: FinetuneSpec, inputs: Inputs, make: Callable[[], Task]) -> None:
    """What ``finetune`` does of its inputs, with the task that ``make`` makes."""
    config, place = spec.config, inputs.place
    regime, steps = regime_of(spec), steps_of(spec)
    lead = regime.lead(config)
    selecting = selecting_volumes(config.selection, inputs.split)
    _require_validation(inputs, selecting)
    task = make()
    selection = Selection(task.result, lambda: _validate(task.result, inputs, selecting), lead=lead) if selecting else None
    schedule = InParts(
        config.learning_rate,
        config.steps,
        cosine=config.schedule == "cosine",
        warmup=config.warmup,
        lead=lead,
        begins=regime.begins(config),
    )
    seconds, rate = train(
        place,
        task,
        steps=steps,
        schedule=schedule,
        checkpoint_every=config.checkpoint_every,
        observer=selection,
        observe_every=config.validate_every,
    )
    write_rows(place.folder / "validation.csv", selection.rows if selection else [], ["step", "structure", "dice"])
    began = time.perf_counter()
    predictions = predict(task.result, inputs.store, inputs.split.test, inputs.device)
    if selection:
        write_predictions(place.folder / LAST, predictions)
        if selection.best["step"] != steps:
            task.result.load_state_dict(selection.weights)
            predictions = predict(task.result, inputs.store, inputs.split.test, inputs.device)
    save_weights(task.result.state_dict(), place.folder / FILE)
    write_predictions(place.folder / PREDICTIONS, predictions)
    roles = {"train": "train", "validation": "validation", "test": "test", "unlabelled": "pretrain"}
    split = {name: list(getattr(inputs.split, role)) for name, role in roles.items()}
    split["unlabelled"] = split["unlabelled"] if regimes()[spec.regime].unlabelled else []
    finish(
        spec,
        inputs,
        timing={"train_seconds": seconds, "test_seconds": time.perf_counter() - began, "images_per_second": rate},
        more={
            "split": split,
            "subjects": {v: inputs.store.known[v].subject for names in split.values() for v in names},
            "best": selection.best if selection else None,
        },
    )


def selecting_volumes(selection: str, split: Split) -> tuple[str, ...]:
    """The volumes whose Dice chooses the weights, as ``FinetuneConfig.selection`` says; none: the last weights are taken."""
    return {"validation": split.validation, "labelled": split.train, "none": ()}[selection]


def make_task(spec: FinetuneSpec, inputs: Inputs, net: SegmentationNet) -> Task:
    """The task of the specification's regime on its labelled, and unlabelled, slices."""
    regime = regime_of(spec)
    return regime.task(net, _slices(inputs, unlabelled=regime.unlabelled), inputs.device, spec.seed, spec.config)


def regime_of(spec: FinetuneSpec) -> Regime:
    """The specification's regime with its options."""
    return regimes()[spec.regime].option_class().model_validate(spec.options)  # type: ignore[return-value]


def steps_of(spec: FinetuneSpec) -> int:
    """All steps of a run: those that its regime asks for before the labelled ones, and these."""
    return regime_of(spec).lead(spec.config) + spec.config.steps


def _slices(inputs: Inputs, *, unlabelled: bool) -> Slices:
    labels = torch.from_numpy(np.asarray(inputs.store.labels[inputs.store.rows(inputs.split.train)])).long()
    one_hot = F.one_hot(labels, inputs.store.classes).permute(0, 3, 1, 2)
    return Slices(
        images=inputs.images(inputs.split.train),
        labels=inputs.device.images(one_hot),
        unlabelled=inputs.images(inputs.split.pretrain if unlabelled else ()),
    )


def _require_validation(inputs: Inputs, volumes: tuple[str, ...]) -> None:
    """Nothing, if a selecting volume holds a structure: its Dice is then a number at every step, whatever is predicted (D20)."""
    structures = inputs.store.structures
    if volumes and not any(np.isin(inputs.store.native_label(v), list(structures)).any() for v in volumes):
        raise ConfigError(
            f"{inputs.place.label}: splits: validation: expected {', '.join(structures.values())} in one of "
            f"{', '.join(volumes)}, which the weights are selected by, found none of them"
        )


def _validate(net: nn.Module, inputs: Inputs, volumes: tuple[str, ...]) -> dict[str, float]:
    """Mean Dice of each structure over volumes, on their native grids."""
    structures = inputs.store.structures
    found = predict(net, inputs.store, volumes, inputs.device)
    cases = [dice_scores(p, inputs.store.native_label(v), structures) for v, p in found.items()]
    return {name: _mean([case[name] for case in cases]) for name in structures.values()}


def _mean(scores: list[float]) -> float:
    """Mean of the scores that are numbers; nan if none is: no volume holds the structure."""
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))
