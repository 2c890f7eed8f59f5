"""BYOL: its loss and momentum copy against loops, what it shows, and that it learns without collapsing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glocalseg.methods.momentum import follow, momentum_copy
from glocalseg.methods.pretraining.encoder.noncontrastive.byol import byol_loss, momentum_at
from glocalseg.training.task import Task
from methods.made_up import falls, pretraining_task, trained, volumes


def vectors(seed: int, n: int = 8) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_that_of_the_loop() -> None:
    predicted, target = vectors(0), vectors(1)
    terms = []
    for i in range(4):
        for own, other in ((i, i + 4), (i + 4, i)):
            p, t = predicted[own] / predicted[own].norm(), target[other] / target[other].norm()
            terms.append((p - t).square().sum())  # which is 2 - 2 cos
    torch.testing.assert_close(byol_loss(predicted, target), torch.stack(terms).sum() / 4)


def test_the_ends_of_the_loss() -> None:
    one = vectors(0, 2)
    assert byol_loss(one, one.flip(0)).item() == pytest.approx(0, abs=1e-6)
    assert byol_loss(one, -one.flip(0)).item() == pytest.approx(8)


def test_the_momentum_rises_to_one_along_a_cosine() -> None:
    assert momentum_at(0, 100, 0.996) == pytest.approx(0.996)
    assert momentum_at(50, 100, 0.996) == pytest.approx(0.998)
    assert momentum_at(100, 100, 0.996) == 1
    assert momentum_at(25, 100, 0.9) == pytest.approx(1 - 0.1 * (math.cos(math.pi / 4) + 1) / 2)


def test_a_momentum_copy_follows_as_the_loop_does() -> None:
    module, other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    kept = momentum_copy(module)
    assert not any(p.requires_grad for p in kept.parameters())
    assert all(p.requires_grad for p in module.parameters())
    expected = {n: p.clone() for n, p in kept.named_parameters()}
    for _ in range(3):
        follow(kept, other, 0.7)
        expected = {n: 0.7 * p + 0.3 * q for (n, p), q in zip(expected.items(), other.parameters(), strict=True)}
    for name, p in kept.named_parameters():
        torch.testing.assert_close(p, expected[name])
    follow(kept, other, 0.0)
    assert all(torch.equal(p, q) for p, q in zip(kept.parameters(), other.parameters(), strict=True))


def test_the_copy_begins_as_the_encoder_and_follows_it_step_by_step(tmp_path: Path) -> None:
    _, task = pretraining_task("byol", options={"momentum": 0.5}, steps=3)
    online = [*task.modules["encoder"].parameters(), *task.modules["head"].parameters()]
    target = list(task.modules["target"].parameters())
    assert all(torch.equal(p, q) for p, q in zip(online, target, strict=True))
    expected = [p.detach().clone() for p in target]
    seen: list[int] = []

    def follow_slowly(step: int) -> None:
        seen.append(step)
        m = momentum_at(step, 3, 0.5)
        for i, p in enumerate(online):
            expected[i] = m * expected[i] + (1 - m) * p.detach()
        task.after_step(step)

    trained(Task(task.modules, task.losses, task.forward, 24, task.result, after_step=follow_slowly), tmp_path, 3)
    assert seen == [0, 1, 2]
    for p, q in zip(target, expected, strict=True):
        torch.testing.assert_close(p, q)
    assert any(not torch.equal(p, q) for p, q in zip(online, target, strict=True))


def test_no_gradient_reaches_the_copy() -> None:
    _, task = pretraining_task("byol")
    task.losses(0)["all"].backward()
    assert all(p.grad is None for p in task.modules["target"].parameters())
    assert all(p.grad is not None for p in task.modules["predictor"].parameters())


def first_batch(name: str) -> Tensor:
    net, task = pretraining_task(name)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(4)
    return seen[0]


def test_it_shows_what_gr_shows_to_the_bit() -> None:
    assert torch.equal(first_batch("byol"), first_batch("gr"))


def test_the_projector_begins_as_that_of_gr() -> None:
    heads = [pretraining_task(name)[1].modules["head"].state_dict() for name in ("byol", "gr")]
    assert all(torch.equal(t, heads[1][n]) for n, t in heads[0].items())


def spread(net: nn.Module, head: nn.Module) -> float:
    """Mean standard deviation of the values of unit embeddings over slices, times the root of their number: 1 at best."""
    with torch.no_grad():
        z = nn.functional.normalize(head(net(volumes()[0])[-1]), dim=1)
    return float(z.std(dim=0).mean() * z.shape[1] ** 0.5)


def test_it_learns_and_does_not_collapse(tmp_path: Path) -> None:
    net, task = pretraining_task("byol", steps=60, options={"momentum": 0.9})
    assert falls(task, tmp_path, 60, rate=1e-3) < 0.5
    assert spread(net.encoder, task.modules["head"]) > 0.1
