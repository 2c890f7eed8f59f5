"""A dense conditional random field in mean field: what refines pseudo-labels where a regime asks for it.

Every pixel is joined to every other, and to itself, by two kernels: one of their distance, smoothness, and one of distance and
intensity, appearance. Both are computed exactly. Smoothness is a product of a matrix of the rows and one of the columns.
Appearance is a sum over the pixels within a window; what lies outside has less than 1e-7 of a pixel's own weight.

The defaults are those of the code of Chaitanya et al., Local contrastive loss with pseudo-label based self-training (arXiv
2112.09645). Their appearance kernel reaches a hundredth of a pixel, so it joins no pixel but to itself: the refinement then
smooths the labels, whatever the image shows.

Source: Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, NIPS 2011,
arXiv 1210.5644.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.training.augment.views import REFERENCE_SIDE

LEAST = 1e-5  # probability whose logarithm is taken
FURTHEST = 5.7  # standard deviations of a window: exp(-5.7^2 / 2) < 1e-7


@dataclass(frozen=True)
class Crf:
    """Standard deviations in pixels of a 192-pixel frame and, of ``tone``, in intensity; weights; mean-field rounds."""

    smooth: float = 10.0
    smooth_weight: float = 30.0
    reach: float = 0.01
    tone: float = 0.5
    reach_weight: float = 10.0
    rounds: int = 30


def refined(logits: Tensor, images: Tensor, crf: Crf) -> Tensor:
    """Probabilities (N, C, H, W), float32, of logits (N, C, H, W) and their images (N, 1, H, W) after all rounds."""
    unary = logits.float().softmax(dim=1).clamp(min=LEAST).log()
    height, width = images.shape[2:]
    scale = max(height, width) / REFERENCE_SIDE
    rows, columns = (smoothing(side, crf.smooth * scale, images.device) for side in (height, width))
    appearance = Appearance(images, crf.reach * scale, crf.tone)
    found = unary.softmax(dim=1)
    for _ in range(crf.rounds):
        smooth = rows @ found @ columns
        found = (unary + crf.smooth_weight * smooth + crf.reach_weight * appearance(found)).softmax(dim=1)
    return found


def smoothing(side: int, sigma: float, device: torch.device | str = "cpu") -> Tensor:
    """(side, side): a Gaussian kernel, divided by the roots of both pixels' sums of it."""
    place = torch.arange(side, device=device, dtype=torch.float32)
    kernel = torch.exp(-(place[:, None] - place).square() / (2 * sigma**2))
    root = kernel.sum(dim=1).rsqrt()
    return root[:, None] * kernel * root


class Appearance:
    """The kernel of distance and intensity of images (N, 1, H, W), divided by the roots of both pixels' sums of it."""

    def __init__(self, images: Tensor, reach: float, tone: float) -> None:
        self._images, self._reach, self._tone = images.float(), reach, tone
        radius = int(FURTHEST * reach)
        window = range(-radius, radius + 1)
        self._shifts = [(y, x) for y in window for x in window if y**2 + x**2 <= (FURTHEST * reach) ** 2]
        self._radius = radius
        one = torch.ones_like(self._images)
        self._root = self._sums(one).rsqrt()

    def __call__(self, values: Tensor) -> Tensor:
        """For every pixel the weighted sum of values (N, C, H, W)."""
        return self._root * self._sums(self._root * values)

    def _sums(self, values: Tensor) -> Tensor:
        total = torch.zeros_like(values)
        shown, inside, padded = (
            F.pad(t, (self._radius,) * 4) for t in (self._images, torch.ones_like(self._images), values)
        )
        for y, x in self._shifts:
            tones = (self._images - self._shifted(shown, y, x)).square() / (2 * self._tone**2)
            places = (y**2 + x**2) / (2 * self._reach**2) if y or x else 0.0
            total = total + torch.exp(-tones - places) * self._shifted(inside, y, x) * self._shifted(padded, y, x)
        return total

    def _shifted(self, padded: Tensor, y: int, x: int) -> Tensor:
        height, width = self._images.shape[2:]
        top, left = self._radius + y, self._radius + x
        return padded[:, :, top : top + height, left : left + width]
