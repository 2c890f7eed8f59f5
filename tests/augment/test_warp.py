"""Sampling grids against torch's own operations and against windows counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glocalseg.training.augment.warp import affine_grid, crop_grid, identity_grid, resample, smooth_field

SIZES = [(16, 16), (12, 20), (33, 7), (64, 48)]


def images(size: tuple[int, int], n: int = 2, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, *size, generator=torch.Generator().manual_seed(0))


def rotation(degrees: float) -> Tensor:
    """Backward matrix on (x, y), y downwards, as ``draw_training`` makes it."""
    a = math.radians(degrees)
    return torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


@pytest.mark.parametrize("size", SIZES)
def test_the_identity_gives_the_image_back(size: tuple[int, int]) -> None:
    x = images(size)
    eye = torch.eye(2).expand(2, 2, 2)
    for grid in (
        identity_grid(size, x.device).expand(2, *size, 2),
        affine_grid(eye, size),
        affine_grid(eye, size, torch.zeros(2, *size, 2)),
        crop_grid(torch.zeros(2, 2), 1.0, size),
    ):
        torch.testing.assert_close(resample(x, grid), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_a_half_turn_and_a_flip(size: tuple[int, int]) -> None:
    x = images(size)
    found = resample(x, affine_grid(rotation(180).expand(2, 2, 2), size))
    torch.testing.assert_close(found, torch.rot90(x, 2, (2, 3)), rtol=0, atol=2e-4)
    mirror = torch.diag(torch.tensor([-1.0, 1.0])).expand(2, 2, 2)
    torch.testing.assert_close(resample(x, affine_grid(mirror, size)), x.flip(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (270, 3)])
def test_a_quarter_turn_of_a_square_is_rot90(degrees: int, turns: int) -> None:
    x = images((24, 24))
    found = resample(x, affine_grid(rotation(degrees).expand(2, 2, 2), (24, 24)))
    torch.testing.assert_close(found, torch.rot90(x, turns, (2, 3)), rtol=0, atol=1e-4)


def test_a_quarter_turn_of_a_frame_that_is_not_square_keeps_pixels_square() -> None:
    x = images((12, 20))
    found = resample(x, affine_grid(rotation(90).expand(2, 2, 2), (12, 20)))
    inner = torch.rot90(x[:, :, :, 4:16], 1, (2, 3))
    torch.testing.assert_close(found[:, :, :, 4:16], inner, rtol=0, atol=1e-4)
    assert (found[:, :, :, :4] == 0).all()
    assert (found[:, :, :, 16:] == 0).all()


@pytest.mark.parametrize(("size", "top", "left"), [((16, 16), 3, 5), ((12, 20), 1, 8), ((20, 12), 9, 2)])
def test_a_crop_is_its_window_stretched_to_the_frame(size: tuple[int, int], top: int, left: int) -> None:
    x = images(size, n=1)
    height, width = size
    start = torch.tensor([[top / height, left / width]])
    found = resample(x, crop_grid(start, 0.5, size))
    window = x[:, :, top : top + height // 2, left : left + width // 2]
    wanted = torch.nn.functional.interpolate(window, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[:, :, 1:-1, 1:-1], wanted[:, :, 1:-1, 1:-1], rtol=0, atol=1e-4)


def test_every_image_has_its_own_crop() -> None:
    ramp = torch.arange(16.0).expand(1, 1, 16, 16).repeat(2, 1, 1, 1)  # grows with x
    start = torch.tensor([[0.0, 0.0], [0.0, 0.5]])
    found = resample(ramp, crop_grid(start, 0.5, (16, 16)))
    assert found[0, 0, 8, 1:-1].mean() == pytest.approx(3.5, abs=1e-4)
    assert found[1, 0, 8, 1:-1].mean() == pytest.approx(11.5, abs=1e-4)


def test_displacements_are_pixels_x_first_and_read_backwards() -> None:
    x = images((10, 14), n=1)
    shift = torch.zeros(1, 10, 14, 2)
    shift[..., 0], shift[..., 1] = 3, -2
    found = resample(x, affine_grid(torch.eye(2)[None], (10, 14), shift))
    torch.testing.assert_close(found[:, :, 2:, :-3], x[:, :, :-2, 3:], rtol=0, atol=1e-4)
    assert (found[:, :, :, -2:] == 0).all()


def test_the_elastic_field_moves_the_affine_image() -> None:
    """docs/method.md 6: step 2 reads the result of step 1, so output(p) = image(A (p + d))."""
    x = images((16, 16), n=1)
    turn = rotation(90)[None]
    shift = torch.zeros(1, 16, 16, 2)
    shift[..., 0] = 4
    once = resample(x, affine_grid(turn, (16, 16)))
    twice = resample(once, affine_grid(torch.eye(2)[None], (16, 16), shift))
    fused = resample(x, affine_grid(turn, (16, 16), shift))
    torch.testing.assert_close(fused[..., 1:-5], twice[..., 1:-5], rtol=0, atol=1e-4)


def test_zooming_enlarges_about_the_centre() -> None:
    x = torch.zeros(1, 1, 32, 32)
    x[..., 12:20, 12:20] = 1
    larger = resample(x, affine_grid((torch.eye(2) / 2)[None], (32, 32)))
    assert larger.sum() == pytest.approx(256, rel=0.01)
    assert larger[..., 9:23, 9:23].min() == pytest.approx(1, abs=1e-4)


def test_a_smooth_field_keeps_constants_and_channel_order() -> None:
    coarse = torch.zeros(2, 2, 3, 3)
    coarse[:, 0], coarse[:, 1] = 5, -2
    field = smooth_field(coarse, (10, 14))
    assert field.shape == (2, 10, 14, 2)
    torch.testing.assert_close(field, torch.tensor([5.0, -2.0]).expand(2, 10, 14, 2))


def test_a_smooth_field_rises_where_its_grid_does() -> None:
    coarse = torch.zeros(1, 2, 3, 3)
    coarse[0, 0, 0, 2] = 1  # first row, last column
    field = smooth_field(coarse, (9, 15))[0, :, :, 0]
    assert field.argmax() % 15 >= 10
    assert field.argmax() // 15 <= 3
