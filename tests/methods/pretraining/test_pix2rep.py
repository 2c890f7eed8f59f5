"""Pix2Rep: pixels of both views come from one place, near ones do not repel, losses against loops, and its diagnostics."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.geometry import read_points
from glocalseg.methods.pretraining.network import pix2rep
from glocalseg.methods.pretraining.network.pix2rep import (
    Moved,
    PixelEquivariance,
    matches,
    near_pixels,
    pixel_contrast,
    sampled,
    taken,
)
from glocalseg.methods.pretraining.siamese.redundancy import barlow_loss
from glocalseg.training.augment.warp import resample
from methods.made_up import SIDE, falls, pretraining_task


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sampled_pixels_are_inside_and_each_is_taken_once() -> None:
    inside = torch.rand(3, 200, generator=generator()) < 0.3
    found = sampled(inside, 40, generator(1))
    assert inside.gather(1, found).all()
    assert all(len(set(row.tolist())) == 40 for row in found)
    few = torch.zeros(1, 200, dtype=torch.bool)
    few[0, [7, 90]] = True
    found = sampled(few, 40, generator(1))
    assert set(found[0].tolist()) == {7, 90}


def test_every_pixel_inside_is_sampled_equally_often() -> None:
    inside = torch.ones(1, 10, dtype=torch.bool)
    inside[0, 3] = False
    counts = torch.zeros(10)
    for seed in range(900):
        counts[sampled(inside, 2, generator(seed))[0]] += 1
    assert counts[3] == 0
    assert (counts[inside[0]] - 200).abs().max() < 5 * 200**0.5


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [(6, 6), (4, 10)])
def test_a_view_that_is_turned_by_right_angles_is_the_turned_image(size: tuple[int, int], mirrored: bool) -> None:
    images = torch.rand(1, 1, *size, generator=generator())
    side = min(size)  # what is turned in a frame that is not square leaves it at its ends
    turn = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])
    if mirrored:
        turn[:, :, 0] *= -1
    found = resample(images, Moved(turn, torch.zeros(1, 2)).grid(size))
    middle = [slice((n - side) // 2, (n + side) // 2) for n in size]
    square = images[:, :, middle[0], middle[1]]
    expected = torch.rot90(square, 1, (2, 3))
    expected = expected.flip(3) if mirrored else expected
    torch.testing.assert_close(found[:, :, middle[0], middle[1]], expected, rtol=0, atol=1e-5)


def test_a_pixel_of_the_second_view_is_read_in_the_first_where_it_comes_from() -> None:
    """An image as its own features: what both views show at the sampled pixels is the same number, exactly."""
    size, strategy = (20, 28), PixelEquivariance()
    images = torch.rand(6, 2, *size, generator=generator())
    grid = strategy.moved(6, size, generator(1)).grid(size)
    limit = torch.tensor([1 - 1 / size[1], 1 - 1 / size[0]])  # past the outermost centres the image fades to zero
    chosen = sampled((grid.abs() <= limit).all(dim=3).flatten(1), 50, generator(2))
    places = taken(grid.flatten(1, 2).mT, chosen).mT
    second = taken(resample(images, grid).flatten(2), chosen)
    torch.testing.assert_close(read_points(images, places), second, rtol=0, atol=1e-5)
    assert second.std() > 0.05


def test_the_maps_keep_the_options() -> None:
    moved = PixelEquivariance(rotation=30, crop=0.5, mirror=False).moved(500, (8, 8), generator())
    scale = moved.matrix.det().sqrt()
    assert 0.5 <= scale.min() < 0.52
    assert 0.93 < scale.max() <= 0.95
    angle = torch.atan2(moved.matrix[:, 1, 0], moved.matrix[:, 0, 0]) * 180 / math.pi
    assert 29 < angle.abs().max() <= 30
    assert (moved.offset.abs() <= (1 - scale)[:, None] + 1e-6).all()  # an unturned window lies in the frame
    mirrored = PixelEquivariance().moved(500, (8, 8), generator()).matrix.det() < 0
    assert 0.4 < mirrored.float().mean() < 0.6


@pytest.mark.parametrize("radius", [0.0, 0.1, 0.5])
def test_pixels_are_near_in_one_slice_alone_and_by_pixels(radius: float) -> None:
    size, index = (10, 30), torch.tensor([4, 9, 4])
    places = 2 * torch.rand(3, 5, 2, generator=generator()) - 1
    found = near_pixels(places, index, size, radius)
    pixels = (places * torch.tensor([15.0, 5.0])).flatten(0, 1)
    for i in range(15):
        for j in range(15):
            near = index[i // 5] == index[j // 5] and math.dist(pixels[i].tolist(), pixels[j].tolist()) <= radius * 30
            assert found[i, j] == near
    assert found.diagonal().all()


def test_the_contrastive_loss_is_that_of_the_loop() -> None:
    first, second = torch.randn(5, 3, generator=generator()), torch.randn(5, 3, generator=generator(1))
    near = torch.eye(5, dtype=torch.bool)
    near[0, 1] = near[1, 0] = True
    z = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    terms = []
    for i in range(10):
        e = torch.exp(z @ z[i] / 0.2)
        own = e[(i + 5) % 10]
        terms.append(-torch.log(own / (own + sum(e[k] for k in range(10) if not near[i % 5, k % 5]))))
    torch.testing.assert_close(pixel_contrast(first, second, near, temperature=0.2), torch.stack(terms).mean())


def test_how_often_the_most_similar_pixel_is_near() -> None:
    features = torch.eye(4)[None].expand(2, -1, -1)  # four pixels of two slices, each of its own direction
    near = torch.block_diag(*torch.eye(4).expand(2, -1, -1)).bool()
    assert matches(features, features, near) == {"match": 1, "match_chance": 0.25}
    found = matches(features, features.roll(1, dims=2), near)
    assert found["match"] == 0


def seen_by(options: dict[str, float | bool]) -> Tensor:
    net, task = pretraining_task("pix2rep", options=options, views={"brightness": 0.0, "contrast": 0.0})
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(2)
    return seen[0]


def test_a_batch_shows_each_slice_whole_and_moved() -> None:
    whole, second = seen_by({"rotation": 0.0, "crop": 1.0, "mirror": False}).chunk(2)
    torch.testing.assert_close(whole, second, rtol=0, atol=1e-5)  # nothing moves it
    shown, moved = seen_by({}).chunk(2)
    torch.testing.assert_close(shown, whole, rtol=0, atol=1e-5)
    assert not any(torch.allclose(a, b, atol=0.05) for a, b in zip(shown, moved, strict=True))


def test_pixels_are_shared_out_to_the_slices_and_barlow_compares_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a quarter of each view; both views' features of one pixel are one row."""
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(first: Tensor, second: Tensor, *, off_diagonal: float) -> Tensor:
        seen.append((first, second))
        return barlow_loss(first, second, off_diagonal=off_diagonal)

    monkeypatch.setattr(pix2rep, "barlow_loss", watched)
    for samples, each in ((120, 10), (8000, SIDE * SIDE // 4)):
        options = {"samples": samples, "loss": "barlow", "off_diagonal": 0.02, "rotation": 0.0, "crop": 1.0, "mirror": False}
        _, task = pretraining_task("pix2rep", options=options, views={"brightness": 0.0, "contrast": 0.0})
        found = task.losses(0)["all"]
        first, second = seen[-1]
        assert first.shape == second.shape == (12 * each, 8)
        torch.testing.assert_close(found, barlow_loss(first, second, off_diagonal=0.02))
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)  # the second view is the first
    found.backward()
    assert all(p.grad is not None for p in task.modules.parameters())


def test_a_step_compares_pixels_that_show_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views as their own features, turned, cropped and mirrored: both read the same number, if not next to the frame's edge."""
    seen: list[Tensor] = []

    def watched(first: Tensor, second: Tensor, *, off_diagonal: float) -> Tensor:
        seen.extend((first, second))
        return first.sum()

    monkeypatch.setattr(pix2rep, "barlow_loss", watched)
    views = {"brightness": 0.0, "contrast": 0.0}
    net, task = pretraining_task("pix2rep", options={"loss": "barlow"}, views=views)
    shown: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    monkeypatch.setattr(task.modules["pixels"], "forward", lambda maps: shown[-1])
    task.losses(0)
    first, second = seen
    assert ((first - second).abs() < 1e-4).float().mean() > 0.9
    assert second.std() > 0.05


@pytest.mark.parametrize("loss", ["contrastive", "barlow"])
def test_it_learns(tmp_path: Path, loss: str) -> None:
    _, task = pretraining_task("pix2rep", steps=25, options={"loss": loss, "samples": 400})
    assert falls(task, tmp_path, 25) < 0.85


def test_the_diagnostics_show_a_collapse_and_features_that_tell_places(monkeypatch: pytest.MonkeyPatch) -> None:
    _, task = pretraining_task("pix2rep", options={"samples": 240})
    task.losses(0)
    usual = task.diagnostics()
    assert 0.8 < usual["inside"] < 1
    assert usual["rank"] > 2
    line = torch.randn(1, 16, 1, 1, generator=generator())
    monkeypatch.setattr(task.modules["pixels"], "forward", lambda maps: line * (1 + maps.mean(dim=1, keepdim=True)))
    task.losses(0)
    said = task.diagnostics()
    assert said["rank"].item() == pytest.approx(1, abs=0.1)
    assert said["match"] < said["match_chance"] + 0.1
    place = torch.randn(1, 16, SIDE, SIDE, generator=generator())
    monkeypatch.setattr(task.modules["pixels"], "forward", lambda maps: place.expand(len(maps), -1, -1, -1))
    task.losses(0)
    assert task.diagnostics()["same_place"] == 1
