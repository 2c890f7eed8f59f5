"""What each phase asks for: views of pretraining and augmented training slices, drawn apart from being applied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from glocalseg.config.settings import AugmentConfig, ViewConfig
from glocalseg.training.augment.intensity import adjust
from glocalseg.training.augment.warp import affine_grid, crop_grid, resample, smooth_field

REFERENCE_SIDE = 192  # pixels of the frame that docs/method.md 6 gives elastic displacements for


@dataclass(frozen=True)
class ViewDraw:
    """Random numbers of N views. ``start`` is (N, 2), None where nothing is cropped; brightness and contrast are (N,)."""

    start: Tensor | None
    brightness: Tensor
    contrast: Tensor


def draw_views(view: Tensor, config: ViewConfig, *, crop: bool, generator: torch.Generator) -> ViewDraw:
    """Draw the views of a batch (docs/method.md 4.3, D6, D26).

    Args:
        view: (N,) int64, which view each image is; in release mode all images of one view share one scalar.
        crop: True for global pretraining; local pretraining changes intensities only.
        generator: on the device of ``view``.
    """
    n, device = len(view), view.device
    start = None
    if crop:
        low, high = (min(edge, 1 - config.crop) for edge in config.crop_start)
        start = low + (high - low) * torch.rand(n, 2, generator=generator, device=device)
    u = 2 * torch.rand(n, 2, generator=generator, device=device) - 1
    if config.scalars == "release":  # D6: one scalar a call, and both operators share their seed
        shared = u[:, 0][view]
        return ViewDraw(start, shared * config.brightness, 1 + shared * config.contrast)
    return ViewDraw(start, u[:, 0] * config.brightness, 1 + u[:, 1] * config.contrast)


def apply_views(images: Tensor, draw: ViewDraw, config: ViewConfig) -> Tensor:
    """Views of images (N, 1, H, W): crop stretched to the frame, brightness, contrast, clipping."""
    if draw.start is not None:
        size = (images.shape[2], images.shape[3])
        images = resample(images, crop_grid(draw.start, config.crop, size))
    return adjust(images, draw.brightness, draw.contrast).clamp_(*config.clip)


@dataclass(frozen=True)
class TrainDraw:
    """Random numbers of N training slices: matrix (N, 2, 2), elastic field (N, 2, 3, 3) in pixels, intensity scalars (N,)."""

    matrix: Tensor
    field: Tensor
    brightness: Tensor
    contrast: Tensor


def draw_training(n: int, size: tuple[int, int], config: AugmentConfig, generator: torch.Generator) -> TrainDraw:
    """Draw the augmentation of a training batch (docs/method.md 6).

    Each slice gets one of five with equal probability: a small rotation, a small scaling, a flip with probability one half, a
    rotation by a multiple of 45 degrees, nothing. A random number of leading slices goes without the elastic field. The first
    half of the batch changes contrast, the second half brightness.
    """
    device = generator.device
    kind = torch.randint(5, (n,), generator=generator, device=device)
    u = torch.rand(n, 3, generator=generator, device=device)
    one = torch.ones(n, device=device)
    degrees = torch.where(kind == 0, (2 * u[:, 0] - 1) * config.rotation, 0 * one)
    if config.right_angles:
        degrees = torch.where(kind == 3, torch.floor(u[:, 0] * 8) * 45.0, degrees)
    scale = torch.where(kind == 1, 1 + (2 * u[:, 0] - 1) * config.scale, one)
    mirror = torch.where((kind == 2) & (u[:, 0] < 0.5), -one, one) if config.flip else one
    cos, sin = torch.cos(degrees * math.pi / 180) / scale, torch.sin(degrees * math.pi / 180) / scale
    matrix = torch.stack([torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1)

    sigma = config.elastic * max(size) / REFERENCE_SIDE
    field = torch.randn(n, 2, 3, 3, generator=generator, device=device) * sigma
    plain = torch.randint(1, max(2, n - 1), (1,), generator=generator, device=device)
    field = field * (torch.arange(n, device=device) >= plain).view(-1, 1, 1, 1)

    applied = 1.0 if config.intensity == "paper" else 0.0  # D11: the release computes the change and drops it
    first = (torch.arange(n, device=device) < n // 2).float()
    contrast = 1 + applied * first * (2 * u[:, 1] - 1) * config.contrast
    brightness = applied * (1 - first) * (2 * u[:, 2] - 1) * config.brightness
    return TrainDraw(matrix, field, brightness, contrast)


def apply_training(images: Tensor, one_hot: Tensor, draw: TrainDraw) -> tuple[Tensor, Tensor]:
    """Augmented images (N, 1, H, W) and soft labels (N, C, H, W), read in one pass at one grid (D24: soft labels).

    What lies outside the frame becomes background.
    """
    size = (images.shape[2], images.shape[3])
    grid = affine_grid(draw.matrix, size, smooth_field(draw.field, size))
    both = resample(torch.cat([images, one_hot[:, 1:]], dim=1), grid)
    foreground = both[:, 1:]
    labels = torch.cat([1 - foreground.sum(dim=1, keepdim=True), foreground], dim=1)
    return adjust(both[:, :1], draw.brightness, draw.contrast), labels
