"""Segmentation losses by hand and against torch (docs/method.md 6)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.config.settings import AugmentConfig, FinetuneConfig
from glocalseg.methods.finetuning.base import Slices
from glocalseg.methods.finetuning.losses import cross_entropy_loss, segmentation_loss, soft_dice_loss
from glocalseg.methods.finetuning.regimes.labelled.supervised import Supervised
from glocalseg.training.device import Device


def test_soft_dice_by_hand() -> None:
    p = torch.tensor([[[[0.8, 0.4]], [[0.2, 0.6]], [[0.0, 0.0]]]])  # one image of two pixels, three classes
    y = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]]])
    background = 2 * 0.8 / (1.2 + 1)
    foreground = 2 * 0.6 / (0.8 + 1)
    assert soft_dice_loss(p, y).item() == pytest.approx(1 - (background + foreground + 0) / 3, rel=1e-6)


def test_soft_dice_is_a_mean_over_images_not_over_pixels() -> None:
    p = torch.zeros(2, 2, 1, 4)
    y = torch.zeros(2, 2, 1, 4)
    p[0, 0], y[0, 0] = 1, 1  # background alone: 1 and 0
    p[1, 1, 0, :1], p[1, 0, 0, 1:] = 1, 1
    y[1, 1, 0, :3], y[1, 0, 0, 3:] = 1, 1  # background 2 * 1 / (3 + 1), foreground 2 * 1 / (1 + 3)
    assert soft_dice_loss(p, y).item() == pytest.approx(1 - (1 + 0 + 0.5 + 0.5) / 4, rel=1e-6)


def test_a_class_that_is_absent_and_not_predicted_has_no_gradient() -> None:
    p = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]]).requires_grad_()
    y = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])
    loss = soft_dice_loss(p, y)
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    assert torch.isfinite(p.grad).all()  # type: ignore[arg-type]
    assert (p.grad[0, 1] == 0).all()  # type: ignore[index]


def hard(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (3, 5, 7), generator=g)
    return torch.randn(3, 4, 5, 7, generator=g), labels, F.one_hot(labels, 4).permute(0, 3, 1, 2).float()


def test_cross_entropy_on_hard_and_soft_labels_is_torchs() -> None:
    logits, labels, one_hot = hard()
    torch.testing.assert_close(cross_entropy_loss(logits, one_hot), F.cross_entropy(logits, labels))
    soft = hard(1)[0].softmax(dim=1)
    torch.testing.assert_close(cross_entropy_loss(logits, soft), F.cross_entropy(logits, soft))


def test_segmentation_loss_is_dice_or_the_sum() -> None:
    logits, labels, one_hot = hard()
    dice = soft_dice_loss(logits.softmax(dim=1), one_hot)
    torch.testing.assert_close(segmentation_loss(logits, one_hot, "dice"), dice)
    both = segmentation_loss(logits, one_hot, "dice_ce")
    torch.testing.assert_close(both, dice + F.cross_entropy(logits, labels))


def test_losses_of_half_precision_logits_are_float32() -> None:
    logits, _, one_hot = hard()
    assert segmentation_loss(logits.bfloat16(), one_hot, "dice_ce").dtype == torch.float32


CPU = Device(torch.device("cpu"), "float32", 1)


class Spy(torch.nn.Module):
    """A network of one weight that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return torch.cat([1 - images, images], dim=1) * self.weight


def supervised(step: int, **changes: object) -> tuple[Tensor, Tensor]:
    labels = (torch.rand(6, 1, 24, 24, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    slices = Slices(labels, torch.cat([1 - labels, labels], dim=1), labels[:0])
    spy = Spy()
    config = FinetuneConfig(steps=5, batch=7, **changes)  # type: ignore[arg-type]
    task = Supervised().task(spy, slices, CPU, 0, config)  # type: ignore[arg-type]
    return task.losses(step)["all"], spy.seen[0]


def test_supervised_batches_repeat_with_seed_and_step() -> None:
    (loss, batch), (again, same), (_, other) = supervised(3), supervised(3), supervised(4)
    assert batch.shape == (7, 1, 24, 24)
    assert torch.equal(batch, same)
    assert torch.equal(loss, again)
    assert loss.requires_grad
    assert not torch.equal(batch, other)


def test_supervised_images_and_labels_belong_together() -> None:
    """Images that are their own label, intensities left alone: a network that copies its input is right."""
    quiet = AugmentConfig(intensity="release", elastic=0, rotation=0, scale=0, right_angles=False)
    labels = (torch.rand(6, 1, 24, 24, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    slices = Slices(labels, torch.cat([1 - labels, labels], dim=1), labels[:0])

    class Copy(Spy):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([-images, images], dim=1) * 50 - torch.tensor([-25.0, 25.0]).view(1, 2, 1, 1)

    config = FinetuneConfig(steps=1, batch=10, augment=quiet)
    task = Supervised().task(Copy(), slices, CPU, 0, config)  # type: ignore[arg-type]
    assert task.losses(0)["all"].item() < 1e-3
