"""Networks that regimes play against each other: judges of slices, and generators of fields that change a slice.

All of them fit any frame: they halve it as often as leaves a map of a few pixels. Nothing here draws a random number; noise and
what is dropped out are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.networks.unet import ConvBlock
from glocalseg.training.augment.warp import identity_grid, resample

SLOPE = 0.2  # of a leaky ReLU
NOISE = 100  # values that a generator takes
HALVINGS, SMALLEST = 5, 4  # of a frame by generators and judges of slices: so many, to no fewer pixels a side
WIDTHS = (16, 32, 64, 128, 128)  # of a judge of slices, finest first
SPREADING = (128, 64, 32, 16, 16)  # of a generator's way up, coarsest first
DENSE = 128
JUDGED = (64, 128, 256, 512)  # of a judge of segmentations
DROPPED = 0.5
SMALL = 0.01  # standard deviation of dense layers' weights where they begin small


# ---------------------------------------------------------------- fields


def halvings(size: tuple[int, int], most: int, smallest: int) -> int:
    """How often a frame can be halved, at most, so that its shorter side keeps so many pixels; at least once."""
    return max(n for n in range(1, most + 1) if n == 1 or min(size) >> n >= smallest)


def halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    """The size of a frame that was halved so often, rounded up."""
    return -(-size[0] // 2**times), -(-size[1] // 2**times)


class FieldGenerator(nn.Module):
    """A field (N, C, H, W) for slices (N, 1, H, W) and noise (N, 100).

    The noise becomes a coarse map, which grows to the frame by bilinear steps with 2x2 convolutions. Two more convolutions look
    at it beside what two have made of the slice.

    Args:
        fields: C.
        bounded: a field within (-1, 1), without bias; or any numbers.
        momentum: of batch norm.
    """

    def __init__(self, size: tuple[int, int], fields: int, *, bounded: bool, momentum: float) -> None:
        super().__init__()
        times = halvings(size, HALVINGS, SMALLEST)
        self._sizes = [halved(size, n) for n in range(times, -1, -1)]  # from the coarsest
        height, width = self._sizes[0]
        self.spread = nn.Linear(NOISE, SPREADING[0] * height * width)
        ups: list[nn.Module] = []
        inputs = SPREADING[0]
        for outputs in SPREADING[-times:]:
            ups.append(ConvBlock(inputs, outputs, 2, momentum=momentum))
            inputs = outputs
        ups[-1] = nn.Sequential(*list(ups[-1])[:-2])  # type: ignore[call-overload]  # the last without batch norm and ReLU
        self.ups = nn.ModuleList(ups)
        width = SPREADING[-1]
        self.look = nn.Sequential(ConvBlock(1, width, 3, momentum=momentum), ConvBlock(width, width, 3, momentum=momentum))
        self.join = nn.Sequential(
            ConvBlock(inputs + width, width, 3, momentum=momentum),
            ConvBlock(width, width, 3, momentum=momentum),
            nn.Conv2d(width, fields, 1, bias=False) if bounded else nn.Conv2d(width, fields, 3, padding=1),
        )
        self._bounded = bounded

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        x = F.relu(self.spread(noise)).unflatten(1, (-1, *self._sizes[0]))
        for up, size in zip(self.ups, self._sizes[1:], strict=True):
            x = up(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
        field = self.join(torch.cat([x, self.look(images)], dim=1))
        return field.tanh() if self._bounded else field


def deformed(images: Tensor, labels: Tensor, field: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, 1, H, W) and labels (N, C, H, W), one-hot or soft, read where a field (N, 2, H, W) in pixels, x first, points.

    What lies outside the frame becomes background.
    """
    height, width = images.shape[2:]
    half = torch.stack([torch.full((), side / 2, device=field.device) for side in (width, height)])
    grid = identity_grid((height, width), field.device) + field.float().permute(0, 2, 3, 1) / half
    both = resample(torch.cat([images, labels[:, 1:]], dim=1), grid)
    structures = both[:, 1:]
    return both[:, :1], torch.cat([1 - structures.sum(dim=1, keepdim=True), structures], dim=1)


