"""Places of cells in the frame, reading of maps, matching: against loops, torch's own resampling, and crops of real views."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.base import Slices
from glocalseg.methods.pretraining.batches.geometry import (
    DenseHead,
    cell_distances,
    dense_level,
    matching,
    overlap_lines,
    read_at,
    read_points,
    same_place,
    shift_in_cells,
)
from glocalseg.methods.pretraining.batches.pool import Views
from glocalseg.networks.build import build_network
from glocalseg.training.augment.warp import crop_grid
from methods.made_up import CPU, NETWORK, SIDE, network, pool, pretrain_config, volumes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(n: int, side: float, seed: int) -> Tensor:
    return torch.rand(n, 2, generator=generator(seed)) * (1 - side)


def test_distances_of_cells_are_those_of_the_crops_grid() -> None:
    """Centres where ``crop_grid`` reads them, in pixels of a frame that is not square, by the diagonal of a cell."""
    size, side, frame = (3, 5), 0.4, (60, 100)
    first, second = windows(4, side, 0), windows(4, side, 1)
    found = cell_distances(first, second, side, size)
    grids = [crop_grid(start, side, size).flatten(1, 2) for start in (first, second)]
    centres = [torch.stack([(g[..., 1] + 1) / 2 * frame[0], (g[..., 0] + 1) / 2 * frame[1]], dim=2) for g in grids]
    diagonal = math.hypot(frame[0] * side / size[0], frame[1] * side / size[1])
    for n in range(4):
        for i in range(15):
            for j in range(15):
                expected = math.dist(centres[0][n, i].tolist(), centres[1][n, j].tolist()) / diagonal
                assert found[n, i, j].item() == pytest.approx(expected, abs=1e-5)


def test_equal_windows_have_no_shift_and_each_cell_is_its_own_nearest() -> None:
    start = windows(3, 0.5, 0)
    assert (shift_in_cells(start, start, 0.5, (4, 4)) == 0).all()
    distances = cell_distances(start, start, 0.5, (4, 4))
    assert torch.equal(distances.argmin(dim=2), torch.arange(16).expand(3, 16))
    assert distances[0, 0, 5].item() == pytest.approx(1)  # one row and one column away: a diagonal


def test_reading_is_what_grid_sample_gives() -> None:
    maps = torch.randn(3, 4, 6, 9, generator=generator())
    rows, columns = 6 * torch.rand(3, 5, generator=generator(1)), 9 * torch.rand(3, 7, generator=generator(2))
    grid = torch.stack(torch.broadcast_tensors((columns * 2 / 9 - 1)[:, None, :], (rows * 2 / 6 - 1)[:, :, None]), dim=3)
    expected = F.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(read_at(maps, rows, columns), expected, rtol=1e-4, atol=1e-5)
    points = read_points(maps, grid.flatten(1, 2))
    torch.testing.assert_close(points, expected.flatten(2), rtol=1e-4, atol=1e-5)


def test_reading_at_centres_and_past_the_edge_is_a_pixel() -> None:
    maps = torch.randn(1, 2, 4, 4, generator=generator())
    found = read_at(maps, torch.tensor([[0.5, 2.5, 9.0]]), torch.tensor([[-3.0, 1.5]]))
    assert torch.equal(found, maps[:, :, [0, 2, 3]][:, :, :, [0, 1]])
    corners = torch.tensor([[[-1.0, -1.0], [1.0, 1.0], [0.25, -0.75]]])
    torch.testing.assert_close(read_points(maps, corners)[0].T, maps[0, :, [0, 3, 0], [0, 3, 2]].T)


@pytest.mark.parametrize(("shift", "side", "pixel"), [(0.0, 48, 1.0), (5.5, 48, 1.0), (-30.0, 48, 1.0), (3.2, 8, 0.6)])
def test_stretches_fill_the_overlap_in_both_maps(shift: float, side: int, pixel: float) -> None:
    first, second = (places[0] for places in overlap_lines(torch.tensor([shift]), side, 5, 3, 8.0))
    torch.testing.assert_close(first - second, torch.full((15,), shift))  # the same place of the frame
    for places, begins in ((first, max(0.0, shift)), (second, max(0.0, -shift))):
        lines = places.view(5, 3)
        torch.testing.assert_close(lines.diff(dim=1), torch.full((5, 2), pixel))
        assert lines[0, 0].item() == pytest.approx(begins + pixel / 2)
        assert lines[4, 2].item() == pytest.approx(begins + side - abs(shift) - pixel / 2)
        gaps = lines[:, 0].diff()
        torch.testing.assert_close(gaps, gaps[:1].expand(4))


@pytest.mark.parametrize(
    ("side", "channels", "level", "cells"), [(32, 4, 3, 4), (48, 6, 3, 6), (192, 6, 5, 6), (40, 6, 3, 5)]
)
def test_the_dense_level_is_the_deepest_of_sixteen_cells(side: int, channels: int, level: int, cells: int) -> None:
    config = NETWORK.model_copy(update={"channels": [8] * channels})
    encoder = build_network(config, size=(side, side), classes=2, seed=0).encoder
    images = torch.zeros(1, 1, side, side)
    assert dense_level(encoder, images) == level
    assert encoder(images)[level].shape[2:] == (cells, cells)


def test_an_encoder_of_small_maps_alone_is_refused() -> None:
    class Coarse(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [F.avg_pool2d(images, s) for s in (4, 8)]

    assert dense_level(Coarse(), torch.zeros(1, 1, 24, 16)) == 0
    with pytest.raises(ConfigError, match=r"frame: size: .* at least 4 x 4 cells, found at most 6 x 3 in frames of 24 x 12"):
        dense_level(Coarse(), torch.zeros(1, 1, 24, 12))


@pytest.mark.parametrize("name", ["densecl", "pixpro", "vicregl"])
def test_all_of_an_encoder_learns_where_its_last_map_is_too_small_for_a_grid(name: str) -> None:
    """Frames of 24 pixels, whose fourth level has 3 x 3 cells: the grid is the third."""
    entry, net = strategies()[name], network(size=(24, 24))
    slices = Slices(volumes()[0][:, :, 4:28, 4:28].contiguous(), pool(partitions=0))
    assert dense_level(net.encoder, slices.images) == 2
    task = entry.option_class()().task(net, slices, CPU, 0, pretrain_config(entry))  # type: ignore[attr-defined]
    task.losses(0)["all"].backward()
    weights = [p for p in net.encoder.parameters() if p.ndim > 1]
    assert all(p.grad is not None and (p.grad != 0).any() for p in weights)


@pytest.mark.parametrize("name", ["densecl", "pixpro", "vicregl"])
def test_cells_are_as_far_apart_as_what_a_step_shows_in_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Slices that show their rows, and then their columns: the mean of a cell is where its centre lies in the frame."""
    entry, found, shown = strategies()[name], [], []
    module = importlib.import_module(entry.module)

    def noted(*args: Any) -> Tensor:
        found.append(cell_distances(*args))
        return found[-1]

    monkeypatch.setattr(module, "cell_distances", noted)
    config = pretrain_config(entry, views={"brightness": 0.0, "contrast": 0.0, "clip": (0.0, SIDE)})
    row = torch.arange(float(SIDE))[:, None].expand(len(pool().row), 1, SIDE, SIDE)
    for images in (row, row.mT):
        net = network()
        slices = Slices(images.contiguous(), pool(partitions=0))
        task = entry.option_class()().task(net, slices, CPU, 0, config)  # type: ignore[attr-defined]
        net.encoder.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
        task.losses(4)
        task.diagnostics()
    rows, columns = (F.avg_pool2d(s, SIDE // 4).flatten(1) for s in shown)
    centres = torch.stack([rows, columns], dim=2)
    expected = torch.cdist(centres, centres.roll(len(centres) // 2, dims=0)) / (math.sqrt(2) * SIDE / 4 * config.views.crop)
    assert not torch.allclose(expected, expected.mT, atol=0.2)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-3)


def test_a_dense_head_looks_at_one_cell_at_a_time() -> None:
    head, cells = DenseHead(3), torch.randn(2, 3, 4, 4, generator=generator())
    changed = cells.clone()
    changed[0, :, 1, 2] += 1
    different = (head(cells) != head(changed)).any(dim=1)
    assert different.nonzero().tolist() == [[0, 1, 2]]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in DenseHead(3, momentum=0.1)) == 1


def views(n: int = 10) -> Views:
    """Slices of five volumes, each at both ends."""
    index = torch.arange(n)
    half = index % 2
    return Views(index, torch.ones_like(index), index // 2, torch.full_like(index, -1), 0.1 + 0.8 * half)


def test_maps_that_tell_places_are_found_and_others_are_not() -> None:
    place = torch.randn(1, 20, 6, 6, generator=generator())
    found = same_place(place.expand(10, -1, -1, -1), views())
    assert found["same_place"] == 1
    assert found["same_place_chance"].item() == pytest.approx(1 / 36)
    free = same_place(torch.randn(10, 20, 6, 6, generator=generator(1)), views())
    assert free["same_place"] < 0.1


def test_only_slices_of_other_volumes_and_positions_are_compared() -> None:
    """Ten views in the order of ``views``: what a view shares with its own volume, or with its position, is not looked at."""
    per_volume = torch.randn(5, 20, 6, 6, generator=generator()).repeat_interleave(2, dim=0)
    per_end = torch.randn(2, 20, 6, 6, generator=generator(1)).repeat(5, 1, 1, 1)
    assert same_place(per_volume, views())["same_place"] < 0.15
    assert same_place(per_end, views())["same_place"] < 0.15
    alone = Views(*(t[:2] for t in (views().slice, views().view, views().volume, views().partition, views().position)))
    assert same_place(per_end[:1].expand(2, -1, -1, -1), alone)["same_place"] == 0  # of one volume: nothing to compare


def test_large_maps_are_looked_at_in_part() -> None:
    found = same_place(torch.randn(1, 3, 70, 50, generator=generator()).expand(10, -1, -1, -1), views())
    assert found["same_place"] == 1
    assert found["same_place_chance"].item() == pytest.approx(1 / (24 * 17))


def test_the_quality_of_a_matching() -> None:
    start = torch.tensor([[0.0, 0.0], [0.0, 0.125]])
    near = cell_distances(start, start.flip(0), 0.5, (4, 4)) < 0.1  # the second window begins one column later
    shown = torch.arange(16).view(4, 4)
    true = torch.stack([torch.where(shown % 4 > 0, shown - 1, 0), torch.where(shown % 4 < 3, shown + 1, 0)]).flatten(1)
    found = matching(true, near)
    assert found["match_true"] == 1
    assert found["match_chance"].item() == pytest.approx(1 / 16)
    assert found["match_same_cell"].item() == pytest.approx(1 / 32)  # the first cell of the first view is sent to itself
    one = matching(torch.zeros(2, 16, dtype=torch.int64), near)
    assert one["match_distinct"].item() == pytest.approx(1 / 16)
    assert one["match_true"].item() == pytest.approx(1 / 24)
    same = matching(torch.arange(16).expand(2, 16), near)
    assert same["match_same_cell"] == 1
    assert same["match_distinct"] == 1
    assert same["match_true"] == 0
