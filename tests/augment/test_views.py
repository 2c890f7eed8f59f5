"""What the phases ask for: views of pretraining, augmented training slices, intensities (docs/method.md 4.3 and 6)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glocalseg.config.settings import AugmentConfig, ViewConfig
from glocalseg.training.augment.intensity import adjust
from glocalseg.training.augment.views import TrainDraw, apply_training, apply_views, draw_training, draw_views

N = 4000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 6, size: tuple[int, int] = (16, 12)) -> Tensor:
    return torch.rand(n, 1, *size, generator=generator(9))


def test_adjust_is_brightness_then_contrast() -> None:
    x, b, f = images(), torch.linspace(-0.3, 0.3, 6), torch.linspace(0.7, 1.3, 6)
    for i in range(6):
        brighter = x[i] + b[i]
        expected = (brighter - brighter.mean()) * f[i] + brighter.mean()
        torch.testing.assert_close(adjust(x, b, f)[i], expected, rtol=1e-5, atol=1e-6)


def test_views_are_drawn_per_image_within_their_ranges() -> None:
    config = ViewConfig()
    draw = draw_views(torch.ones(N, dtype=torch.int64), config, crop=True, generator=generator())
    assert draw.start is not None
    assert draw.start.min() >= 10 / 192
    assert draw.start.max() <= 69 / 192
    assert draw.start.mean(dim=0).tolist() == pytest.approx([39.5 / 192] * 2, abs=0.01)
    assert torch.corrcoef(draw.start.T)[0, 1].abs() < 0.05
    assert draw.brightness.abs().max() <= 0.3
    assert (draw.contrast - 1).abs().max() <= 0.3
    assert draw.brightness.std().item() == pytest.approx(0.3 / math.sqrt(3), rel=0.05)
    assert draw.contrast.std().item() == pytest.approx(0.3 / math.sqrt(3), rel=0.05)
    assert torch.corrcoef(torch.stack([draw.brightness, draw.contrast]))[0, 1].abs() < 0.05


@pytest.mark.parametrize("crop", [0.3, 0.7, 0.96, 1.0])
def test_crops_stay_inside_the_frame(crop: float) -> None:
    """D26: the window always fits, also one as large as the frame."""
    draw = draw_views(torch.ones(500, dtype=torch.int64), ViewConfig(crop=crop), crop=True, generator=generator())
    assert draw.start is not None
    assert draw.start.min() >= 0
    assert (draw.start + crop).max() <= 1 + 1e-6


def test_release_scalars_are_one_a_view_and_coupled() -> None:
    """D6: the switch changes brightness and contrast, and nothing else."""
    view = torch.arange(3).repeat_interleave(5)
    paper = draw_views(view, ViewConfig(), crop=True, generator=generator())
    release = draw_views(view, ViewConfig(scalars="release"), crop=True, generator=generator())
    assert torch.equal(paper.start, release.start)  # type: ignore[arg-type]
    assert len(paper.brightness.unique()) == 15
    for number in (0, 1, 2):
        assert len(release.brightness[view == number].unique()) == 1
    assert len(release.brightness.unique()) == 3
    torch.testing.assert_close(release.contrast, 1 + release.brightness)


def test_local_views_change_intensities_only() -> None:
    draw = draw_views(torch.ones(6, dtype=torch.int64), ViewConfig(), crop=False, generator=generator())
    assert draw.start is None
    x = images()
    expected = adjust(x, draw.brightness, draw.contrast).clamp(0, 1.5)
    assert torch.equal(apply_views(x, draw, ViewConfig()), expected)


def test_views_are_clipped_and_their_source_stays() -> None:
    x = images() * 4 - 1
    kept = x.clone()
    draw = draw_views(torch.ones(6, dtype=torch.int64), ViewConfig(), crop=True, generator=generator())
    found = apply_views(x, draw, ViewConfig())
    assert found.min() == 0
    assert found.max() == 1.5
    assert torch.equal(x, kept)


# ---------------------------------------------------------------- fine-tuning


def kinds(draw: TrainDraw) -> dict[str, Tensor]:
    scale = torch.linalg.det(draw.matrix).abs().rsqrt()
    angle = torch.atan2(draw.matrix[:, 1, 0], draw.matrix[:, 1, 1]) * 180 / math.pi
    return {"scale": scale, "angle": angle, "mirrored": torch.linalg.det(draw.matrix) < 0}


def test_one_of_five_with_equal_probability() -> None:
    found = kinds(draw_training(N, (32, 32), AugmentConfig(), generator()))
    mirrored, zoomed = found["mirrored"], (found["scale"] - 1).abs() > 1e-5
    turned = found["angle"].abs() > 1e-4
    right = turned & ((found["angle"] / 45 - (found["angle"] / 45).round()).abs() < 1e-4)
    assert mirrored.float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert zoomed.float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert right.float().mean().item() == pytest.approx(0.2 * 7 / 8, abs=0.02)
    assert (turned & ~right).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert not (mirrored & (zoomed | turned)).any()
    assert not (zoomed & turned).any()
    assert found["angle"][turned & ~right].abs().max() <= 15
    assert found["scale"].min() >= 0.95
    assert found["scale"].max() <= 1.05
    assert {round(a) % 360 for a in found["angle"][right].tolist()} == {45, 90, 135, 180, 225, 270, 315}


def test_options_of_the_affine_step_can_be_left_out() -> None:
    plain = AugmentConfig(rotation=0, scale=0, flip=False, right_angles=False, elastic=0, brightness=0, contrast=0)
    draw = draw_training(50, (32, 32), plain, generator())
    torch.testing.assert_close(draw.matrix, torch.eye(2).expand(50, 2, 2))
    x, y = images(50), torch.nn.functional.one_hot(torch.randint(3, (50, 16, 12), generator=generator()), 3)
    y = y.permute(0, 3, 1, 2).float()
    found, labels = apply_training(x, y, draw)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5)
    torch.testing.assert_close(labels, y, rtol=0, atol=1e-5)


def test_elastic_fields_skip_a_random_number_of_leading_slices() -> None:
    firsts = set()
    for seed in range(300):
        field = draw_training(20, (192, 192), AugmentConfig(), generator(seed)).field
        still = (field == 0).flatten(1).all(dim=1)
        plain = int(still.sum())
        assert still[:plain].all()
        firsts.add(plain)
    assert firsts == set(range(1, 19))


@pytest.mark.parametrize(("size", "sigma"), [((192, 192), 5.0), ((96, 48), 2.5)])
def test_elastic_displacements_scale_with_the_frame(size: tuple[int, int], sigma: float) -> None:
    field = draw_training(N, size, AugmentConfig(), generator()).field
    moved = field[(field != 0).all(dim=3).all(dim=2).all(dim=1)]
    assert moved.std().item() == pytest.approx(sigma, rel=0.05)


def test_contrast_for_the_first_half_and_brightness_for_the_second() -> None:
    draw = draw_training(20, (32, 32), AugmentConfig(), generator())
    assert (draw.contrast[:10] != 1).all()
    assert (draw.contrast[10:] == 1).all()
    assert (draw.brightness[:10] == 0).all()
    assert (draw.brightness[10:] != 0).all()
    assert (draw.contrast - 1).abs().max() <= 0.2
    assert draw.brightness.abs().max() <= 0.1


def test_release_intensity_is_none_and_all_else_stays() -> None:
    """D11."""
    paper = draw_training(20, (32, 32), AugmentConfig(), generator())
    release = draw_training(20, (32, 32), AugmentConfig(intensity="release"), generator())
    assert (release.contrast == 1).all()
    assert (release.brightness == 0).all()
    assert torch.equal(paper.matrix, release.matrix)
    assert torch.equal(paper.field, release.field)


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_labels_are_soft_and_sum_to_one(size: tuple[int, int]) -> None:
    g = generator(3)
    x = torch.rand(20, 1, *size, generator=g)
    y = torch.nn.functional.one_hot(torch.randint(4, (20, *size), generator=g), 4).permute(0, 3, 1, 2).float()
    _, labels = apply_training(x, y, draw_training(20, size, AugmentConfig(), generator(4)))
    assert labels.shape == y.shape
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(20, *size))
    assert labels.min() > -1e-5
    assert labels.max() < 1 + 1e-5
    assert ((labels > 0.2) & (labels < 0.8)).any()


def test_outside_the_frame_is_background() -> None:
    y = torch.zeros(1, 3, 16, 16)
    y[:, 2] = 1
    turned = torch.tensor([[[math.sqrt(0.5), -math.sqrt(0.5)], [math.sqrt(0.5), math.sqrt(0.5)]]])
    draw = TrainDraw(turned, torch.zeros(1, 2, 3, 3), torch.zeros(1), torch.ones(1))
    found, labels = apply_training(torch.ones(1, 1, 16, 16), y, draw)
    assert labels[0, :, 0, 0].tolist() == [1, 0, 0]
    assert found[0, 0, 0, 0] == 0
    assert labels[0, 2, 8, 8].item() == pytest.approx(1, abs=1e-5)


def test_image_and_label_move_together() -> None:
    mask = torch.zeros(20, 40, 40)
    mask[:, 8:20, 14:30] = 1
    y = torch.stack([1 - mask, mask], dim=1)
    draw = draw_training(20, (40, 40), AugmentConfig(intensity="release"), generator(5))
    found, labels = apply_training(mask[:, None], y, draw)
    torch.testing.assert_close(found[:, 0], labels[:, 1])


def test_draws_repeat_with_their_generator() -> None:
    a, b = (draw_training(8, (32, 32), AugmentConfig(), generator(6)) for _ in range(2))
    c = draw_training(8, (32, 32), AugmentConfig(), generator(7))
    assert torch.equal(a.matrix, b.matrix)
    assert torch.equal(a.field, b.field)
    assert torch.equal(a.contrast, b.contrast)
    assert not torch.equal(a.field, c.field)
