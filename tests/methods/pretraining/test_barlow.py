"""Barlow Twins and its variant by partition: what they show, their loss against a loop, what shows a collapse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.siamese.redundancy import barlow_loss, effective_rank, standardised
from glocalseg.training.task import Task
from methods.made_up import falls, pretraining_task


def a_step(name: str, options: dict[str, Any] | None = None) -> tuple[Tensor, Tensor, float]:
    """What a step shows, the embeddings that it gets, and its loss."""
    net, task = pretraining_task(name, options=options)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.modules["head"].register_forward_hook(lambda *found: seen.append(found[2].detach()))
    loss = task.losses(4)["all"]
    return seen[0], seen[1], loss.item()


@pytest.mark.parametrize(("name", "like"), [("barlow", "gr"), ("barlow_d", "gd")])
def test_it_shows_what_the_contrastive_strategy_shows_to_the_bit(name: str, like: str) -> None:
    assert torch.equal(a_step(name)[0], a_step(like)[0])
    heads = [pretraining_task(n)[1].modules["head"].state_dict() for n in (name, like)]
    assert all(torch.equal(t, heads[1][n]) for n, t in heads[0].items())


def test_its_loss_is_that_of_the_two_views() -> None:
    _, embedded, loss = a_step("barlow", {"off_diagonal": 0.02})
    assert embedded.shape == (24, 128)
    assert loss == pytest.approx(barlow_loss(embedded[:12], embedded[12:], off_diagonal=0.02).item(), rel=1e-4)


def test_by_partition_its_pairs_are_those_of_gd_each_once() -> None:
    _, embedded, loss = a_step("barlow_d", {"off_diagonal": 0.02})
    rows = [(view, volume, partition) for view in range(3) for volume in range(2) for partition in range(4)]
    z = torch.cat([standardised(side) for side in embedded.split(8)])
    pairs = [
        (i, j)
        for i, (view, volume, partition) in enumerate(rows)
        for j, other in enumerate(rows)
        if i < j and partition == other[2] and (volume == other[1] or (view, other[0]) == (0, 0))
    ]
    assert len(pairs) == 8 * 3 + 4
    correlation = torch.stack([z[i][:, None] * z[j][None, :] for i, j in pairs]).mean(dim=0)
    assert correlation.diagonal().max() <= 1 + 1e-4
    weight = torch.full((128, 128), 0.02).fill_diagonal_(1)
    expected = (weight * (torch.eye(128) - correlation).square()).sum()
    assert loss == pytest.approx(expected.item(), rel=1e-3)


def signs(task: Task) -> dict[str, float]:
    task.losses(10_000)
    return {name: float(value) for name, value in task.diagnostics().items()}


@pytest.mark.parametrize("name", ["barlow", "barlow_d"])
def test_it_learns_and_does_not_collapse(tmp_path: Path, name: str) -> None:
    _, task = pretraining_task(name, steps=30)
    assert falls(task, tmp_path, 30) < 0.8
    found = signs(task)
    assert found["deviation"] > 0.5
    assert found["rank"] > 3


def shown_by(monkeypatch: pytest.MonkeyPatch, name: str, embed: Any) -> dict[str, float]:
    """The diagnostics of embeddings that a function makes of the coarsest map."""
    _, task = pretraining_task(name)
    monkeypatch.setattr(task.modules["head"], "forward", embed)
    return signs(task)


def test_the_diagnostics_show_values_that_all_say_the_same_and_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    line, point = (torch.randn(1, 128, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    alike = shown_by(monkeypatch, "barlow", lambda maps: point + line * maps.mean(dim=(1, 2, 3))[:, None])
    assert alike["rank"] == pytest.approx(1, abs=0.05)
    nearly = shown_by(monkeypatch, "barlow", lambda maps: point + 1e-3 * maps.flatten(1)[:, :128])
    assert nearly["deviation"] < 0.01
    assert nearly["rank"] > 3  # what little varies is scaled up: the rank alone would not show a point


def test_the_spread_is_one_of_directions_that_are_uniform_and_whatever_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(24, 128, generator=torch.Generator().manual_seed(0))
    found = shown_by(monkeypatch, "barlow", lambda maps: 100 * z)
    assert found["deviation"] == pytest.approx(1, abs=0.05)
    assert found["rank"] == pytest.approx(effective_rank(standardised(z)).item(), rel=1e-4)


def test_by_partition_the_share_is_one_where_the_partition_is_all_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(4, 128, generator=torch.Generator().manual_seed(0)).repeat(
        6, 1
    )  # view after view, volume after volume
    assert shown_by(monkeypatch, "barlow_d", lambda maps: values)["partition_share"] == pytest.approx(1, abs=1e-4)
    assert shown_by(monkeypatch, "barlow_d", lambda maps: values.flip(1))["partition_share"] == pytest.approx(1, abs=1e-4)
    by_volume = values[:2].repeat_interleave(4, dim=0).repeat(3, 1)
    assert shown_by(monkeypatch, "barlow_d", lambda maps: by_volume)["partition_share"] == pytest.approx(0, abs=1e-4)
