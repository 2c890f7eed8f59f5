"""Strong: supervised with the augmentation of nnU-Net, and Dice with cross-entropy.

What a method with unlabelled slices or pretraining is to be compared with, too: a gain over plain training may be one that
augmentation gives as well. Only this regime has an augmentation of its own. Published trainings with it are long; a line of a
benchmark may give it more steps (finetune.steps).

Departures:
- Network, optimiser, learning rate, number of steps and of slices are the benchmark's; nnU-Net adapts all of them to the data,
  and trains by stochastic gradient descent with deep supervision for 250,000 steps.
- Slices are mirrored where the benchmark's augmentation flips, and turned by up to 180 degrees where it turns by multiples of 45,
  else by up to 30: both say whether left, right and up can be told apart; nnU-Net decides by the frame's shape.
- Labels are read as images are, so they are soft where anything moved, as everywhere here; outside the frame is background.
- The slices of a step are those of the regime supervised, drawn uniformly; nnU-Net sees to it that a third show a structure.
- Images are not of unit variance here: noise is a share of a slice's standard deviation.
- Dice is that of the benchmark, by slice and class with the background; nnU-Net's is over the batch and without.

Each change has nnU-Net's probability, for images of one channel: turned and scaled (0.7 to 1.4) 0.2 each, noise 0.1, blur 0.1,
brightness and contrast (0.75 to 1.25) 0.15 each, low resolution (down to a half) 0.125, gamma (0.7 to 1.5) 0.3, gamma of the
inverted image 0.1, either mirroring 0.5.

Source: Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation, Nature Methods
18, 2021, arXiv 1904.08128, with the second version of its code MIC-DKFZ/nnUNet.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.unlabelled import blurred, clipped, per_image, separable
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import TrainDraw, apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

SCALE, GAMMA, FACTOR = (0.7, 1.4), (0.7, 1.5), (0.75, 1.25)  # the last of brightness and contrast
NOISE, BLUR, RESOLUTION = 0.1, (0.5, 1.0), 0.5  # most noise, blur in pixels, least resolution
TURNED, UPRIGHT = 180.0, 30.0  # degrees
TINY = 1e-7  # what a range or a deviation is divided by at least


class Strong(Regime):
    """Slices drawn uniformly with replacement from all labelled volumes, each of them changed by chance.

    Options:
        rotation: largest angle in degrees; left out 180 where the benchmark's augmentation turns by multiples of 45, else 30.
        mirror: both ways; left out as the benchmark's augmentation flips.
        loss: dice_ce, or the benchmark's.
    """

    diagnostics: ClassVar[dict[str, str]] = {
        "unaugmented_loss": "Loss on the step's slices as they are; high, or falling to the end: too few steps.",
    }
    rotation: float | None = Field(default=None, ge=0, le=180)
    mirror: bool | None = None
    loss: Literal["dice_ce", "benchmark"] = "dice_ce"

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The whole network and its segmentation loss."""
        size = (slices.images.shape[2], slices.images.shape[3])
        rotation = self.rotation if self.rotation is not None else TURNED if config.augment.right_angles else UPRIGHT
        mirror = config.augment.flip if self.mirror is None else self.mirror
        kind = config.loss if self.loss == "benchmark" else self.loss
        last: dict[str, Tensor] = {}

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        augment = device.compile(augmented)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "finetune", step)  # the slices are those of the regime supervised
            index = torch.randint(len(slices.images), (config.batch,), generator=draws, device=draws.device)
            draw = draw_changes(config.batch, size, rotation=rotation, mirror=mirror, generator=draws)
            images, labels = augment(slices.images[index], slices.labels[index], draw)
            last.update(index=index)
            return {EVERYTHING: segmentation_loss(forward(images), labels, kind)}

        @torch.no_grad()
        def diagnostics() -> dict[str, Tensor]:
            with device.autocast():  # by a copy: a look in training mode moves running averages
                logits = copy.deepcopy(net)(slices.images[last["index"]])
            return {"unaugmented_loss": segmentation_loss(logits, slices.labels[last["index"]], kind)}

        modules = nn.ModuleDict({"network": net.train()})
        return Task(modules, losses, forward, config.batch, net, diagnostics=diagnostics)


@dataclass(frozen=True)
class Changes:
    """Random numbers of N slices: matrix (N, 2, 2), noise (N, 1, H, W) in standard deviations, all others (N,).

    ``sigma`` is 0 and the factors, the resolution and the exponents are 1 where nothing is changed.
    """

    matrix: Tensor
    noise: Tensor
    sigma: Tensor
    brightness: Tensor
    contrast: Tensor
    resolution: Tensor
    inverted_gamma: Tensor
    gamma: Tensor


