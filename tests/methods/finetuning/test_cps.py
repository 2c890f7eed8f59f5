"""CPS: where the second network begins, the loss against a loop, what each learns from the other, and a second one that fails."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.pseudo_labelled.cps import agreement, another, taught_loss
from glocalseg.training.task import Task
from methods.made_up import falls, finetuning_task, labelled_slices, network, trained

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}


def test_the_taught_loss_is_torchs() -> None:
    g = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5, generator=g), torch.randint(3, (2, 1, 4, 5), generator=g)
    torch.testing.assert_close(taught_loss(logits, labels), F.cross_entropy(logits, labels[:, 0]))


def test_agreement_is_counted() -> None:
    first = torch.tensor([0, 1, 1, 2, 0, 0]).view(1, 1, 2, 3)
    second = torch.tensor([0, 1, 2, 2, 2, 0]).view(1, 1, 2, 3)
    assert agreement(first, second).item() == pytest.approx(2 * 2 / (3 + 4))
    assert agreement(first, first) == 1
    assert agreement(first, 0 * first) == agreement(0 * first, 0 * first) == 0


def test_the_second_network_begins_where_its_option_says(tmp_path: Path) -> None:
    net, task = finetuning_task("supervised")
    trained(task, tmp_path, 3)  # as a pretraining would, norms and running averages change too
    before = {n: t.clone() for n, t in net.state_dict().items()}
    alike: dict[str, set[str]] = {}
    for kind in ("random", "same"):
        state = another(net, kind, 0).state_dict()  # type: ignore[arg-type]
        alike[kind] = {n for n, t in state.items() if torch.equal(t, before[n])}
        assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert alike["same"] == set(before) - {"head.2.weight"}
    assert alike["random"] == set()
    new = another(net, "random", 0).state_dict()
    fresh = network().state_dict()  # of a fresh network all but the convolutions' weights
    assert all(torch.equal(t, fresh[n]) for n, t in new.items() if t.ndim < 4)
    scale = {n: (t.std() / fresh[n].std()).item() for n, t in new.items() if t.ndim == 4 and t.numel() > 500}
    assert all(r == pytest.approx(1, abs=0.15) for r in scale.values())
    other = another(net, "random", 1).state_dict()
    assert not torch.equal(new["head.2.weight"], other["head.2.weight"])


class Watched:
    """What both networks are shown and answer in a step."""

    def __init__(self, task: Task) -> None:
        self.shown: dict[str, Tensor] = {}
        self.said: dict[str, Tensor] = {}
        for name in ("network", "second"):
            task.modules[name].register_forward_hook(lambda *found, name=name: self._note(name, *found[1:]))

    def _note(self, name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.shown[name], self.said[name] = inputs[0], output


def step_of(step: int, **changes: Any) -> tuple[Task, Watched, Tensor]:
    _, task = finetuning_task("cps", steps=30, **changes)
    watched = Watched(task)
    return task, watched, task.losses(step)["all"]


def test_both_see_the_slices_of_mean_teacher() -> None:
    net, usual = finetuning_task("mean_teacher", steps=30)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    usual.losses(7)
    task, watched, _ = step_of(7)
    assert torch.equal(watched.shown["network"], seen[0])
    assert torch.equal(watched.shown["second"], seen[0])
    assert task.result is task.modules["network"]


def test_the_loss_is_that_of_both_and_each_learns_from_the_other_alone() -> None:
    task, watched, loss = step_of(20, augment=QUIET, options={"weight": 3.0})
    shown, slices = watched.shown["network"][:6].flatten(1), labelled_slices()
    labels = slices.labels[torch.cdist(shown, slices.images.flatten(1)).argmin(dim=1)]
    first, second = watched.said["network"], watched.said["second"]
    weight = 3 * math.exp(-5 * (1 / 3) ** 2)
    of_first = segmentation_loss(first[:6], labels, "dice") + weight * F.cross_entropy(first[6:], second[6:].argmax(dim=1))
    of_second = segmentation_loss(second[:6], labels, "dice") + weight * F.cross_entropy(second[6:], first[6:].argmax(dim=1))
    torch.testing.assert_close(loss, of_first + of_second, rtol=1e-4, atol=1e-5)
    own = list(task.modules["network"].parameters())
    wanted = torch.autograd.grad(of_first, own, retain_graph=True)
    for found, gradient in zip(torch.autograd.grad(loss, own), wanted, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-5)


def test_the_second_network_learns_too_and_they_differ(tmp_path: Path) -> None:
    _, task = finetuning_task("cps", steps=40, loss="dice_ce")
    assert falls(task, tmp_path, 40, rate=1e-2) < 0.5
    signs = {name: value.item() for name, value in task.diagnostics().items()}
    assert 0.5 < signs["agreement"] < 1
    assert 0.05 < signs["foreground_second"] < 0.4
    first, second = (task.modules[name].state_dict()["head.2.weight"] for name in ("network", "second"))
    assert not torch.allclose(first, second, atol=0.01)


def test_a_second_network_that_fails_and_one_that_is_the_first_are_seen() -> None:
    _, task = finetuning_task("cps", steps=30)
    task.modules["second"].register_forward_hook(
        lambda _, inputs, output: output * 0
    )  # of equal classes the first, background
    task.modules["network"].register_forward_hook(
        lambda _, inputs, output: output + 99 * (torch.arange(3) == 1).view(1, 3, 1, 1)
    )
    task.losses(3)
    assert {name: value.item() for name, value in task.diagnostics().items()} == {
        "agreement": 0, "foreground": 1, "foreground_second": 0,
    }  # fmt: skip
    _, task = finetuning_task("cps", steps=30)
    task.modules["second"].load_state_dict(task.modules["network"].state_dict())
    task.losses(3)
    assert task.diagnostics()["agreement"] == 1
