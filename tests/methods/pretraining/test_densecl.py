"""DenseCL: matching and dense loss against loops, what it shares with G^R, and what its diagnostics say of the matching."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.encoder.contrastive.densecl import dense_loss, most_alike
from methods.made_up import falls, pretraining_task


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())


def test_a_cell_is_matched_with_the_most_similar_one_of_the_other_view() -> None:
    features = maps(0, 6, 5, 2, 3)
    found = most_alike(features)
    for n in range(6):
        other = features[(n + 3) % 6].flatten(1)
        for i in range(6):
            alike = [float(cosine(features[n].flatten(1)[:, i], other[:, j])) for j in range(6)]
            assert found[n, i] == alike.index(max(alike))
    assert not most_alike(features.requires_grad_()).requires_grad


def slow_dense_loss(projected: Tensor, match: Tensor, negatives: Tensor, tau: float) -> Tensor:
    n, terms = len(projected), []
    cells, pooled = projected.flatten(2), projected.mean(dim=(2, 3))
    for v in range(n):
        for i in range(cells.shape[2]):
            cell = cells[v, :, i]
            e = torch.exp(cosine(cell, cells[(v + n // 2) % n, :, match[v, i]]) / tau)
            rest = sum(torch.exp(cosine(cell, pooled[k]) / tau) for k in range(n) if negatives[v, k])
            terms.append(-torch.log(e / (e + rest)))
    return torch.stack(terms).mean()


def test_the_dense_loss_and_its_gradient_are_those_of_the_loop() -> None:
    projected = maps(1, 6, 4, 2, 3).double().requires_grad_()
    match = torch.randint(6, (6, 6), generator=torch.Generator().manual_seed(2))
    index = torch.tensor([0, 1, 2, 0, 1, 2])
    negatives = index[:, None] != index[None]
    expected = slow_dense_loss(projected, match, negatives, 0.2)
    (wanted,) = torch.autograd.grad(expected, projected)
    fast = projected.detach().float().requires_grad_()
    found = dense_loss(fast, match, negatives, temperature=0.2)
    (gradient,) = torch.autograd.grad(found, fast)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-6)


def test_the_dense_loss_of_equal_cells_counts_what_repels() -> None:
    negatives = ~torch.eye(4, dtype=torch.bool).roll(2, 0) & ~torch.eye(4, dtype=torch.bool)
    found = dense_loss(torch.ones(4, 3, 2, 2), torch.zeros(4, 4, dtype=torch.int64), negatives, temperature=0.1)
    assert found.item() == pytest.approx(math.log(3), rel=1e-5)
    alone = dense_loss(torch.ones(4, 3, 2, 2), torch.zeros(4, 4, dtype=torch.int64), negatives & False, temperature=0.1)
    assert alone == 0


def first_batch(name: str) -> Tensor:
    net, task = pretraining_task(name)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(4)
    return seen[0]


def test_it_shows_what_gr_shows_to_the_bit() -> None:
    assert torch.equal(first_batch("densecl"), first_batch("gr"))


def test_without_the_dense_loss_it_would_be_gr() -> None:
    """The loss is a weighted mean of that of G^R on the same head and of the dense one: two weights tell both."""

    def loss(name: str, **options: float) -> float:
        return pretraining_task(name, options=options)[1].losses(3)["all"].item()

    quarter, half, most = (loss("densecl", dense=w) for w in (0.25, 0.5, 0.75))
    assert half == pytest.approx((quarter + most) / 2, rel=1e-5)
    assert quarter * 1.5 - most / 2 == pytest.approx(loss("gr"), rel=1e-4)


def test_it_learns(tmp_path: Path) -> None:
    _, task = pretraining_task("densecl", steps=30)
    assert falls(task, tmp_path, 30) < 0.7


def test_the_diagnostics_show_features_that_tell_places_and_features_that_are_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, task = pretraining_task("densecl")
    task.losses(0)
    usual = task.diagnostics()
    assert 0 < usual["match_chance"] < usual["match_true"] + 0.2 < 1.2
    place = maps(0, 1, 16, 4, 4)
    last = net.encoder.blocks[3]
    monkeypatch.setattr(last, "forward", lambda shown: place.expand(len(shown), -1, -1, -1))
    task.losses(0)
    assert task.diagnostics()["match_same_cell"] == 1
    monkeypatch.setattr(last, "forward", lambda shown: torch.ones(len(shown), 16, 4, 4))
    task.losses(0)
    assert task.diagnostics()["match_distinct"].item() == pytest.approx(1 / 16)
