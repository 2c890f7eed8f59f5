"""A training that left the numbers is noticed before anything is logged, selected or saved of it, and at no other step."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tasks import Here, task_of
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from glocalseg.training.checkpoint import load_state
from glocalseg.training.divergence import DivergedError
from glocalseg.training.loop import Schedule, train

STEPS = 400  # a row of the log every fourth


class Seen:
    """An observer that remembers when it looked."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def observe(self, step: int) -> None:
        self.steps.append(step)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}

    def restore(self, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
        pass


class OneWeight(nn.Module):
    """A weight that a loss brings to one; ``bad`` steps have another loss."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def loss(self, step: int, bad: dict[int, float]) -> Tensor:
        return (self.weight - 1).square().sum() * bad.get(step, 1.0)


def run(
    folder: Path, loss: Any, net: nn.Module, *, checkpoint_every: int = 10**6, observe_every: int = 10**6, steps: int = STEPS
) -> Seen:
    seen = Seen()
    train(
        Here("a run", "key", folder), task_of(net, loss), steps=steps, schedule=Schedule(1e-3, steps),
        checkpoint_every=checkpoint_every, observer=seen, observe_every=observe_every,
    )  # fmt: skip
    return seen


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("step", "named"), [(5, "steps 5 to 8"), (8, "steps 5 to 8"), (9, "steps 9 to 12")])
def test_the_steps_since_the_last_look_are_named(tmp_path: Path, step: int, named: str, bad: float) -> None:
    net = OneWeight()
    with pytest.raises(DivergedError, match=rf"a run: {named}: expected a finite loss, found {bad}"):
        run(tmp_path, lambda s: net.loss(s, {step - 1: bad}), net)
    rows = list(csv.DictReader((tmp_path / "log.csv").open())) if step > 4 else []
    assert [int(r["step"]) for r in rows] == [s for s in range(4, step, 4) if s <= (step - 1) // 4 * 4]


def test_a_loss_that_comes_back_is_noticed_all_the_same(tmp_path: Path) -> None:
    """As a term without gradient: the weights stay sound, but what was minimised was no number."""
    net = OneWeight()
    with pytest.raises(DivergedError, match=r"a run: steps 5 to 8: expected a finite loss, found nan"):
        run(tmp_path, lambda s: net.loss(s, {}) + (math.nan if s == 5 else 0.0), net)


@pytest.mark.parametrize(
    ("every", "named"), [({"checkpoint_every": 7}, "steps 5 to 7"), ({"observe_every": 6}, "steps 5 to 6")]
)
def test_nothing_is_saved_or_selected_of_a_diverged_training(tmp_path: Path, every: dict[str, int], named: str) -> None:
    net = OneWeight()
    looked: list[int] = []
    with pytest.raises(DivergedError, match=rf"a run: {named}: expected a finite loss, found nan"):
        looked = run(tmp_path, lambda s: net.loss(s, {4: math.nan}), net, **every).steps
    assert looked == []
    assert load_state(tmp_path, "key") is None


@pytest.mark.parametrize("every", [{"checkpoint_every": 3}, {"observe_every": 3}])
def test_weights_that_are_no_numbers_are_noticed_where_the_loss_still_was_one(tmp_path: Path, every: dict[str, int]) -> None:
    net = OneWeight()

    def loss(step: int) -> Tensor:
        # the root of zero is a number, its gradient times zero is none
        return net.loss(step, {}) + ((0 * net.weight).square().sum().sqrt() if step == 2 else 0.0)

    with pytest.raises(DivergedError, match=r"a run: step 3: expected finite weights, found nan or infinity"):
        run(tmp_path, loss, net, **every)
    assert load_state(tmp_path, "key") is None


class Values(TorchDispatchMode):
    """Counts how often a tensor was asked for its value."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_the_device_is_waited_for_at_the_rows_of_the_log_alone(tmp_path: Path) -> None:
    net = OneWeight()
    with Values() as asked:
        run(tmp_path, lambda s: net.loss(s, {}), net)
    rows = len((tmp_path / "log.csv").read_text().splitlines()) - 1
    assert rows == STEPS / 4
    assert rows <= asked.count <= rows + 10  # the last observation and the last checkpoint look at the weights as well
