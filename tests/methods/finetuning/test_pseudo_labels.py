"""Pseudo-labels: when they are renewed, what they are, which slices are drawn, and that labels move with their slices."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import unlabelled_batch
from glocalseg.methods.finetuning.crf import Crf, refined
from glocalseg.methods.finetuning.pseudo_labels import PseudoLabels, drawn_among, round_starts
from glocalseg.training.augment.views import apply_training
from methods.made_up import CPU, DEPTH, SIDE, labelled_slices, network, volumes

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels_of_others() -> Tensor:
    """The true classes of the unlabelled slices, (24, 32, 32)."""
    return volumes()[1][2 * DEPTH :].argmax(dim=1)


def true_labels() -> PseudoLabels:
    """Pseudo-labels that are right, with every third slice empty."""
    found = PseudoLabels(24, (SIDE, SIDE))
    found.labels.copy_(labels_of_others())
    found.labels[::3] = 0
    found.usable.copy_((found.labels > 0).flatten(1).any(dim=1))
    return found


@pytest.mark.parametrize(
    ("steps", "rounds", "starts"),
    [(400, 3, (100, 200, 300)), (10_001, 3, (2500, 5000, 7501)), (6, 3, (2, 3, 4)), (1, 3, (1, 1, 1)), (90, 1, (45,))],
)
def test_the_steps_are_split_evenly_and_the_first_is_in_no_round(steps: int, rounds: int, starts: tuple[int, ...]) -> None:
    assert round_starts(steps, rounds) == starts


def test_they_are_what_the_network_says_in_inference_mode() -> None:
    net, slices = network().train(), labelled_slices(unlabelled=True)
    with torch.no_grad():
        net(slices.images)  # running averages that are not those of the start
    before = {n: t.clone() for n, t in net.state_dict().items()}
    found = PseudoLabels(24, (SIDE, SIDE))
    found.renew(net, slices.unlabelled, CPU, at_once=7, crf=None)
    with torch.no_grad():
        said = copy.deepcopy(net).eval()(slices.unlabelled).argmax(dim=1)
    assert (found.labels == said).float().mean() > 0.9999  # the numbers of a convolution depend on how many are at once
    assert torch.equal(found.usable, (found.labels > 0).flatten(1).any(dim=1))
    assert net.training
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_they_are_refined_where_that_is_wanted() -> None:
    net, slices = network(), labelled_slices(unlabelled=True)
    plain, smooth = PseudoLabels(24, (SIDE, SIDE)), PseudoLabels(24, (SIDE, SIDE))
    plain.renew(net, slices.unlabelled, CPU, at_once=24, crf=None)
    smooth.renew(net, slices.unlabelled, CPU, at_once=24, crf=Crf(rounds=3))
    with torch.no_grad():
        said = copy.deepcopy(net).eval()(slices.unlabelled)
    assert torch.equal(smooth.labels, refined(said, slices.unlabelled, Crf(rounds=3)).argmax(dim=1))
    assert not torch.equal(smooth.labels, plain.labels)


def test_chosen_places_are_drawn_alike_and_others_never() -> None:
    chosen = torch.zeros(50, dtype=torch.bool)
    chosen[[3, 4, 20, 49]] = True
    index = drawn_among(chosen, 20_000, generator())
    counts = torch.bincount(index, minlength=50)
    assert not counts[~chosen].any()
    assert counts[chosen].float() / 20_000 == pytest.approx(torch.full((4,), 0.25), abs=0.015)
    assert drawn_among(~chosen & chosen, 5, generator()).tolist() == [49] * 5


def test_empty_slices_are_drawn_only_where_that_is_wanted() -> None:
    slices, found = labelled_slices(unlabelled=True), true_labels()
    config = FinetuneConfig(steps=6, batch=60, augment=QUIET)
    whose = []
    for empty in (False, True):
        images, _ = found.batch(slices, config, generator(), apply_training, empty=empty)
        whose.append(set(torch.cdist(images.flatten(1), slices.unlabelled.flatten(1)).argmin(dim=1).tolist()))
    assert whose[0] == {n for n in range(24) if n % 3}
    assert {n for n in whose[1] if n % 3 == 0}


def test_with_empty_ones_the_slices_are_those_of_other_regimes() -> None:
    slices, config = labelled_slices(unlabelled=True), FinetuneConfig(steps=6, batch=6)
    images, _ = true_labels().batch(slices, config, generator(5), apply_training, empty=True)
    assert torch.equal(images, unlabelled_batch(slices, config, generator(5)))


def test_labels_move_with_their_slices() -> None:
    """In the made-up slices a structure is brighter than what is around it by 0.3 for each class, whatever the view."""
    slices, config = labelled_slices(unlabelled=True), FinetuneConfig(steps=6, batch=30)
    images, labels = true_labels().batch(slices, config, generator(1), apply_training, empty=False)
    core = labels[:, 2:] > 0.9
    assert labels.shape == (30, 3, SIDE, SIDE)
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(30, SIDE, SIDE))
    assert images[core].mean() > images[(labels[:, :1] > 0.9) & (images > 0)].mean() + 0.4


def test_shares_are_counted() -> None:
    found = true_labels()
    assert found.empty() == pytest.approx(1 / 3)
    assert found.foreground() == pytest.approx((found.labels > 0).float().mean().item())
    assert PseudoLabels(4, (2, 2)).foreground() == 0
    assert PseudoLabels(4, (2, 2)).empty() == 1
