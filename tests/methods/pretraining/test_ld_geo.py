"""L^D by the geometry of crops: its pairs are those of L^D, its regions those of L^R by geometry (test_lr_geo.py)."""

from __future__ import annotations

import torch

from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.decoder.ld_geo import LocalPartitionGeometry
from methods.made_up import pool


def test_it_pairs_the_maps_that_ld_pairs_and_no_others() -> None:
    found, expected = LocalPartitionGeometry(), strategies()["ld"].option_class()()
    shown = pool()
    views, like = (s.draw(shown, 24, torch.Generator().manual_seed(3)) for s in (found, expected))  # type: ignore[attr-defined]
    assert torch.equal(views.slice, like.slice)
    first, second = found.paired(torch.arange(24), shown.partitions)
    positives = torch.zeros(24, 24, dtype=torch.bool)
    positives[first, second] = True
    assert len(first) == positives.sum() == 36
    assert torch.equal(positives, expected.positives(like))  # type: ignore[attr-defined]
    assert torch.equal(found.repelled(), expected.repelled())  # type: ignore[attr-defined]


def test_values_of_more_dimensions_are_paired_alike() -> None:
    values = torch.randn(16, 3, 2)
    numbers, found = (LocalPartitionGeometry().paired(v, 4) for v in (torch.arange(16), values))
    for number, value in zip(numbers, found, strict=True):
        assert torch.equal(value, values[number])


def test_a_gradient_repeats_to_the_bit_with_several_threads() -> None:
    """Each first view is in several pairs; added up by an index, its gradient would depend on which thread is faster."""
    g = torch.Generator().manual_seed(0)
    values, weights = torch.randn(24, 16, 16, 16, generator=g).requires_grad_(), torch.randn(36, 16, 16, 16, generator=g)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gradients = []
        for _ in range(5):
            first, second = LocalPartitionGeometry().paired(values, 4)
            gradients += torch.autograd.grad((weights * first + weights.square() * second).sum(), values)
        assert all(torch.equal(g, gradients[0]) for g in gradients)
    finally:
        torch.set_num_threads(before)
