"""The vectorised contrastive losses against their definitions, written as plain loops (docs/method.md 4.1 and 5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.contrast import regions
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.methods.pretraining.contrast.regions import (
    SIDE,
    Repulsion,
    local_loss,
    neighbour_mask,
    region_starts,
    region_vectors,
)

TAU = 0.1


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def slow_info_nce(z: Tensor, positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    terms = []
    for i in range(len(z)):
        for j in range(len(z)):
            if positives[i, j]:
                e = torch.exp(cosine(z[i], z[j]) / tau)
                rest = sum(torch.exp(cosine(z[i], z[k]) / tau) for k in range(len(z)) if negatives[i, k])
                terms.append(-torch.log(e / (e + rest)))
    return torch.stack(terms).mean()


def slow_local_loss(maps: Tensor, positives: Tensor, table: dict[int, list[int]], region: int, tau: float) -> Tensor:
    m = maps.shape[2] - 4 if region == 3 else maps.shape[2] - 1
    w = maps.shape[3] - 4 if region == 3 else maps.shape[3] - 1

    def r(n: int, u: int) -> Tensor:
        top, left = math.floor(u // SIDE * m / 4), math.floor(u % SIDE * w / 4)
        return maps[n, :, top : top + region, left : left + region].reshape(-1)

    terms = []
    for f in range(len(maps)):
        for g in range(len(maps)):
            if positives[f, g]:
                for u, negatives in table.items():
                    e = torch.exp(cosine(r(f, u), r(g, u)) / tau)
                    rest = sum(
                        torch.exp(cosine(r(f, u), r(f, v)) / tau) + torch.exp(cosine(r(f, u), r(g, v)) / tau)
                        for v in negatives
                    )
                    terms.append(-torch.log(e / (e + rest)))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_info_nce_and_its_gradient_are_those_of_the_loop(tau: float) -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.randn(9, 5, generator=g, dtype=torch.float64).requires_grad_()
    kind = torch.randint(3, (9, 9), generator=g)
    positives = (kind == 0) & ~torch.eye(9, dtype=torch.bool)
    negatives = (kind == 1) & ~torch.eye(9, dtype=torch.bool)
    expected = slow_info_nce(z, positives, negatives, tau)
    (wanted,) = torch.autograd.grad(expected, z)
    fast = z.detach().float().requires_grad_()
    found = info_nce(cosine_similarity(fast), positives, negatives, temperature=tau)
    (gradient,) = torch.autograd.grad(found, fast)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-5)


def test_an_anchor_without_negatives_costs_nothing_and_gives_no_nan() -> None:
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    positives = torch.zeros(4, 4, dtype=torch.bool)
    positives[0, 1] = positives[2, 3] = True
    negatives = torch.zeros(4, 4, dtype=torch.bool)
    negatives[2, 0] = True
    loss = info_nce(cosine_similarity(z), positives, negatives, temperature=TAU)
    alone = info_nce(cosine_similarity(z), positives & (torch.arange(4) == 2)[:, None], negatives, temperature=TAU)
    torch.testing.assert_close(loss, alone / 2)
    (gradient,) = torch.autograd.grad(loss, z)
    assert torch.isfinite(gradient).all()
    assert (gradient[1] == 0).all()


def test_no_positive_pair_gives_nan_which_the_loop_names() -> None:
    nothing = torch.zeros(3, 3, dtype=torch.bool)
    assert torch.isnan(info_nce(torch.eye(3), nothing, ~torch.eye(3, dtype=torch.bool), temperature=TAU))


def test_extreme_similarities_stay_finite() -> None:
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]).requires_grad_()
    positives = torch.zeros(4, 4, dtype=torch.bool)
    positives[0, 1] = True
    negatives = torch.zeros(4, 4, dtype=torch.bool)
    negatives[0, 2:] = True
    loss = info_nce(cosine_similarity(z), positives, negatives, temperature=0.001)
    loss.backward()
    assert loss.item() == pytest.approx(2000 + math.log(2), rel=1e-5)
    assert torch.isfinite(z.grad).all()  # type: ignore[arg-type]


def table(per_anchor: int) -> dict[int, list[int]]:
    mask = neighbour_mask(per_anchor)
    return {u: mask[u].nonzero().squeeze(1).tolist() for u in range(25) if mask[u].any()}


@pytest.mark.parametrize("pairs", [regions._listed_pairs, regions._all_pairs])  # of a CPU, of any other device
@pytest.mark.parametrize(("size", "region", "per_anchor"), [((9, 9), 3, 5), ((8, 11), 3, 4), ((6, 5), 1, 5)])
def test_local_loss_and_its_gradient_are_those_of_the_loop(
    size: tuple[int, int], region: int, per_anchor: int, pairs: Callable[..., Tensor]
) -> None:
    g = torch.Generator().manual_seed(2)
    maps = torch.randn(4, 2, *size, generator=g, dtype=torch.float64).requires_grad_()
    positives = torch.zeros(4, 4, dtype=torch.bool)
    positives[0, 1] = positives[1, 0] = positives[0, 2] = positives[3, 1] = True
    expected = slow_local_loss(maps, positives, table(per_anchor), region, TAU)
    (wanted,) = torch.autograd.grad(expected, maps)
    fast = maps.detach().float().requires_grad_()
    vectors = region_vectors(fast, region, None)
    found = pairs(vectors, positives, Repulsion.of(neighbour_mask(per_anchor)), TAU)
    (gradient,) = torch.autograd.grad(found, fast)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("pairs", [regions._listed_pairs, regions._all_pairs])
def test_no_pair_of_maps_gives_nan_which_the_loop_names(pairs: Callable[..., Tensor]) -> None:
    vectors, none = torch.ones(3, 25, 1), torch.zeros(3, 3, dtype=torch.bool)
    assert torch.isnan(pairs(vectors, none, Repulsion.of(neighbour_mask(5)), TAU))


def test_repulsion_holds_the_anchors_alone() -> None:
    mask = neighbour_mask(4)
    found = Repulsion.of(mask)
    assert found.anchors.tolist() == [u for u in range(25) if mask[u].any()]
    assert torch.equal(found.regions, mask[found.anchors])


def test_a_projection_is_applied_to_each_flattened_region() -> None:
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    weight = torch.randn(4, 27, generator=torch.Generator().manual_seed(4))
    found = region_vectors(maps, 3, lambda v: v @ weight.T)
    starts = region_starts(8, 3)
    patch = maps[1, :, starts[2] : starts[2] + 3, starts[4] : starts[4] + 3]
    expected = weight @ patch.permute(1, 2, 0).reshape(-1)
    torch.testing.assert_close(found[1, 2 * SIDE + 4], expected / expected.norm())


@pytest.mark.parametrize(
    ("side", "region", "expected"),
    [(48, 3, [0, 11, 22, 33, 44]), (40, 3, [0, 9, 18, 27, 36]), (8, 3, [0, 1, 2, 3, 4]), (5, 1, [0, 1, 2, 3, 4])],
)
def test_regions_start_where_the_method_says(side: int, region: int, expected: list[int]) -> None:
    assert region_starts(side, region) == expected


# docs/method.md 5.1, copied by hand once more: a slip in one of the two tables shows
TABLE = """
00 02 11 12 20 21
02 00 04 11 13 22
04 02 12 13 23 24
20 00 11 22 40 31
22 11 13 31 33 20
24 04 22 44 13 33
40 20 21 42 31 32
42 22 40 44 31 33
44 23 24 42 33 32
11 00 02 20 22 13
13 02 04 11 22 24
31 20 22 40 42 33
33 22 24 42 44 31
"""


@pytest.mark.parametrize("per_anchor", [4, 5])
def test_the_neighbour_table_is_the_methods(per_anchor: int) -> None:
    expected = torch.zeros(5, 5, 5, 5, dtype=torch.bool)
    for line in TABLE.split("\n")[1:-1]:
        anchor, *negatives = line.split()
        for n in negatives[:per_anchor]:
            expected[int(anchor[0]), int(anchor[1]), int(n[0]), int(n[1])] = True
    assert torch.equal(neighbour_mask(per_anchor), expected.reshape(25, 25))
    assert neighbour_mask(per_anchor).sum() == 13 * per_anchor


def test_nine_anchors_are_the_even_grid() -> None:
    anchors = neighbour_mask(5, 9).any(dim=1).reshape(5, 5)
    assert anchors[::2, ::2].all()
    assert anchors.sum() == 9


@pytest.mark.parametrize(("per_anchor", "negatives"), [(5, 10), (4, 8)])
def test_local_loss_of_known_embeddings(per_anchor: int, negatives: int) -> None:
    positives = ~torch.eye(2, dtype=torch.bool)
    same = torch.ones(2, 25, 1)
    found = local_loss(same, positives, Repulsion.of(neighbour_mask(per_anchor)), temperature=TAU)
    assert found.item() == pytest.approx(math.log(1 + negatives), rel=1e-5)
    apart = torch.eye(25).expand(2, 25, 25)  # every region its own direction, equal in both maps
    found = local_loss(apart, positives, Repulsion.of(neighbour_mask(per_anchor)), temperature=TAU)
    assert found.item() == pytest.approx(math.log1p(negatives * math.exp(-10)), rel=1e-3)


def test_global_loss_of_known_embeddings() -> None:
    partition = torch.arange(4).repeat(9)
    positives = (torch.arange(36) % 12)[:, None] == (torch.arange(36) % 12)[None]
    positives &= ~torch.eye(36, dtype=torch.bool)
    negatives = partition[:, None] != partition[None]
    found = info_nce(torch.ones(36, 36), positives, negatives, temperature=TAU)
    assert found.item() == pytest.approx(math.log(28), rel=1e-5)
    apart = cosine_similarity(torch.eye(4)[partition])
    found = info_nce(apart, positives, negatives, temperature=TAU)
    assert found.item() == pytest.approx(math.log1p(27 * math.exp(-10)), rel=1e-3)