def draw_changes(n: int, size: tuple[int, int], *, rotation: float, mirror: bool, generator: torch.Generator) -> Changes:
    """Draw the changes of n slices of (H, W) pixels; ``rotation`` is the largest angle in degrees."""
    device = generator.device
    u, chance = torch.rand(2, 11, n, generator=generator, device=device)
    one = torch.ones(n, device=device)
    radians = torch.where(chance[0] < 0.2, (2 * u[0] - 1) * rotation * math.pi / 180, 0 * one)
    scale = torch.where(chance[1] < 0.2, SCALE[0] + (SCALE[1] - SCALE[0]) * u[1], one)
    across, down = (torch.where(chance[i] < 0.5 * mirror, -one, one) for i in (2, 3))
    cos, sin = torch.cos(radians) / scale, torch.sin(radians) / scale
    matrix = torch.stack([torch.stack([cos * across, -sin * down], 1), torch.stack([sin * across, cos * down], 1)], 1)
    deviation = torch.where(chance[4] < 0.1, NOISE * u[4], 0 * one)
    return Changes(
        matrix=matrix,
        noise=per_image(deviation) * torch.randn(n, 1, *size, generator=generator, device=device),
        sigma=torch.where(chance[5] < 0.1, BLUR[0] + (BLUR[1] - BLUR[0]) * u[5], 0 * one),
        brightness=torch.where(chance[6] < 0.15, about_one(u[6], *FACTOR), one),
        contrast=torch.where(chance[7] < 0.15, about_one(u[7], *FACTOR), one),
        resolution=torch.where(chance[8] < 0.125, RESOLUTION + (1 - RESOLUTION) * u[8], one),
        inverted_gamma=torch.where(chance[9] < 0.1, about_one(u[9], *GAMMA), one),
        gamma=torch.where(chance[10] < 0.3, about_one(u[10], *GAMMA), one),
    )


def about_one(u: Tensor, low: float, high: float) -> Tensor:
    """Uniform numbers of [0, 1) to factors: as often below 1 as above, uniform on either side."""
    return torch.where(u < 0.5, low + 2 * u * (1 - low), 1 + (2 * u - 1) * (high - 1))


def augmented(images: Tensor, labels: Tensor, draw: Changes) -> tuple[Tensor, Tensor]:
    """Changed images (N, 1, H, W) and soft labels (N, C, H, W), read in one pass at one grid; outside is background."""
    none, still = torch.zeros_like(draw.sigma), draw.matrix.new_zeros(len(images), 2, 3, 3)
    moved, soft = apply_training(images, labels, TrainDraw(draw.matrix, still, none, none + 1))
    return changed(moved, draw), soft


def changed(images: Tensor, draw: Changes) -> Tensor:
    """Images (N, 1, H, W) with noise, blur, brightness, contrast, low resolution and gamma, in nnU-Net's order."""
    noisy = images + draw.noise * images.std(dim=(2, 3), keepdim=True)
    bright = blurred(noisy, draw.sigma) * per_image(draw.brightness)
    mean = bright.mean(dim=(2, 3), keepdim=True)
    contrasted = clipped(per_image(draw.contrast) * (bright - mean) + mean, bright)
    rows, columns = (coarse_matrix(draw.resolution, side) for side in (images.shape[2], images.shape[3]))
    coarse = separable(contrasted, rows, columns)
    return with_gamma(-with_gamma(-coarse, draw.inverted_gamma), draw.gamma)


def coarse_matrix(resolution: Tensor, side: int) -> Tensor:
    """(N, side, side): weights of pixels read at a lower resolution, the nearest ones, and back by linear interpolation.

    Args:
        resolution: (N,) shares of the side, rounded to whole pixels.
    """
    place = torch.arange(side, device=resolution.device)
    count = (resolution * side).round().clamp(min=1).view(-1, 1)
    at = ((place + 0.5) * count / side - 0.5).clamp(min=0).minimum(count - 1)
    below = at.floor()
    above = (below + 1).minimum(count - 1)
    first, second = (((i + 0.5) * side / count).floor()[..., None] == place for i in (below, above))
    share = (at - below)[..., None]
    return (1 - share) * first + share * second


def with_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """Images (N, 1, H, W) raised to exponents (N,) between their own ends, with mean and deviation that they had."""
    low = images.amin(dim=(2, 3), keepdim=True)
    span = images.amax(dim=(2, 3), keepdim=True) - low
    raised = ((images - low) / span.clamp(min=TINY)) ** per_image(gamma) * span + low
    before, after = (torch.std_mean(t, dim=(2, 3), keepdim=True) for t in (images, raised))
    restored = (raised - after[1]) * (before[0] / after[0].clamp(min=TINY)) + before[1]
    return torch.where(per_image(gamma) == 1, images, restored)


METHOD = Strong
