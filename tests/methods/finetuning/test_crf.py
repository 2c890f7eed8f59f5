"""The conditional random field against sums over all pairs of pixels, what it removes and keeps, and what its image changes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glocalseg.methods.finetuning.crf import Appearance, Crf, refined, smoothing


def all_pairs(images: Tensor, reach: float, tone: float | None) -> Tensor:
    """(N, P, P): the kernel of all pairs of pixels, divided by the roots of both sums; without intensity where tone is None."""
    n, _, height, width = images.shape
    kernel = torch.zeros(n, height * width, height * width)
    for i in range(height * width):
        for j in range(height * width):
            (y, x), (v, u) = divmod(i, width), divmod(j, width)
            energy = torch.full((n,), ((y - v) ** 2 + (x - u) ** 2) / (2 * reach**2))
            if tone is not None:
                energy = energy + (images[:, 0, y, x] - images[:, 0, v, u]) ** 2 / (2 * tone**2)
            kernel[:, i, j] = torch.exp(-energy)
    sums = kernel.sum(dim=2)
    return kernel / (sums[:, :, None] * sums[:, None, :]).sqrt()


def slow(logits: Tensor, images: Tensor, crf: Crf) -> Tensor:
    """The mean field, both kernels as whole matrices."""
    scale = max(images.shape[2:]) / 192
    smooth = all_pairs(images, crf.smooth * scale, None)
    appearance = all_pairs(images, crf.reach * scale, crf.tone)
    unary = logits.softmax(dim=1).clamp(min=1e-5).log().flatten(2)
    q = unary.softmax(dim=1)
    for _ in range(crf.rounds):
        pairs = crf.smooth_weight * torch.einsum("nij,ncj->nci", smooth, q)
        pairs = pairs + crf.reach_weight * torch.einsum("nij,ncj->nci", appearance, q)
        q = (unary + pairs).softmax(dim=1)
    return q.view_as(logits)


@pytest.mark.parametrize("reach", [0.01, 30.0])  # 0.0003 and 0.94 pixels of this frame
def test_it_is_the_mean_field_of_all_pairs(reach: float) -> None:
    g = torch.Generator().manual_seed(0)
    logits, images = 2 * torch.randn(2, 3, 5, 6, generator=g), torch.rand(2, 1, 5, 6, generator=g)
    crf = Crf(smooth=40, smooth_weight=1.5, reach=reach, tone=0.2, reach_weight=1.0, rounds=4)
    torch.testing.assert_close(refined(logits, images, crf), slow(logits, images, crf), rtol=1e-4, atol=1e-5)


def test_the_published_reach_joins_no_pixels() -> None:
    g = torch.Generator().manual_seed(0)
    values, images = torch.rand(1, 3, 9, 9, generator=g), torch.rand(1, 1, 9, 9, generator=g)
    assert torch.equal(Appearance(images, Crf().reach, Crf().tone)(values), values)
    other = torch.rand(1, 1, 9, 9, generator=g)
    assert torch.equal(refined(values, images, Crf()), refined(values, other, Crf()))


def test_smoothing_is_symmetric_and_of_its_width() -> None:
    kernel = smoothing(41, 3.0)
    torch.testing.assert_close(kernel, kernel.T)
    torch.testing.assert_close(kernel[20, 20:24] / kernel[20, 20], torch.exp(-(torch.arange(4.0) ** 2) / 18))
    assert kernel[20].sum() == pytest.approx(1, abs=1e-3)  # far from the edge


def test_specks_and_thin_structures_go_and_large_ones_stay() -> None:
    """What is known of it: a disc as wide as many deviations keeps nine tenths of its pixels, a line of one pixel vanishes."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    disc, line = torch.hypot(y - 16.0, x - 16.0) < 11, (y == 40)
    logits = torch.stack([torch.zeros(48, 48), 4.0 * (disc | line) - 2])[None]
    found = refined(logits, torch.zeros(1, 1, 48, 48), Crf()).argmax(dim=1)[0] > 0
    assert (found & disc).sum() > 0.9 * disc.sum()
    assert not (found & line).any()


def test_with_reach_labels_follow_the_image() -> None:
    """A border of labels that is two pixels off moves to that of the image; without reach it stays."""
    x = torch.arange(32).expand(32, 32)
    images = (x >= 16).float()[None, None]
    logits = torch.stack([torch.zeros(32, 32), torch.where(x >= 18, 1.0, -1.0)])[None]
    for reach, border in ((18.0, 16), (0.01, 18)):  # 3 pixels of this frame
        crf = Crf(smooth=1.0, smooth_weight=0.0, reach=reach, tone=0.1, reach_weight=10.0, rounds=10)
        found = refined(logits, images, crf).argmax(dim=1)[0]
        assert torch.equal(found, (x >= border).long())
    assert math.isclose(float(refined(logits, images, Crf()).sum(dim=1).mean()), 1, rel_tol=1e-5)
