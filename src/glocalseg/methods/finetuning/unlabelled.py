"""What regimes do with unlabelled slices, and with intensities: strong views, boxes, pseudo-labels, losses inside a mask.

Pure functions of tensors that wait for no device. Strong views change intensities alone, so a label of the weak view is one of
theirs; boxes paste a part of another slice of the batch, label and mask alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from glocalseg.methods.finetuning.losses import EPSILON, soft_dice_loss

JITTERED, BLURRED = 0.8, 0.5  # probabilities that a strong view changes brightness and contrast, that it is blurred
LEAST_BLUR = 0.05  # of the largest standard deviation
BOX_AREA, BOX_RATIO = (0.02, 0.4), (0.3, 1 / 0.3)  # of a pasted box: its share of the frame, its height by its width
NARROWEST = 1e-3  # pixels: standard deviation of a blur that is none


# ---------------------------------------------------------------- intensities


@dataclass(frozen=True)
class StrongDraw:
    """Random numbers of N strong views, (N,) each: two factors, and the blur's standard deviation in pixels, 0 for none."""

    brightness: Tensor
    contrast: Tensor
    sigma: Tensor


def draw_strong(n: int, *, jitter: float, blur: float, generator: torch.Generator) -> StrongDraw:
    """Draw strong views.

    Args:
        jitter: half-width of brightness and contrast about 1.
        blur: largest standard deviation in pixels.
    """
    u = torch.rand(5, n, generator=generator, device=generator.device)
    one = torch.ones_like(u[0])
    brightness, contrast = (torch.where(u[0] < JITTERED, 1 + (2 * v - 1) * jitter, one) for v in (u[1], u[2]))
    sigma = torch.where(u[3] < BLURRED, blur * (LEAST_BLUR + (1 - LEAST_BLUR) * u[4]), 0 * one)
    return StrongDraw(brightness, contrast, sigma)


def apply_strong(images: Tensor, draw: StrongDraw) -> Tensor:
    """Strong views of images (N, 1, H, W): contrast about an image's mean, brightness, its own range kept, blur."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    changed = per_image(draw.brightness) * (per_image(draw.contrast) * (images - mean) + mean)
    return blurred(clipped(changed, images), draw.sigma)


def per_image(values: Tensor) -> Tensor:
    """(N,) values as (N, 1, 1, 1), to meet images."""
    return values.view(-1, 1, 1, 1)


def clipped(changed: Tensor, images: Tensor) -> Tensor:
    """Images (N, 1, H, W) clipped to the range that each of others has."""
    return changed.clamp(images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True))


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Images (N, 1, H, W) blurred by Gaussians of (N,) standard deviations in pixels; 0 leaves an image as it is."""
    return separable(images, blur_matrix(sigma, images.shape[2]), blur_matrix(sigma, images.shape[3]))


def blur_matrix(sigma: Tensor, side: int) -> Tensor:
    """(N, side, side): weights of the pixels that a blurred pixel is made of; they sum to 1, the frame's edge included."""
    place = torch.arange(side, device=sigma.device)
    distance = (place[:, None] - place[None, :]).square()
    weights = torch.exp(-distance / (2 * sigma.clamp(min=NARROWEST).square().view(-1, 1, 1)))
    return weights / weights.sum(dim=2, keepdim=True)


def separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (N, 1, H, W) whose rows and columns are weighted sums of theirs: matrices (N, H, H) and (N, W, W)."""
    return (rows @ images[:, 0] @ columns.transpose(1, 2))[:, None]


# ---------------------------------------------------------------- boxes


def cutmix_boxes(n: int, size: tuple[int, int], probability: float, generator: torch.Generator) -> Tensor:
    """(N, 1, H, W) bool: a box of random area, ratio and place in each frame of (H, W) pixels, or none.

    A box that would be longer than the frame is cut to it, and its place is uniform where it fits.
    """
    u = torch.rand(5, n, 1, 1, 1, generator=generator, device=generator.device)
    area = BOX_AREA[0] + (BOX_AREA[1] - BOX_AREA[0]) * u[0]
    ratio = BOX_RATIO[0] + (BOX_RATIO[1] - BOX_RATIO[0]) * u[1]
    inside = []
    for side, length, start in zip(size, ((area * ratio).sqrt(), (area / ratio).sqrt()), (u[2], u[3]), strict=True):
        pixels = (length.clamp(max=1) * side).floor()
        first = (start * (side - pixels + 1)).floor()
        place = torch.arange(side, device=generator.device)
        inside.append((place >= first) & (place < first + pixels))
    rows, columns = inside
    return rows.transpose(2, 3) & columns & (u[4] < probability)


def pasted(values: Tensor, boxes: Tensor) -> Tensor:
    """Values (N, C, H, W) with those of the batch's previous member where a box (N, 1, H, W) is."""
    return torch.where(boxes, values.roll(1, dims=0), values)


# ---------------------------------------------------------------- pseudo-labels


def confidence(logits: Tensor, kind: Literal["probability", "release"] = "probability") -> tuple[Tensor, Tensor]:
    """The likeliest class of each pixel of logits (N, C, H, W), int64, and how sure it is, float32; both (N, 1, H, W).

    Sure is the largest probability; with ``release`` its distance from the smallest as a share of it.
    """
    found = logits.detach().float().softmax(dim=1)
    most, labels = found.max(dim=1, keepdim=True)
    return labels, most if kind == "probability" else (most - found.amin(dim=1, keepdim=True)) / most


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(N, 1, H, W) classes as (N, classes, H, W) float32."""
    return (labels == torch.arange(classes, device=labels.device).view(1, -1, 1, 1)).float()


def share_of(chosen: Tensor, among: Tensor) -> Tensor:
    """Which share of the True of one bool tensor is True in the other; 0 where there is none."""
    return (chosen & among).sum() / among.sum().clamp(min=1)


def mask_rates(counted: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What shows that pseudo-labels are background: which pixels (N, 1, H, W) count, of all and of those with a structure.

    Returns:
        ``mask_rate``, ``mask_rate_foreground``, and ``foreground``, the share of pixels that are labelled a structure.
    """
    structure = labels > 0
    return {
        "mask_rate": counted.float().mean(),
        "mask_rate_foreground": share_of(counted, structure),
        "foreground": structure.float().mean(),
    }


# ---------------------------------------------------------------- losses


def pixel_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of every pixel of logits and labels, one-hot or soft, (N, C, H, W): (N, 1, H, W) float32."""
    return -(target * logits.float().log_softmax(dim=1)).sum(dim=1, keepdim=True)


def masked_loss(logits: Tensor, target: Tensor, mask: Tensor, kind: Literal["dice", "dice_ce"]) -> Tensor:
    """The segmentation loss of the pixels inside a mask (N, 1, H, W) of 0 and 1; the usual one where that is everything.

    Where it is empty, Dice is a constant penalty without gradient, as that of an absent class is, and cross-entropy 0.
    """
    dice = soft_dice_loss(logits.float().softmax(dim=1) * mask, target * mask)
    if kind == "dice":
        return dice
    return dice + (pixel_cross_entropy(logits, target) * mask).sum() / (mask.expand_as(logits[:, :1]).sum() + EPSILON)
