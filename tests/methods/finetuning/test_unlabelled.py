"""What regimes do with unlabelled slices: views, boxes, pseudo-labels and masked losses, against loops and counts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.unlabelled import (
    StrongDraw,
    apply_strong,
    blur_matrix,
    blurred,
    confidence,
    cutmix_boxes,
    draw_strong,
    mask_rates,
    masked_loss,
    one_hot,
    pasted,
    pixel_cross_entropy,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=generator(seed))


# ---------------------------------------------------------------- intensities


def test_strong_views_are_drawn_as_said() -> None:
    draw = draw_strong(20_000, jitter=0.5, blur=2.0, generator=generator())
    still = (draw.brightness == 1) & (draw.contrast == 1)
    assert still.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (draw.sigma == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    for factor in (draw.brightness[~still], draw.contrast[~still]):
        assert (factor.min().item(), factor.max().item()) == (pytest.approx(0.5, abs=0.01), pytest.approx(1.5, abs=0.01))
        assert factor.mean().item() == pytest.approx(1, abs=0.01)
    assert torch.corrcoef(torch.stack([draw.brightness[~still], draw.contrast[~still]]))[0, 1].abs() < 0.03
    blurs = draw.sigma[draw.sigma > 0]
    assert (blurs.min().item(), blurs.max().item()) == (pytest.approx(0.1, abs=0.01), pytest.approx(2.0, abs=0.01))


def test_brightness_and_contrast_are_the_loop_and_keep_a_slices_range() -> None:
    images = some(3, 1, 5, 4)
    draw = StrongDraw(torch.tensor([0.5, 1.0, 1.4]), torch.tensor([1.0, 0.6, 1.5]), torch.zeros(3))
    found = apply_strong(images, draw)
    for image, b, f, view in zip(images, draw.brightness, draw.contrast, found, strict=True):
        mean, low, high = image.mean(), image.min(), image.max()
        for pixel, seen in zip(image.flatten(), view.flatten(), strict=True):
            wanted = (pixel - mean) * f + mean
            torch.testing.assert_close(seen, min(max(wanted * b, low), high))


def test_a_view_that_changes_nothing_is_the_slice() -> None:
    images = some(3, 1, 6, 9)
    one = torch.ones(3)
    torch.testing.assert_close(apply_strong(images, StrongDraw(one, one, 0 * one)), images)
    assert torch.equal(blur_matrix(torch.zeros(2), 7), torch.eye(7).expand(2, 7, 7))


def test_a_blur_is_the_loop_and_keeps_what_is_constant() -> None:
    images, sigma = some(2, 1, 6, 5), torch.tensor([0.7, 1.5])
    found = blurred(images, sigma)
    for n in range(2):
        for y in range(6):
            for x in range(5):
                total, weights = torch.zeros(()), torch.zeros(())
                for i in range(6):
                    for j in range(5):
                        w = torch.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * sigma[n] ** 2))
                        total, weights = total + w * images[n, 0, i, j], weights + w
                torch.testing.assert_close(found[n, 0, y, x], total / weights)
    torch.testing.assert_close(blurred(torch.ones(2, 1, 6, 5), sigma), torch.ones(2, 1, 6, 5))


# ---------------------------------------------------------------- boxes


def test_boxes_are_boxes_of_the_area_and_ratio_that_are_said() -> None:
    boxes = cutmix_boxes(2000, (60, 90), 1.0, generator())[:, 0]
    rows, columns = boxes.any(dim=2), boxes.any(dim=1)
    assert torch.equal(boxes, rows[:, :, None] & columns[:, None, :])  # a product of rows and columns
    for part in (rows, columns):  # each without a gap
        assert ((part[:, 1:] != part[:, :-1]).sum(dim=1) <= 2).all()
    height, width = rows.sum(dim=1) / 60, columns.sum(dim=1) / 90
    area = height * width
    assert area.max() <= 0.4
    assert area.min() > 0.01
    uncut = (height < 0.95) & (width < 0.95) & (area > 0.1)  # rounding is small beside these
    ratio = (height / width)[uncut]
    assert ratio.max() < 1 / 0.3 * 1.1
    assert ratio.min() > 0.3 * 0.9
    assert area.mean().item() == pytest.approx(0.21, abs=0.03)
    short = boxes[
        (height < 0.3) & (width < 0.3)
    ]  # everywhere: those that start, and those that end, in any part of the frame
    for part, side in ((short.any(dim=2), 60), (short.any(dim=1), 90)):
        first = part.int().argmax(dim=1) / (side - part.sum(dim=1))  # of all places where it fits
        assert first.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist() == pytest.approx([0.25, 0.5, 0.75], abs=0.05)


def test_some_slices_get_no_box() -> None:
    assert not cutmix_boxes(50, (20, 20), 0.0, generator()).any()
    found = cutmix_boxes(4000, (20, 20), 0.3, generator()).flatten(1).any(dim=1)
    assert found.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_a_box_shows_the_batchs_previous_member() -> None:
    values, boxes = some(3, 2, 4, 5), some(3, 1, 4, 5, seed=1) < 0.5
    found = pasted(values, boxes)
    for n in range(3):
        for y in range(4):
            for x in range(5):
                assert torch.equal(found[n, :, y, x], values[n - 1 if boxes[n, 0, y, x] else n, :, y, x])


# ---------------------------------------------------------------- pseudo-labels


def test_confidence_is_the_loop() -> None:
    logits = 3 * torch.randn(2, 3, 4, 5, generator=generator())
    for kind in ("probability", "release"):
        labels, sure = confidence(logits.requires_grad_(), kind)  # type: ignore[arg-type]
        assert (labels.shape, labels.dtype, sure.dtype) == ((2, 1, 4, 5), torch.int64, torch.float32)
        assert not sure.requires_grad
        for n in range(2):
            for y in range(4):
                for x in range(5):
                    p = sorted(torch.exp(z) / torch.exp(logits[n, :, y, x]).sum() for z in logits[n, :, y, x])
                    assert labels[n, 0, y, x] == logits[n, :, y, x].argmax()
                    wanted = p[-1] if kind == "probability" else (p[-1] - p[0]) / p[-1]
                    torch.testing.assert_close(sure[n, 0, y, x], wanted)


def test_the_releases_rule_lets_pass_what_is_hardly_sure() -> None:
    """Of four classes one at 0.4, one at 0.05: 1 - 0.05 / 0.4 is 0.875."""
    logits = torch.tensor([0.4, 0.3, 0.25, 0.05]).log().view(1, 4, 1, 1)
    assert confidence(logits, "probability")[1].item() == pytest.approx(0.4)
    assert confidence(logits, "release")[1].item() == pytest.approx(0.875)


def test_classes_become_one_hot() -> None:
    labels = torch.tensor([[0, 2], [1, 0]]).view(1, 1, 2, 2)
    assert torch.equal(one_hot(labels, 4), F.one_hot(labels[:, 0], 4).permute(0, 3, 1, 2).float())


def test_mask_rates_are_counted() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 2, 1, 0, 0]).view(1, 1, 2, 5)
    counted = torch.tensor([1, 1, 1, 1, 0, 1, 0, 0, 1, 1], dtype=torch.bool).view(1, 1, 2, 5)
    rates = {name: value.item() for name, value in mask_rates(counted, labels).items()}
    assert rates == pytest.approx({"mask_rate": 0.7, "mask_rate_foreground": 1 / 3, "foreground": 0.3})
    assert mask_rates(counted, 0 * labels)["mask_rate_foreground"] == 0


# ---------------------------------------------------------------- losses


def test_pixel_cross_entropy_is_torchs() -> None:
    logits, labels = torch.randn(2, 3, 4, 5, generator=generator()), torch.randint(3, (2, 1, 4, 5), generator=generator(1))
    found = pixel_cross_entropy(logits, one_hot(labels, 3))
    torch.testing.assert_close(found[:, 0], F.cross_entropy(logits, labels[:, 0], reduction="none"))


@pytest.mark.parametrize("kind", ["dice", "dice_ce"])
def test_a_mask_of_everything_is_the_segmentation_loss(kind: str) -> None:
    logits, target = torch.randn(3, 4, 6, 6, generator=generator()), some(3, 4, 6, 6, seed=1).softmax(dim=1)
    for mask in (torch.ones(3, 1, 6, 6), torch.ones(1, 1, 6, 6, dtype=torch.bool)):
        found = masked_loss(logits, target, mask, kind)  # type: ignore[arg-type]
        torch.testing.assert_close(found, segmentation_loss(logits, target, kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["dice", "dice_ce"])
def test_the_loss_inside_a_box_is_that_of_the_part_cut_out(kind: str) -> None:
    logits, target = torch.randn(3, 4, 6, 6, generator=generator()), some(3, 4, 6, 6, seed=1).softmax(dim=1)
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    mask[..., 1:4, 2:6] = True
    found = masked_loss(logits, target, mask, kind)  # type: ignore[arg-type]
    cut = segmentation_loss(logits[..., 1:4, 2:6], target[..., 1:4, 2:6], kind)  # type: ignore[arg-type]
    torch.testing.assert_close(found, cut)


def test_where_nothing_counts_nothing_is_learnt() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=generator()).requires_grad_()
    loss = masked_loss(logits, one_hot(torch.zeros(2, 1, 4, 4), 3), torch.zeros(2, 1, 4, 4, dtype=torch.bool), "dice_ce")
    loss.backward()
    assert loss == 1
    assert logits.grad is not None
    assert not logits.grad.any()
