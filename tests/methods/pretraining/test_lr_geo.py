"""L^R by the geometry of crops: regions show the same anatomy, and where they lie in a map is worth nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.config.model import ConfigError
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.contrast.regions import Repulsion, local_loss, neighbour_mask, region_vectors
from glocalseg.methods.pretraining.decoder.lr_geo import common_regions, paired_loss, unit
from glocalseg.training.augment.warp import crop_grid, resample
from methods.made_up import SIDE, falls, pool, pretraining_task, volumes

CROP = 0.52
BOTH = pytest.mark.parametrize("name", ["lr_geo", "ld_geo"])
REPULSION = Repulsion.of(neighbour_mask(5))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def starts(n: int, seed: int) -> Tensor:
    """Windows as the benchmark draws them."""
    return 0.05 + 0.31 * torch.rand(n, 2, generator=generator(seed))


def shown(frames: Tensor, start: Tensor, side: int) -> Tensor:
    """What maps of ``side`` pixels show that see the frame through windows."""
    return resample(frames.expand(len(start), -1, -1, -1), crop_grid(start, CROP, (side, side)))


def test_the_regions_of_a_pair_show_the_same_place_of_the_frame() -> None:
    """Maps whose values are the row and the column in the frame: both views read the same numbers, which their regions span."""
    row, column = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    frame = torch.stack([row, column])[None]
    first, second = starts(5, 0), starts(5, 1)
    (a, b), counted = common_regions((shown(frame, first, 48), shown(frame, second, 48)), (first, second), CROP, 3, 0.3)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-2)
    assert counted.all()
    seen = a.view(5, 5, 5, 3, 3, 2)
    for axis in (0, 1):
        values, begins = seen[..., axis], 96 * torch.maximum(first, second)[:, axis] - 0.5
        ends = 96 * (torch.minimum(first, second)[:, axis] + CROP) - 0.5
        half = 0.5 * 96 * CROP / 48  # of a pixel of the map, in the frame's
        torch.testing.assert_close(values.flatten(1).amin(dim=1), begins + half, rtol=0, atol=1e-2)
        torch.testing.assert_close(values.flatten(1).amax(dim=1), ends - half, rtol=0, atol=1e-2)


def test_regions_are_flattened_as_those_of_lr() -> None:
    maps = torch.randn(2, 3, 9, 11, generator=generator())
    start = torch.zeros(2, 2)
    (a, b), _ = common_regions((maps, maps), (start, start), 1.0, 3, 0.3)
    for u in range(25):
        top, left = 6 * (u // 5) / 4, 2 * (u % 5)
        if top == int(top):  # other rows lie between pixels
            patch = maps[1, :, int(top) : int(top) + 3, left : left + 3].permute(1, 2, 0).reshape(-1)
            torch.testing.assert_close(a[1, u], patch)
    assert torch.equal(a, b)
    square = torch.randn(2, 3, 9, 9, generator=generator(1))
    (single, _), _ = common_regions((square, square), (start, start), 1.0, 1, 0.3)
    torch.testing.assert_close(unit(single), region_vectors(square, 1, None))


def test_a_map_that_is_too_small_is_refused() -> None:
    maps, start = torch.zeros(2, 3, 8, 7), torch.zeros(2, 2)
    with pytest.raises(ConfigError, match=r"decoder map of at least 8 x 8 .* found side 7"):
        common_regions((maps, maps), (start, start), 1.0, 3, 0.3)


def vectors(n: int, seed: int = 0) -> Tensor:
    return unit(torch.randn(n, 25, 6, generator=generator(seed)))


def test_the_loss_of_pairs_is_the_local_loss_of_their_maps() -> None:
    first, second = vectors(4, 0).requires_grad_(), vectors(4, 1).requires_grad_()
    positives = torch.zeros(8, 8, dtype=torch.bool)
    positives[range(4), range(4, 8)] = True
    expected = local_loss(torch.cat([first, second]), positives, REPULSION, temperature=0.1)
    found = paired_loss(first, second, torch.ones(4, dtype=torch.bool), REPULSION, temperature=0.1)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, [first, second])
    torch.testing.assert_close(torch.autograd.grad(found, [first, second]), wanted, rtol=1e-4, atol=1e-6)


def test_pairs_that_do_not_count_have_no_part() -> None:
    first, second = vectors(4, 0).requires_grad_(), vectors(4, 1)
    counted = torch.tensor([True, False, True, False])
    found = paired_loss(first, second, counted, REPULSION, temperature=0.1)
    alone = paired_loss(first[::2], second[::2], torch.ones(2, dtype=torch.bool), REPULSION, temperature=0.1)
    torch.testing.assert_close(found, alone)
    (gradient,) = torch.autograd.grad(found, first)
    assert (gradient[1::2] == 0).all()
    assert (gradient[::2] != 0).any()
    none = paired_loss(first, second, torch.zeros(4, dtype=torch.bool), REPULSION, temperature=0.1)
    assert none == 0


def test_what_overlaps_too_little_is_no_pair() -> None:
    first, second = torch.tensor([[0.0, 0.0]] * 3), torch.tensor([[0.0, 0.3], [0.4, 0.0], [0.3, 0.3]])
    maps = torch.zeros(3, 1, 9, 9)

    def counted(overlap: float) -> list[bool]:
        return common_regions((maps, maps), (first, second), 0.5, 3, overlap)[1].tolist()

    assert counted(0.1) == [True, True, True]
    assert counted(0.3) == [True, False, True]
    assert counted(0.5) == [False, False, False]


def loss_of(maps: tuple[Tensor, Tensor], first: Tensor, second: Tensor) -> float:
    (a, b), counted = common_regions(maps, (first, second), CROP, 3, 0.3)
    return float(paired_loss(unit(a), unit(b), counted, REPULSION, temperature=0.1))


def test_features_that_tell_the_place_alone_fulfil_the_loss_of_lr_and_not_this_one() -> None:
    first, second = starts(8, 0), starts(8, 1)
    place = torch.randn(1, 16, 24, 24, generator=generator(2)).expand(8, -1, -1, -1)
    same = local_loss(
        region_vectors(torch.cat([place, place]), 3, None),
        torch.eye(16, dtype=torch.bool).roll(8, 1),
        REPULSION,
        temperature=0.1,
    )
    assert same < 0.1
    assert loss_of((place, place), first, second) > math.log(10)
    anatomy = torch.nn.functional.interpolate(torch.randn(1, 16, 24, 24, generator=generator(3)), size=96, mode="bilinear")
    assert loss_of((shown(anatomy, first, 24), shown(anatomy, second, 24)), first, second) < 0.2


@BOTH
def test_a_batch_shows_every_slice_in_two_crops(name: str) -> None:
    net, task = pretraining_task(name)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(4)
    assert seen[0].shape == (task.images_per_step, 1, SIDE, SIDE)
    assert len({tuple(image.flatten().tolist()) for image in seen[0]}) == task.images_per_step
    whole = pretraining_task(name, views={"crop": 1.0})
    whole[0].encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    whole[1].losses(4)
    assert not torch.allclose(seen[0], seen[1], atol=0.1)


def test_it_draws_the_slices_of_lr_and_pairs_their_views_both_ways() -> None:
    found, expected = (strategies()[name].option_class()() for name in ("lr_geo", "lr"))
    views, like = (s.draw(pool(), 24, generator()) for s in (found, expected))  # type: ignore[attr-defined]
    for field in ("slice", "view", "volume"):
        assert torch.equal(getattr(views, field), getattr(like, field))
    number = torch.arange(24)
    first, second = found.paired(number, 0)  # type: ignore[attr-defined]
    assert torch.equal(views.slice[first], views.slice[second])
    assert (views.view[first] != views.view[second]).all()
    assert torch.equal(first, number)
    assert torch.equal(found.repelled(), expected.repelled())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "changes", [{"region_size": 1}, {"region_projection": "release"}, {"frozen_batchnorm": "paper"}, {"blocks": 2}]
)
def test_the_settings_of_local_pretraining_hold(changes: dict[str, Any]) -> None:
    net, task = pretraining_task("lr_geo", **changes)
    loss = task.losses(0)["all"]
    loss.backward()
    assert torch.isfinite(loss)
    head = task.modules["head"]
    assert (head.project is not None) == (changes.get("region_projection") == "release")
    assert net.encoder.training == (changes.get("frozen_batchnorm") != "paper")
    assert len(task.modules["decoder"]) == changes.get("blocks", 1)
    assert all(p.grad is not None for p in head.parameters())


@BOTH
def test_it_learns(tmp_path: Path, name: str) -> None:
    _, task = pretraining_task(name, steps=40)
    assert falls(task, tmp_path, 40, rate=3e-3) < 0.8


@BOTH
def test_the_diagnostics_show_maps_that_tell_places_and_pairs_that_are_none(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _, task = pretraining_task(name)
    task.losses(0)
    usual = task.diagnostics()
    assert usual["same_place_chance"].item() == pytest.approx(1 / 64)
    assert usual["same_place"] < 0.9
    assert usual["overlapping"] == 1
    place = torch.randn(1, 16, 8, 8, generator=generator())
    monkeypatch.setattr(task.modules["head"], "forward", lambda maps: place.expand(len(maps), -1, -1, -1))
    task.losses(0)
    assert task.diagnostics()["same_place"] == 1
    _, apart = pretraining_task(name, options={"overlap": 1.0})
    assert apart.losses(0)["all"] == 0
    assert apart.diagnostics()["overlapping"] == 0
    assert volumes()[0].shape[-1] == SIDE
