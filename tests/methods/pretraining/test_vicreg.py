"""VICReg and its variant by partition: what they show, their loss against a loop, what the diagnostics tell of a collapse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.encoder.noncontrastive.vicreg_d import SHOWN, VicregPartition
from glocalseg.methods.pretraining.siamese.agreement import partition_share
from glocalseg.methods.pretraining.siamese.redundancy import covariance_term, variance_term, vicreg_loss
from glocalseg.training.task import Task
from methods.made_up import falls, pool, pretraining_task, trained

WEIGHTS = {"invariance": 2.0, "variance": 3.0, "covariance": 5.0}


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def a_step(name: str, options: dict[str, Any] | None = None) -> tuple[Tensor, Tensor, float]:
    """What a step shows, the embeddings that it gets, and its loss."""
    net, task = pretraining_task(name, options=options)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.modules["head"].register_forward_hook(lambda *found: seen.append(found[2].detach()))
    loss = task.losses(4)["all"]
    return seen[0], seen[1], loss.item()


@pytest.mark.parametrize(("name", "like"), [("vicreg", "gr"), ("vicreg_d", "gd")])
def test_it_shows_what_the_contrastive_strategy_shows_to_the_bit(name: str, like: str) -> None:
    assert torch.equal(a_step(name)[0], a_step(like)[0])
    heads = [pretraining_task(n)[1].modules["head"].state_dict() for n in (name, like)]
    assert all(torch.equal(t, heads[1][n]) for n, t in heads[0].items())


def test_its_loss_is_that_of_the_two_views() -> None:
    _, embedded, loss = a_step("vicreg", WEIGHTS)
    assert embedded.shape == (24, 128)
    assert loss == pytest.approx(vicreg_loss(embedded[:12], embedded[12:], **WEIGHTS).item(), rel=1e-4)


def test_by_partition_its_pairs_are_those_of_gd() -> None:
    """All pairs of one slice, and the untouched slices of one partition of two volumes; the layout is that of the draw."""
    _, embedded, loss = a_step("vicreg_d", WEIGHTS)
    rows = [(view, volume, partition) for view in range(3) for volume in range(2) for partition in range(4)]
    pairs = [
        (i, j)
        for i, (view, volume, partition) in enumerate(rows)
        for j, other in enumerate(rows)
        if i != j and partition == other[2] and (volume == other[1] or (view, other[0]) == (0, 0))
    ]
    assert len(pairs) == 8 * 6 + 4 * 2
    sides = embedded.split(8)
    expected = 2 * torch.stack([(embedded[i] - embedded[j]).square().mean() for i, j in pairs]).mean()
    expected += 3 * 2 * torch.stack([variance_term(side) for side in sides]).mean()
    expected += 5 * 2 * torch.stack([covariance_term(side) for side in sides]).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-4)


def signs(task: Task) -> dict[str, float]:
    task.losses(10_000)
    return {name: float(value) for name, value in task.diagnostics().items()}


@pytest.mark.parametrize("name", ["vicreg", "vicreg_d"])
def test_it_learns_and_keeps_embeddings_apart(tmp_path: Path, name: str) -> None:
    _, task = pretraining_task(name, steps=30)
    before = signs(task)
    assert falls(task, tmp_path, 30) < 0.98  # a dozen slices cannot let 128 values vary apart: most of the loss stays
    after = signs(task)
    assert after["deviation"] > 1.2 * before["deviation"]
    assert after["rank"] > 10


@pytest.mark.parametrize("name", ["vicreg", "vicreg_d"])
def test_without_its_variance_term_it_collapses_and_the_diagnostics_show_it(tmp_path: Path, name: str) -> None:
    _, task = pretraining_task(name, steps=30, options={"variance": 0.0, "covariance": 0.0})
    before = signs(task)["deviation"]
    assert falls(task, tmp_path, 30) < 0.1
    assert signs(task)["deviation"] < 0.3 * before


def test_the_rank_shows_a_collapse_to_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    _, task = pretraining_task("vicreg")
    line = normal(0, 1, 128)
    monkeypatch.setattr(task.modules["head"], "forward", lambda maps: line * maps.mean(dim=(1, 2, 3))[:, None])
    found = signs(task)
    assert found["rank"] == pytest.approx(1, abs=1e-2)
    assert found["deviation"] > 0


def test_the_share_between_partitions_is_that_of_the_loop() -> None:
    views = SHOWN.draw(pool(), 24, torch.Generator().manual_seed(0))
    z = normal(0, 24, 5) + views.partition[:, None] * normal(1, 1, 5)
    means = {s: torch.stack([z[i] for i in range(24) if views.partition[i] == s]).mean(dim=0) for s in range(4)}
    between = sum(float((means[int(s)] - z.mean(dim=0)).square().sum()) for s in views.partition)
    expected = between / float((z - z.mean(dim=0)).square().sum())
    assert 0.2 < expected < 0.95
    assert partition_share(z, views).item() == pytest.approx(expected, rel=1e-4)


def test_it_is_one_where_the_partition_is_all_that_is_told_and_zero_where_it_is_not_told() -> None:
    views = VicregPartition().draw(pool(), 24, torch.Generator().manual_seed(0))
    assert partition_share(normal(0, 4, 5)[views.partition], views).item() == pytest.approx(1, abs=1e-4)
    assert partition_share(normal(0, 5, 5)[views.volume], views).item() == pytest.approx(0, abs=1e-4)
    assert partition_share(torch.ones(24, 5), views) == 0


def test_positives_across_volumes_bring_partitions_together(tmp_path: Path) -> None:
    shares = []
    for steps in (0, 40):
        _, task = pretraining_task("vicreg_d", steps=40, options={"invariance": 200.0})
        shares.append(signs(trained(task, tmp_path, steps, checkpoint_every=40) if steps else task)["partition_share"])
    assert shares[1] > 1.3 * shares[0]
