"""The best weights on validation are kept, also across an interruption (METHOD.md 6)."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from glocalseg.stages.finetune import Selection


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
