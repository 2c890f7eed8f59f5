"""PixPro: pairs, propagation and loss against loops; its copy; that it learns without collapsing, and notices when it does."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glocalseg.methods.pretraining.encoder.noncontrastive import pixpro
from glocalseg.methods.pretraining.encoder.noncontrastive.byol import momentum_at
from glocalseg.methods.pretraining.encoder.noncontrastive.pixpro import consistency, joined, propagated, spreads
from methods.made_up import falls, pretraining_task, trained


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_propagation_is_that_of_the_loop(sharpness: float) -> None:
    projected, values = maps(0, 2, 4, 2, 3), maps(1, 2, 4, 2, 3)
    found = propagated(projected, values, sharpness)
    for n in range(2):
        x, g = projected[n].flatten(1), values[n].flatten(1)
        for i in range(6):
            parts = [max(float(cosine(x[:, i], x[:, j])), 0) ** sharpness * g[:, j] / g[:, j].norm() for j in range(6)]
            torch.testing.assert_close(found[n, :, i], torch.stack(parts).sum(dim=0))


def test_the_loss_is_that_of_the_loop() -> None:
    online, kept = maps(0, 6, 5, 4), maps(1, 6, 5, 4)
    pairs = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(2)) < 0.4
    pairs[1] = False  # a slice whose views share nothing
    pairs = torch.cat([pairs, pairs.mT])
    slices = []
    for s in (0, 2):
        both = 0.0
        for own, other in ((s, s + 3), (s + 3, s)):
            terms = [
                2 - 2 * cosine(online[own, :, i], kept[other, :, j])
                for i in range(4) for j in range(4) if pairs[own, i, j]
            ]  # fmt: skip
            both += torch.stack(terms).mean()
        slices.append(both)
    torch.testing.assert_close(consistency(online, kept, pairs), torch.stack(slices).mean())


def test_the_ends_of_the_loss() -> None:
    cells = maps(0, 4, 5, 3)
    same = torch.eye(3, dtype=torch.bool).expand(4, 3, 3)
    assert consistency(cells, cells.roll(2, 0), same).item() == pytest.approx(0, abs=1e-6)
    assert consistency(cells, -cells.roll(2, 0), same).item() == pytest.approx(8)
    none = consistency(cells.requires_grad_(), cells.detach(), same & False)
    none.backward()
    assert none == 0
    assert (cells.grad == 0).all()  # type: ignore[union-attr]


def test_deeper_maps_are_enlarged_cell_by_cell_and_joined() -> None:
    levels = [maps(0, 1, 1, 8, 8), maps(1, 1, 2, 4, 4), maps(2, 1, 3, 2, 2)]
    found = joined(levels, 1)
    assert found.shape == (1, 5, 4, 4)
    assert torch.equal(found[:, :2], levels[1])
    for y in range(4):
        for x in range(4):
            assert torch.equal(found[0, 2:, y, x], levels[2][0, :, y // 2, x // 2])
    assert torch.equal(joined(levels, 2), levels[2])


def first_batch(name: str) -> Tensor:
    net, task = pretraining_task(name)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(4)
    return seen[0]


def test_it_shows_what_gr_shows_to_the_bit() -> None:
    assert torch.equal(first_batch("pixpro"), first_batch("gr"))


def test_the_copy_follows_encoder_and_projector_and_gets_no_gradient(tmp_path: Path) -> None:
    _, task = pretraining_task("pixpro", options={"momentum": 0.5}, steps=2)
    task.losses(0)["all"].backward()
    assert all(p.grad is None for p in task.modules["target"].parameters())
    assert all(p.grad is not None for p in task.modules["value"].parameters())
    online = nn.ModuleDict({name: task.modules[name] for name in ("encoder", "head")})
    expected = [p.detach().clone() for p in online.parameters()]
    assert all(torch.equal(p, q) for p, q in zip(task.modules["target"].parameters(), expected, strict=True))
    trained(task, tmp_path, 1, rate=1e-2)
    m = momentum_at(0, 2, 0.5)
    for kept, before, now in zip(task.modules["target"].parameters(), expected, online.parameters(), strict=True):
        torch.testing.assert_close(kept, m * before + (1 - m) * now.detach())
    assert any(not torch.equal(p, q) for p, q in zip(task.modules["target"].parameters(), expected, strict=True))


def test_pairs_follow_the_option_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal windows of 4 x 4 cells: each cell with itself, with those beside it as well, with those at its corners as well."""
    seen: list[Tensor] = []
    monkeypatch.setattr(pixpro, "consistency", lambda online, kept, pairs: seen.append(pairs) or online.sum())
    for distance, count in ((0.1, 16), (0.75, 16 + 48), (1.01, 16 + 48 + 36)):
        pretraining_task("pixpro", options={"distance": distance}, views={"crop": 1.0})[1].losses(0)
        assert (seen[-1].sum(dim=(1, 2)) == count).all()


def test_it_learns_and_does_not_collapse(tmp_path: Path) -> None:
    _, task = pretraining_task("pixpro", steps=30)
    assert falls(task, tmp_path, 30) < 0.6
    task.losses(0)
    said = task.diagnostics()
    assert said["spread"] > 0.3
    assert said["spread_within"] > 0.3


def test_spreads_of_known_cells() -> None:
    apart = torch.eye(4).view(1, 4, 2, 2).expand(3, -1, -1, -1)  # four directions in every map
    whole, within = spreads(apart)
    assert whole.item() == pytest.approx(math.sqrt(0.75))
    assert within.item() == pytest.approx(math.sqrt(0.75))
    flat = torch.eye(4)[:, :, None, None].expand(-1, -1, 2, 2)  # each map one direction of its own
    whole, within = spreads(flat)
    assert whole.item() == pytest.approx(math.sqrt(0.75))
    assert within.item() == pytest.approx(0, abs=1e-6)
    assert max(float(s) for s in spreads(torch.ones(3, 4, 2, 2))) == pytest.approx(0, abs=1e-6)


def test_the_diagnostics_show_a_collapse_a_place_and_views_without_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    _, task = pretraining_task("pixpro")
    target = task.modules["target"]["head"]  # type: ignore[index]
    monkeypatch.setattr(target, "forward", lambda shown: torch.ones(len(shown), 128, 4, 4))
    task.losses(0)
    said = task.diagnostics()
    assert said["spread"].item() == pytest.approx(0, abs=1e-3)
    assert said["spread_within"].item() == pytest.approx(0, abs=1e-3)
    place = maps(0, 1, 128, 4, 4)
    monkeypatch.setattr(target, "forward", lambda shown: place.expand(len(shown), -1, -1, -1))
    task.losses(0)
    assert task.diagnostics()["same_place"] == 1
    _, apart = pretraining_task("pixpro", views={"crop": 0.1, "crop_start": (0.0, 0.9)})
    apart.losses(0)
    assert apart.diagnostics()["overlapping"] < 0.5
