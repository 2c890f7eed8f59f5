"""Generators and judges on frames of all sizes, hand-made fields, folds counted by hand, and losses against torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.methods.finetuning.gan import (
    NOISE,
    FieldGenerator,
    SegmentationJudge,
    SliceJudge,
    accuracy,
    deformed,
    folded,
    halved,
    halvings,
    passing,
    real_or_not,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("size", "times", "coarsest"),
    [((224, 224), 5, (7, 7)), ((192, 192), 5, (6, 6)), ((32, 32), 3, (4, 4)), ((36, 50), 3, (5, 7)), ((6, 6), 1, (3, 3))],
)
def test_a_frame_is_halved_until_it_is_small(size: tuple[int, int], times: int, coarsest: tuple[int, int]) -> None:
    assert halvings(size, 5, 4) == times
    assert halved(size, times) == coarsest


@pytest.mark.parametrize("size", [(6, 6), (32, 32), (36, 50)])
def test_all_fit_any_frame_and_all_of_them_is_used(size: tuple[int, int]) -> None:
    images, noise = torch.rand(3, 1, *size, generator=generator()), torch.randn(3, NOISE, generator=generator())
    probabilities = torch.rand(3, 4, *size, generator=generator()).softmax(dim=1)
    makers = [FieldGenerator(size, n, bounded=n == 1, momentum=0.1) for n in (1, 2)]
    judges = [SliceJudge(size, momentum=0.1), SegmentationJudge(4, size)]
    for maker, fields in zip(makers, (1, 2), strict=True):
        assert maker(images, noise).shape == (3, fields, *size)
    outputs = [*(m(images, noise) for m in makers), judges[0](images), judges[1](probabilities, images)]
    assert [tuple(o.shape) for o in outputs[2:]] == [(3,), (3, 2)]
    torch.cat([o.flatten() for o in outputs]).square().sum().backward()
    assert all(p.grad is not None for module in (*makers, *judges) for p in module.parameters())


def test_a_field_depends_on_slice_and_noise_and_is_bounded_where_it_says_so() -> None:
    images, noise = torch.rand(4, 1, 32, 32, generator=generator()), torch.randn(4, NOISE, generator=generator())
    maker = FieldGenerator((32, 32), 1, bounded=True, momentum=0.1)
    field = maker(images, noise)
    assert field.abs().max() < 1
    assert not torch.allclose(field, maker(images.flip(0), noise))
    assert not torch.allclose(field, maker(images, noise.flip(0)))
    maker.join[-1].weight.data.mul_(1e4)
    assert (maker(images, noise).abs() > 0.98).float().mean() > 0.9


def one_hot(size: tuple[int, int]) -> Tensor:
    classes = torch.randint(3, (2, *size), generator=generator())
    return F.one_hot(classes, 3).permute(0, 3, 1, 2).float()


def test_a_field_moves_slices_and_labels_alike() -> None:
    images, labels = torch.rand(2, 1, 8, 10, generator=generator()), one_hot((8, 10))
    none = torch.zeros(2, 2, 8, 10)
    for found, wanted in zip(deformed(images, labels, none), (images, labels), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    field = torch.zeros(2, 2, 8, 10)
    field[:, 0], field[:, 1] = 2, -1  # read two pixels to the right and one up
    moved, moved_labels = deformed(images, labels, field)
    torch.testing.assert_close(moved[:, :, 1:, :-2], images[:, :, :-1, 2:], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved_labels[:, :, 1:, :-2], labels[:, :, :-1, 2:], rtol=0, atol=1e-5)
    assert moved_labels[:, 0, 0].sum() == pytest.approx(20, abs=1e-3)  # background from outside
    half = deformed(images, labels, field * 0.25)[1]
    torch.testing.assert_close(half.sum(dim=1), torch.ones(2, 8, 10))


def test_folds_are_counted() -> None:
    field = torch.zeros(1, 2, 5, 5)
    assert folded(field) == 0
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="ij")
    turn = torch.stack([-y - x, x - y])[None]  # a rotation by a right angle about the corner folds nothing
    assert folded(turn) == 0
    assert folded(torch.stack([-2 * x, 0 * y])[None]) == 1  # a mirror turns all over
    assert folded(torch.stack([-x, 0 * y])[None]) == 1  # all columns on one
    field[0, 0, 2, 3] = -1.5  # one pixel is thrown across its neighbour on the left, in the two squares that begin there
    assert folded(field) == 1 / 16
    field[0, 1, 2, 3] = -1.5
    assert folded(field) > 1 / 16


def test_losses_are_cross_entropies() -> None:
    real, made = torch.randn(6, generator=generator(0)), torch.randn(6, generator=generator(1))
    one, zero = torch.ones(6), torch.zeros(6)
    expected = F.binary_cross_entropy_with_logits(real, one) + F.binary_cross_entropy_with_logits(made, zero)
    torch.testing.assert_close(real_or_not(real, made), expected)
    torch.testing.assert_close(passing(made), F.binary_cross_entropy_with_logits(made, one))


def test_accuracy_is_the_mean_over_both_kinds() -> None:
    assert accuracy(torch.tensor([1.0, 2.0, -1.0, 3.0]), torch.tensor([-1.0, 0.5])) == pytest.approx((0.75 + 0.5) / 2)
    assert accuracy(torch.ones(3), torch.ones(5)) == 0.5


def test_dropout_drops_half_of_the_channels_and_doubles_the_others() -> None:
    judge = SegmentationJudge(3, (32, 32))
    dropped = judge.draw_dropout(40, generator())
    assert [tuple(d.shape) for d in dropped] == [(40, 128, 1, 1), (40, 256, 1, 1)]
    values = torch.cat([d.flatten() for d in dropped])
    assert set(values.tolist()) == {0.0, 2.0}
    assert values.mean().item() == pytest.approx(1, abs=0.02)
    p, x = torch.rand(2, 3, 32, 32, generator=generator()).softmax(dim=1), torch.rand(2, 1, 32, 32, generator=generator())
    ones, zeros = ([torch.full((2, c, 1, 1), value) for c in (128, 256)] for value in (1.0, 0.0))
    assert torch.equal(judge(p, x, ones), judge(p, x))
    assert torch.equal(judge(p, x, zeros), judge(0 * p, 0 * x, zeros))
    assert not torch.equal(judge(p, x), judge(0 * p, x))
    assert not torch.equal(judge(p, x), judge(p, 0 * x))