def folded(field: Tensor) -> Tensor:
    """Share of the squares between four pixels that a field (N, 2, H, W) in pixels, x first, turns over or flattens.

    Such is one where the determinant of forward differences is not positive.
    """
    across = field[:, :, :-1, 1:] - field[:, :, :-1, :-1]
    down = field[:, :, 1:, :-1] - field[:, :, :-1, :-1]
    determinant = (1 + across[:, 0]) * (1 + down[:, 1]) - across[:, 1] * down[:, 0]
    return (determinant <= 0).float().mean()


# ---------------------------------------------------------------- judges


class SliceJudge(nn.Sequential):
    """How real slices (N, 1, H, W) look: logits (N,). Strided 5x5 convolutions with batch norm, then three dense layers."""

    def __init__(self, size: tuple[int, int], *, momentum: float) -> None:
        times = halvings(size, HALVINGS, SMALLEST)
        height, width = halved(size, times)
        layers: list[nn.Module] = []
        inputs = 1
        for outputs in WIDTHS[:times]:
            layers += [
                nn.Conv2d(inputs, outputs, 5, stride=2, padding=2),
                nn.BatchNorm2d(outputs, eps=1e-3, momentum=momentum),
                nn.LeakyReLU(SLOPE),
            ]
            inputs = outputs
        layers += [nn.Flatten(), nn.Linear(inputs * height * width, DENSE), nn.LeakyReLU(SLOPE)]
        layers += [nn.Linear(DENSE, DENSE), nn.LeakyReLU(SLOPE), nn.Linear(DENSE, 1), nn.Flatten(0)]
        super().__init__(*layers)


class SegmentationJudge(nn.Module):
    """Whether probabilities (N, C, H, W) are of an annotated slice (N, 1, H, W) or of another: logits (N, 2), annotated second.

    Strided 4x4 convolutions; what the first make of probabilities and slice is added; the mean over the last map decides.
    """

    def __init__(self, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        widths = JUDGED[: halvings(size, len(JUDGED), 1)]
        self.probabilities, self.image = (nn.Conv2d(n, widths[0], 4, stride=2, padding=1) for n in (classes, 1))
        self.convolutions = nn.ModuleList([nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)])
        self._dropped = widths[1:-1]  # channels of the maps that lose some
        self.decide = nn.Linear(widths[-1], 2)

    def forward(self, probabilities: Tensor, images: Tensor, dropped: Sequence[Tensor] = ()) -> Tensor:
        """Logits; ``dropped`` is what maps behind a leaky ReLU are multiplied by, see ``draw_dropout``."""
        x = self.probabilities(probabilities) + self.image(images)
        for i, convolution in enumerate(self.convolutions):
            x = F.leaky_relu(convolution(x), SLOPE)
            if i < len(dropped):
                x = x * dropped[i]
        return self.decide(x.mean(dim=(2, 3)))

    def draw_dropout(self, n: int, generator: torch.Generator) -> list[Tensor]:
        """What drops half of the channels of every map but the last, and doubles the others: (n, channels, 1, 1) each."""
        draws = [torch.rand(n, c, 1, 1, generator=generator, device=generator.device) for c in self._dropped]
        return [(u >= DROPPED) / (1 - DROPPED) for u in draws]


@torch.no_grad()
def begin_small(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of dense layers anew, normal and cut at two standard deviations: a judge's logits begin near 0.

    Args:
        generator: on the CPU.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            drawn = torch.empty(layer.weight.shape)
            nn.init.trunc_normal_(drawn, std=SMALL, a=-2 * SMALL, b=2 * SMALL, generator=generator)
            layer.weight.copy_(drawn)


def real_or_not(real: Tensor, made: Tensor) -> Tensor:
    """A judge's loss: cross-entropy of logits of real slices with real, added to that of made ones with made; float32."""
    return F.softplus(-real.float()).mean() + F.softplus(made.float()).mean()


def passing(made: Tensor) -> Tensor:
    """A generator's loss: cross-entropy of a judge's logits of what it made with real; float32."""
    return F.softplus(-made.float()).mean()


def accuracy(positive: Tensor, negative: Tensor) -> Tensor:
    """How often logits are right, as the mean of two shares: those above 0 of one kind, and those not above 0 of the other."""
    return ((positive > 0).float().mean() + (negative <= 0).float().mean()) / 2
