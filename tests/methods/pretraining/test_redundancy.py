"""VICReg and Barlow Twins against loops over rows and values; what shows a collapse, on embeddings that have collapsed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.siamese.redundancy import (
    barlow_loss,
    barlow_of_pairs,
    covariance_term,
    deviation,
    effective_rank,
    standardised,
    variance_term,
    vicreg_loss,
    vicreg_of_pairs,
)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def columns(z: Tensor) -> list[list[float]]:
    return [[float(v) for v in column] for column in z.double().T]


def covariance(a: list[float], b: list[float], divisor: int) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / divisor


def slow_variance(z: Tensor) -> float:
    terms = [max(0.0, 1 - math.sqrt(covariance(c, c, len(c) - 1) + 1e-4)) for c in columns(z)]
    return sum(terms) / len(terms)


def slow_covariance(z: Tensor) -> float:
    found = columns(z)
    pairs = [(a, b) for i, a in enumerate(found) for j, b in enumerate(found) if i != j]
    return sum(covariance(a, b, len(a) - 1) ** 2 for a, b in pairs) / len(found)


def slow_barlow(first: Tensor, second: Tensor, off_diagonal: float) -> float:
    total = 0.0
    for i, a in enumerate(columns(first)):
        for j, b in enumerate(columns(second)):
            n = len(a)
            scale = math.sqrt((covariance(a, a, n) + 1e-5) * (covariance(b, b, n) + 1e-5))
            correlation = covariance(a, b, n) / scale
            total += (1 - correlation) ** 2 if i == j else off_diagonal * correlation**2
    return total


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(6, 4), (3, 7), (2, 3)])
def test_the_terms_are_those_of_the_loops(shape: tuple[int, int], scale: float) -> None:
    z = scale * normal(0, *shape) + normal(1, shape[1])
    assert variance_term(z).item() == pytest.approx(slow_variance(z), rel=1e-4, abs=1e-6)
    assert covariance_term(z).item() == pytest.approx(slow_covariance(z), rel=1e-4)


def test_vicreg_is_the_weighted_sum_of_its_terms() -> None:
    first, second = 0.7 * normal(0, 6, 4), 0.9 * normal(1, 6, 4)
    squared = sum((float(a) - float(b)) ** 2 for a, b in zip(first.flatten(), second.flatten(), strict=True)) / 24
    terms = {
        "invariance": squared,
        "variance": slow_variance(first) + slow_variance(second),
        "covariance": slow_covariance(first) + slow_covariance(second),
    }
    nothing = dict.fromkeys(terms, 0.0)
    for name, value in terms.items():
        assert value > 0.01
        assert vicreg_loss(first, second, **{**nothing, name: 2.0}).item() == pytest.approx(2 * value, rel=1e-4)
    assert vicreg_loss(first, second, **dict.fromkeys(terms, 1.0)).item() == pytest.approx(sum(terms.values()), rel=1e-4)


@pytest.mark.parametrize("off_diagonal", [0.0, 5e-3, 1.0])
def test_barlow_twins_is_that_of_the_loops(off_diagonal: float) -> None:
    first, second = 3 * normal(0, 6, 4) + 1, normal(1, 6, 4)
    expected = slow_barlow(first, second, off_diagonal)
    assert barlow_loss(first, second, off_diagonal=off_diagonal).item() == pytest.approx(expected, rel=1e-4)


def test_by_hand() -> None:
    """Two values that vary apart, in four rows: nothing to better, of views that agree."""
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert vicreg_loss(z, z, invariance=25.0, variance=25.0, covariance=1.0).item() == pytest.approx(0, abs=1e-6)
    assert barlow_loss(z, z, off_diagonal=1.0).item() == pytest.approx(0, abs=1e-6)
    assert barlow_loss(z, -z, off_diagonal=1.0).item() == pytest.approx(8, rel=1e-4)  # (1 - -1)^2 of both values
    alike = z[:, :1].expand(-1, 2)  # both values say the same: covariance 4/3, correlation 1, twice each
    assert covariance_term(alike).item() == pytest.approx((4 / 3) ** 2)
    assert barlow_loss(alike, alike, off_diagonal=0.5).item() == pytest.approx(1, rel=1e-4)


def test_barlow_twins_sees_neither_place_nor_scale_of_a_value() -> None:
    first, second = normal(0, 8, 4), normal(1, 8, 4)
    moved = first * torch.tensor([0.5, 2.0, 3.0, 10.0]) + torch.tensor([1.0, -2.0, 0.0, 5.0])
    found, other = barlow_loss(first, second, off_diagonal=0.1), barlow_loss(moved, second, off_diagonal=0.1)
    assert found.item() == pytest.approx(other.item(), rel=1e-3)
    z = standardised(moved)
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.square().mean(dim=0), torch.ones(4), rtol=0, atol=1e-3)


LOSSES: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda a, b: vicreg_loss(a, b, invariance=25.0, variance=25.0, covariance=1.0),
    lambda a, b: barlow_loss(a, b, off_diagonal=5e-3),
    lambda a, _: variance_term(a),
    lambda a, _: covariance_term(a),
    lambda a, _: effective_rank(a),
    lambda a, _: deviation(a),
]


@pytest.mark.parametrize("number", range(len(LOSSES)))
def test_of_half_precision_they_are_float32(number: int) -> None:
    first, second = normal(0, 6, 4).bfloat16(), normal(1, 6, 4).bfloat16()
    found = LOSSES[number](first, second)
    assert (found.dtype, found.shape) == (torch.float32, torch.Size([]))
    torch.testing.assert_close(found, LOSSES[number](first.float(), second.float()))


@pytest.mark.parametrize("number", range(2))
def test_where_all_has_collapsed_loss_and_gradient_are_finite(number: int) -> None:
    z = torch.ones(6, 4, requires_grad=True)
    loss = LOSSES[number](z, z)
    loss.backward()
    assert loss > 3  # Barlow Twins: every correlation is 0, 4 values
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("number", range(2))
def test_gradients_are_those_of_finite_differences(number: int) -> None:
    first, second = (0.5 * normal(0, 5, 3)).requires_grad_(), 0.5 * normal(1, 5, 3)
    (gradient,) = torch.autograd.grad(LOSSES[number](first, second), first)
    direction = normal(2, 5, 3)
    with torch.no_grad():
        slope = (LOSSES[number](first + 1e-2 * direction, second) - LOSSES[number](first - 1e-2 * direction, second)) / 2e-2
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=2e-2)


# ---------------------------------------------------------------- any pairs
WEIGHTS = {"invariance": 2.0, "variance": 3.0, "covariance": 5.0}


def drawn_pairs(n: int) -> Tensor:
    chosen = torch.rand(n, n, generator=torch.Generator().manual_seed(5)).triu(1) > 0.6
    assert 2 < chosen.sum() < n * (n - 1) / 2
    return chosen | chosen.T


def test_with_the_pairs_of_two_views_they_are_the_usual_losses() -> None:
    z = normal(0, 12, 4)
    number = torch.arange(12)
    pairs = (number[:, None] - number[None, :]).abs() == 6
    found = vicreg_of_pairs(z, pairs, views=2, **WEIGHTS)
    first, second = z.chunk(2)
    torch.testing.assert_close(found, vicreg_loss(first, second, **WEIGHTS))
    found = barlow_of_pairs(z, pairs, views=2, off_diagonal=0.3)
    torch.testing.assert_close(found, barlow_loss(first, second, off_diagonal=0.3))


def test_vicreg_of_any_pairs_is_that_of_the_loop() -> None:
    z, pairs = normal(0, 12, 4), drawn_pairs(12)
    squared = [float((z[i] - z[j]).square().mean()) for i, j in pairs.nonzero().tolist()]
    sides = z.chunk(3)
    expected = 2 * sum(squared) / len(squared)
    expected += 3 * 2 * sum(slow_variance(side) for side in sides) / 3
    expected += 5 * 2 * sum(slow_covariance(side) for side in sides) / 3
    assert vicreg_of_pairs(z, pairs, views=3, **WEIGHTS).item() == pytest.approx(expected, rel=1e-4)


def test_barlow_twins_of_any_pairs_is_that_of_the_loop() -> None:
    z, pairs = 2 * normal(0, 12, 4) + 1, drawn_pairs(12)
    rows = torch.cat([(s - s.mean(dim=0)) / (s.var(dim=0, correction=0) + 1e-5).sqrt() for s in z.chunk(3)])
    once = [(i, j) for i, j in pairs.nonzero().tolist() if i < j]
    expected = 0.0
    for a in range(4):
        for b in range(4):
            correlation = sum(float(rows[i, a] * rows[j, b]) for i, j in once) / len(once)
            expected += (1 - correlation) ** 2 if a == b else 0.3 * correlation**2
    assert barlow_of_pairs(z, pairs, views=3, off_diagonal=0.3).item() == pytest.approx(expected, rel=1e-4)


# ---------------------------------------------------------------- what shows a collapse


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_the_effective_rank_of_known_singular_values(shape: tuple[int, int]) -> None:
    left, right = (torch.linalg.qr(normal(seed, n, 5)).Q for seed, n in enumerate(shape))
    values = torch.tensor([4.0, 2.0, 1.0, 1.0, 0.0])
    entropy = 0.5 * math.log(2) + 0.25 * math.log(4) + 2 * 0.125 * math.log(8)
    found = effective_rank(left @ values.diag() @ right.T)
    assert found.item() == pytest.approx(math.exp(entropy), rel=1e-3)
    assert effective_rank(left @ right.T).item() == pytest.approx(5, rel=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_embeddings_in_few_directions_have_that_rank_at_most(rank: int) -> None:
    z = normal(0, 40, rank) @ normal(1, rank, 16)
    assert 1 - 1e-3 < effective_rank(z) < rank + 1e-2
    assert effective_rank(z) > 0.8 * rank


def test_a_point_has_rank_one_and_no_deviation_even_with_noise() -> None:
    point = normal(0, 1, 16).expand(40, -1)
    for z in (point, point + 1e-4 * normal(1, 40, 16), torch.zeros(40, 16)):
        assert effective_rank(z).item() == pytest.approx(1, abs=0.02)
        assert deviation(z).item() == pytest.approx(0, abs=1e-3)


def test_the_deviation_is_the_mean_over_values() -> None:
    z = normal(0, 50, 3) * torch.tensor([1.0, 2.0, 0.0]) + 7
    expected = [math.sqrt(covariance(c, c, 49)) for c in columns(z)]
    assert deviation(z).item() == pytest.approx(sum(expected) / 3, rel=1e-4)


def test_what_shows_a_collapse_has_no_graph() -> None:
    z = normal(0, 6, 4).requires_grad_()
    assert not effective_rank(z).requires_grad
    assert not deviation(z).requires_grad
