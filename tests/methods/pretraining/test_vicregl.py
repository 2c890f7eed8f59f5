"""VICRegL: its terms against loops, both ways of matching, what it shows, that it learns, and that a collapse is seen."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.encoder.noncontrastive.vicregl import VicregLocal, at, nearest
from glocalseg.methods.pretraining.siamese.redundancy import vicreg_loss
from methods.made_up import falls, pretraining_task

PLAIN = VicregLocal(invariance=2.0, variance=3.0, covariance=5.0)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_spread(z: Tensor) -> float:
    """Variance and covariance terms of embeddings (N, D), weighted as ``PLAIN`` weighs them."""
    n, d = z.shape
    centred = (z - z.mean(dim=0)).tolist()
    cov = [[sum(row[i] * row[j] for row in centred) / (n - 1) for j in range(d)] for i in range(d)]
    hinge = sum(max(0.0, 1 - math.sqrt(cov[i][i] + 1e-4)) for i in range(d)) / d
    return 3 * hinge + 5 * sum(cov[i][j] ** 2 for i in range(d) for j in range(d) if i != j) / d


def test_agreement_is_that_of_the_loop_and_of_vicreg() -> None:
    first, second = normal(0, 7, 4) / 2, normal(1, 7, 4) / 2
    squared = [float((a - b).square().mean()) for a, b in zip(first, second, strict=True)]
    rest = slow_spread(first) + slow_spread(second)
    assert PLAIN.agreement(first, second).item() == pytest.approx(2 * sum(squared) / 7 + rest, rel=1e-4)
    torch.testing.assert_close(
        PLAIN.agreement(first, second), vicreg_loss(first, second, invariance=2.0, variance=3.0, covariance=5.0)
    )
    counted = torch.tensor([1, 0, 0, 1, 0, 0, 1]).bool()
    found = PLAIN.agreement(first, second, counted).item()
    assert found == pytest.approx(2 * (squared[0] + squared[3] + squared[6]) / 3 + rest, rel=1e-4)
    assert PLAIN.agreement(first, second, counted & False).item() == pytest.approx(rest, rel=1e-4)


def test_cells_are_matched_with_the_nearest_embedding_of_the_other_view() -> None:
    embedded = normal(0, 6, 5, 3)
    found = nearest(embedded)
    for n in range(6):
        for i in range(5):
            distances = [float((embedded[n, i] - embedded[(n + 3) % 6, j]).norm()) for j in range(5)]
            assert found[n, i] == distances.index(min(distances))
    taken = at(embedded, found)
    assert all(torch.equal(taken[n, i], embedded[n, found[n, i]]) for n in range(6) for i in range(5))


def test_cells_are_compared_in_both_directions() -> None:
    embedded = normal(0, 4, 5, 3)
    match = torch.randint(5, (4, 5), generator=torch.Generator().manual_seed(1))
    counted = torch.rand(4, 5, generator=torch.Generator().manual_seed(2)) < 0.6
    sides = []
    for own, other in ((0, 2), (2, 0)):
        first = embedded[own : own + 2].flatten(0, 1)
        second = torch.stack([embedded[other + n, match[own + n, i]] for n in range(2) for i in range(5)])
        sides.append(PLAIN.agreement(first, second, counted[own : own + 2].flatten()))
    torch.testing.assert_close(PLAIN.cells(embedded, match, counted), torch.stack(sides).mean())


def shown_by(name: str, step: int = 4) -> Tensor:
    net, task = pretraining_task(name)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(step)
    return seen[0]


def test_it_shows_what_gr_shows_to_the_bit() -> None:
    assert torch.equal(shown_by("vicregl"), shown_by("gr"))


def test_alpha_weighs_the_loss_of_whole_slices_and_that_of_cells() -> None:
    quarter, half, most = (
        pretraining_task("vicregl", options={"alpha": a})[1].losses(4)["all"].item() for a in (0.25, 0.5, 0.75)
    )
    assert half == pytest.approx((quarter + most) / 2, rel=1e-5)
    net, task = pretraining_task("vicregl")
    with torch.no_grad():
        whole = task.modules["head"](net.encoder(shown_by("vicregl"))[-1])
    expected = vicreg_loss(*whole.chunk(2), invariance=25.0, variance=25.0, covariance=1.0)
    assert most * 1.5 - quarter / 2 == pytest.approx(expected.item(), rel=1e-4)


def test_by_place_only_what_both_views_show_is_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """With windows that are all the same, each cell is matched with itself; with small ones far apart most cells count not."""
    seen: list[tuple[Tensor, Tensor]] = []

    def cells(_: VicregLocal, embedded: Tensor, match: Tensor, counted: Tensor) -> Tensor:
        seen.append((match, counted))
        return embedded.sum()

    monkeypatch.setattr(VicregLocal, "cells", cells)
    pretraining_task("vicregl", views={"crop": 1.0})[1].losses(0)
    (_, all_of_them), (match, counted) = seen
    assert all_of_them.all()
    assert counted.all()
    assert torch.equal(match, torch.arange(16).expand(24, 16))
    pretraining_task("vicregl", views={"crop": 0.1, "crop_start": (0.0, 0.9)})[1].losses(0)
    assert seen[2][1].all()
    assert seen[3][1].float().mean() < 0.2


def test_it_learns_and_does_not_collapse(tmp_path: Path) -> None:
    _, task = pretraining_task("vicregl", steps=30)
    assert falls(task, tmp_path, 30) < 0.95
    task.losses(0)
    said = task.diagnostics()
    assert min(said["deviation"], said["deviation_cells"]) > 0.2
    assert min(said["rank"], said["rank_cells"]) > 5


def test_the_diagnostics_show_collapses_of_either_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    _, task = pretraining_task("vicregl")
    monkeypatch.setattr(task.modules["head"], "forward", lambda maps: torch.ones(len(maps), 128))
    line = normal(0, 1, 128, 1, 1)
    monkeypatch.setattr(task.modules["cells"], "forward", lambda maps: line * maps.mean(dim=1, keepdim=True))
    task.losses(0)
    said = task.diagnostics()
    assert said["deviation"].item() == pytest.approx(0, abs=1e-2)
    assert said["rank_cells"].item() == pytest.approx(1, abs=0.1)
    assert said["deviation_cells"] > 0.01
