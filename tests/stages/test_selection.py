"""The best weights on validation are kept, also across an interruption (docs/method.md 6)."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_benchmark import find, run_job, small_plan, write_data
from torch import nn

from glocalseg.config.model import ConfigError
from glocalseg.data.slices.store import SliceStore
from glocalseg.plan.jobs import Plan
from glocalseg.stages import finetune
from glocalseg.stages.finetune import Selection
from glocalseg.stages.opening import open_inputs


def selection(scores: list[dict[str, float]]) -> tuple[nn.Linear, Selection]:
    net = nn.Linear(1, 1)
    left = iter(scores)
    return net, Selection(net, lambda: dict(next(left)))


def observe(net: nn.Linear, chosen: Selection, step: int) -> None:
    with torch.no_grad():
        net.weight.fill_(step)
    chosen.observe(step)


def test_the_best_mean_wins_and_an_earlier_step_wins_a_tie() -> None:
    net, chosen = selection([{"a": x, "b": y} for x, y in ((0.2, 0.4), (0.5, 0.3), (0.3, 0.5), (0.1, 0.1))])
    for step in (10, 20, 30, 40):
        observe(net, chosen, step)
    assert chosen.best == {"step": 20, "dice": 0.4}
    assert chosen.weights["weight"].item() == 20  # a copy: training went on to 40
    assert [r["dice"] for r in chosen.rows if r["structure"] == "mean"] == pytest.approx([0.3, 0.4, 0.4, 0.1])
    assert len(chosen.rows) == 12


def test_a_network_that_is_not_trained_yet_is_neither_scored_nor_kept() -> None:
    net = nn.Linear(1, 1)
    left = iter([{"a": 0.2}])
    chosen = Selection(net, lambda: dict(next(left)), lead=20)
    for step in (10, 20, 30):
        observe(net, chosen, step)
    assert chosen.best == {"step": 30, "dice": 0.2}
    assert {row["step"] for row in chosen.rows} == {30}


def test_a_structure_without_a_value_is_left_out_of_the_mean() -> None:
    net, chosen = selection([{"a": 0.4, "b": math.nan}])
    observe(net, chosen, 5)
    assert chosen.best == {"step": 5, "dice": 0.4}


def test_dice_zero_is_still_a_selection() -> None:
    net, chosen = selection([{"a": 0.0}])
    observe(net, chosen, 5)
    assert chosen.best == {"step": 5, "dice": 0.0}
    assert chosen.weights


def test_a_restored_selection_goes_on() -> None:
    net, chosen = selection([{"a": 0.5, "b": math.nan}])
    observe(net, chosen, 1)
    tensors, rest = chosen.state()
    again, restored = selection([{"a": 0.4, "b": 0.4}, {"a": 0.9, "b": 0.7}])
    restored.restore({k: v.clone() for k, v in tensors.items()}, json.loads(json.dumps(rest)))
    observe(again, restored, 2)
    assert restored.best == {"step": 1, "dice": 0.5}
    assert restored.weights["weight"].item() == 1
    observe(again, restored, 3)
    assert restored.best == {"step": 3, "dice": pytest.approx(0.8)}
    assert restored.weights["weight"].item() == 3
    assert [r["step"] for r in restored.rows] == [1] * 3 + [2] * 3 + [3] * 3


def test_the_mean_of_no_score_is_no_score_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(finetune._mean([math.nan, math.nan]))
        assert finetune._mean([0.5, math.nan, 0.0]) == 0.25


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Plan:
    """Two steps of fine-tuning; the native labels of the validation volumes hold ``request.param`` in one voxel, or nothing."""
    plan = small_plan(finetune={"steps": 2, "validate_every": 1})
    write_data(tmp_path, plan)
    native = SliceStore.native_label

    def label(store: SliceStore, volume: str) -> NDArray[np.uint8]:
        found = np.array(native(store, volume))
        if volume in held_out:
            found[:] = 0
            found[0, 0, 0] = request.param if volume == held_out[0] else 0
        return found

    job = find(plan, "finetune", "random", 2)
    spec: Any = job.spec
    held_out = open_inputs(spec, spec.split, job.place(tmp_path), steps=0).split.validation
    monkeypatch.setattr(SliceStore, "native_label", label)
    return plan


@pytest.mark.parametrize("plan", [0], indirect=True)
def test_validation_volumes_without_a_structure_are_refused_before_training(plan: Plan, tmp_path: Path) -> None:
    """A network that predicts nothing there would have no score, at no step, and nothing could be selected."""
    job = find(plan, "finetune", "random", 2)
    with pytest.raises(
        ConfigError,
        match=r"made_up random n2 r1: splits: validation: expected disc, core in one of v\d, v\d, .* found none",
    ):
        run_job(job, tmp_path)
    assert not (tmp_path / job.record.parent / "log.csv").exists()


@pytest.mark.parametrize("plan", [2], indirect=True)
def test_one_voxel_of_one_structure_is_enough_to_select_by(plan: Plan, tmp_path: Path) -> None:
    job = find(plan, "finetune", "random", 2)
    run_job(job, tmp_path)
    best = json.loads((tmp_path / job.record).read_text())["best"]
    assert best["step"] in (1, 2)
    assert best["dice"] >= 0
