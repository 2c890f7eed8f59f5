"""Mean teacher: ramp, noise, consistency and moving average against loops; what both see; and that the teacher learns."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.consistency.mean_teacher import clipped_noise, consistency, ramp
from glocalseg.training.task import Task
from methods.made_up import CLASSES, DEPTH, SIDE, falls, finetuning_task, labelled_slices, trained, volumes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_weight_rises_as_published() -> None:
    """The published code on its own 30,000 steps: nothing in the first 1,000, then 200 stairs of 150 steps to 0.1."""
    for step in (0, 999, 1000, 6000, 15_000, 29_999):
        stairs = 0.0 if step < 1000 else 0.1 * math.exp(-5 * (1 - min(step // 150, 200) / 200) ** 2)
        found = ramp(step / 30_000, weight=0.1, silent=1 / 30)
        assert found == pytest.approx(stairs, rel=0.06)
        assert (found == 0) == (stairs == 0)
    assert ramp(1.0, weight=0.1, silent=1 / 30) == 0.1
    assert ramp(0.0, weight=2.0, silent=0.0) == pytest.approx(2 * math.exp(-5))


def test_noise_is_normal_and_clipped() -> None:
    found = clipped_noise(torch.zeros(100, 1, 30, 30), 0.1, generator())
    assert found.abs().max() == pytest.approx(0.2)
    assert found.mean().abs() < 1e-3
    assert (found.abs() < 0.1).float().mean().item() == pytest.approx(0.6827, abs=0.005)
    assert (found.abs() == found.abs().max()).float().mean().item() == pytest.approx(0.0455, abs=0.005)


def test_consistency_is_the_loop() -> None:
    student, teacher = (torch.randn(2, 3, 4, 5, generator=generator(s)) for s in (0, 1))
    terms = []
    for n in range(2):
        for y in range(4):
            for x in range(5):
                p, q = (torch.exp(z[n, :, y, x]) / torch.exp(z[n, :, y, x]).sum() for z in (student, teacher))
                terms += [(p[c] - q[c]) ** 2 for c in range(3)]
    torch.testing.assert_close(consistency(student, teacher), torch.stack(terms).mean())


class Watched:
    """What network and teacher are shown and answer in a step."""

    def __init__(self, task: Task) -> None:
        self.shown: dict[str, Tensor] = {}
        self.said: dict[str, Tensor] = {}
        for name in ("network", "teacher"):
            task.modules[name].register_forward_hook(lambda *found, name=name: self._note(name, *found[1:]))

    def _note(self, name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.shown[name], self.said[name] = inputs[0], output


def step_of(step: int, **changes: Any) -> tuple[Task, Watched, Tensor]:
    _, task = finetuning_task("mean_teacher", steps=30, **changes)
    watched = Watched(task)
    return task, watched, task.losses(step)["all"]


def test_labelled_slices_are_those_of_supervised_and_as_many_others_join_them() -> None:
    _, watched, _ = step_of(7)
    net, plain = finetuning_task("supervised", steps=30)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    plain.losses(7)
    assert torch.equal(watched.shown["network"][:6], seen[0])
    assert watched.shown["network"].shape == (12, 1, SIDE, SIDE)
    assert watched.shown["teacher"].shape == (6, 1, SIDE, SIDE)


QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}


def test_unlabelled_slices_are_the_pools_and_noise_goes_to_the_teacher_alone() -> None:
    _, watched, _ = step_of(7, augment=QUIET)
    others = watched.shown["network"][6:].flatten(1)
    pool, labelled = volumes()[0][2 * DEPTH :].flatten(1), volumes()[0][: 2 * DEPTH].flatten(1)
    assert torch.cdist(others, pool).min(dim=1).values.max() < 1e-2
    assert torch.cdist(others, labelled).min() > 0.1
    noise = watched.shown["teacher"] - watched.shown["network"][6:]
    assert noise.abs().max() == pytest.approx(0.2, abs=1e-6)
    assert noise.std().item() == pytest.approx(0.096, abs=0.005)  # of a normal variable clipped at two deviations, 0.0962


def test_the_loss_is_the_labelled_one_and_the_weighted_consistency() -> None:
    for step in (0, 20):
        task, watched, loss = step_of(step, augment=QUIET)
        logits, taught = watched.said["network"], watched.said["teacher"]
        shown, slices = watched.shown["network"][:6].flatten(1), labelled_slices()
        labels = slices.labels[torch.cdist(shown, slices.images.flatten(1)).argmin(dim=1)]
        expected = segmentation_loss(logits[:6], labels, "dice")
        if step == 20:
            expected = expected + 0.1 * math.exp(-5 * (1 / 3) ** 2) * consistency(logits[6:], taught)
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
        loss.backward()
        assert all(p.grad is None for p in task.modules["teacher"].parameters())


@pytest.mark.parametrize("buffers", ["own", "copied"])
def test_the_teacher_follows_as_the_loop_does(tmp_path: Path, buffers: str) -> None:
    _, task = finetuning_task("mean_teacher", steps=5, options={"buffers": buffers, "momentum": 0.6})
    network, teacher = task.modules["network"], task.modules["teacher"]
    expected = {n: p.detach().clone() for n, p in teacher.named_parameters()}

    def follow_slowly(step: int) -> None:
        m = (0, 1 / 2, 0.6, 0.6, 0.6)[step]  # min(1 - 1 / (t + 1), 0.6)
        for name, p in network.named_parameters():
            expected[name] = m * expected[name] + (1 - m) * p.detach()
        task.after_step(step)
        if step == 0:
            assert all(torch.equal(p, q) for p, q in zip(network.parameters(), teacher.parameters(), strict=True))

    slow = Task(task.modules, task.losses, task.forward, 18, task.result, after_step=follow_slowly)
    trained(slow, tmp_path, 5, rate=1e-2)
    for name, p in teacher.named_parameters():
        torch.testing.assert_close(p, expected[name])
    averages = {n: t for n, t in teacher.named_buffers() if "running" in n}
    others = dict(network.named_buffers())
    equal = [n for n, t in averages.items() if torch.equal(t, others[n])]
    assert equal == (list(averages) if buffers == "copied" else [])
    assert {int(t) for n, t in teacher.named_buffers() if n.endswith("num_batches_tracked")} == {5}


def dice(net: torch.nn.Module) -> float:
    """Mean Dice of the structures over volumes whose labels nobody saw, in inference mode."""
    images, labels = (t[2 * DEPTH :] for t in volumes())
    with torch.no_grad():
        found = torch.nn.functional.one_hot(net.eval()(images).argmax(dim=1), CLASSES).permute(0, 3, 1, 2)
    overlap = (found * labels).sum(dim=(0, 2, 3))
    return float((2 * overlap / (found.sum(dim=(0, 2, 3)) + labels.sum(dim=(0, 2, 3))))[1:].mean())


@pytest.mark.parametrize("buffers", ["own", "copied"])
def test_the_teacher_learns_and_its_averages_are_those_of_its_weights(tmp_path: Path, buffers: str) -> None:
    """The loss falls to about a third. In inference mode it says of slices what it says of them by their own statistics."""
    options = {"buffers": buffers, "momentum": 0.8}  # of a training of 60 steps; 0.99 is for thousands
    net, task = finetuning_task("mean_teacher", steps=60, options=options, loss="dice_ce")
    assert task.result is task.modules["teacher"]
    assert task.result is not net
    assert falls(task, tmp_path, 60, rate=1e-2) < 0.35
    images = volumes()[0]
    with torch.no_grad():
        by_batch = copy.deepcopy(task.result).train()(images).argmax(dim=1)
        by_average = task.result.eval()(images).argmax(dim=1)
    assert (by_batch == by_average).float().mean() > 0.95
    assert dice(task.result) > 0.85
