"""UA-MT: entropy, threshold and masked consistency against loops; what it shows; and that its diagnostic sees a blind teacher."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.consistency.mean_teacher import consistency
from glocalseg.methods.finetuning.regimes.consistency.uamt import entropy, limit, masked_consistency, mean_probabilities
from glocalseg.training.task import Task
from methods.made_up import SIDE, falls, finetuning_task, labelled_slices

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_threshold_is_as_published() -> None:
    for step in (0, 3000, 15_000, 30_000):
        assert limit(step / 30_000) == pytest.approx(0.75 + 0.25 * math.exp(-5 * (1 - step / 30_000) ** 2))
    assert limit(1.0) == 1


def test_entropy_is_the_loop() -> None:
    p = random(2, 3, 4, 5).softmax(dim=1)
    found = entropy(p)
    for n in range(2):
        for y in range(4):
            for x in range(5):
                wanted = -sum(float(q) * math.log(float(q)) for q in p[n, :, y, x])
                assert found[n, 0, y, x].item() == pytest.approx(wanted, abs=1e-4)
    assert entropy(torch.full((1, 4, 1, 1), 0.25)).item() == pytest.approx(math.log(4), abs=1e-4)


def test_passes_in_pairs_have_their_mean() -> None:
    passes = [random(3, 2, 4, 4, seed=s) for s in range(4)]
    found = mean_probabilities([torch.cat(passes[:2]), torch.cat(passes[2:])])
    torch.testing.assert_close(found, sum(p.softmax(dim=1) for p in passes) / 4)  # type: ignore[arg-type]


def test_masked_consistency_is_the_loop_and_mean_teachers_where_all_counts() -> None:
    logits, taught = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1)
    mask = random(2, 1, 4, 5, seed=2) > 0
    p, q = logits.softmax(dim=1), taught.softmax(dim=1)
    terms = [
        (p[n, c, y, x] - q[n, c, y, x]) ** 2
        for n in range(2)
        for y in range(4)
        for x in range(5)
        if mask[n, 0, y, x]
        for c in range(3)
    ]
    torch.testing.assert_close(masked_consistency(logits, taught, mask), torch.stack(terms).mean())
    torch.testing.assert_close(masked_consistency(logits, taught, mask | True), consistency(logits, taught))
    assert masked_consistency(logits, taught, mask & False) == 0


class Watched:
    """What network and teacher are shown and answer in a step, look by look."""

    def __init__(self, task: Task) -> None:
        self.shown: dict[str, list[Tensor]] = {"network": [], "teacher": []}
        self.said: dict[str, list[Tensor]] = {"network": [], "teacher": []}
        for name in self.shown:
            task.modules[name].register_forward_hook(lambda *found, name=name: self._note(name, *found[1:]))

    def _note(self, name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.shown[name].append(inputs[0])
        self.said[name].append(output)


def step_of(regime: str, step: int, **changes: Any) -> tuple[Task, Watched, Tensor]:
    _, task = finetuning_task(regime, steps=30, **changes)
    watched = Watched(task)
    return task, watched, task.losses(step)["all"]


def test_network_and_target_see_what_those_of_mean_teacher_see_and_the_passes_have_noise_of_their_own() -> None:
    _, usual, _ = step_of("mean_teacher", 7)
    _, watched, _ = step_of("uamt", 7)
    assert torch.equal(watched.shown["network"][0], usual.shown["network"][0])
    assert torch.equal(watched.shown["teacher"][0], usual.shown["teacher"][0])
    looks = watched.shown["teacher"][1:]
    assert [look.shape for look in looks] == [(12, 1, SIDE, SIDE)] * 4
    others = watched.shown["network"][0][6:]
    noises = [part - others for look in looks for part in look.split(6)]
    assert all(noise.abs().max() <= 0.2 + 1e-6 and noise.std() > 0.08 for noise in noises)
    flat = torch.stack([noise.flatten() for noise in noises])
    assert (torch.corrcoef(flat) - torch.eye(8)).abs().max() < 0.1


@pytest.mark.parametrize("threshold", ["paper", "release"])
def test_the_loss_is_the_labelled_one_and_the_masked_consistency(threshold: str) -> None:
    task, watched, loss = step_of("uamt", 20, augment=QUIET, options={"threshold": threshold, "weight": 3.0})
    logits, taught = watched.said["network"][0], watched.said["teacher"][0]
    shown, slices = watched.shown["network"][0][:6].flatten(1), labelled_slices()
    labels = slices.labels[torch.cdist(shown, slices.images.flatten(1)).argmin(dim=1)]
    mean = torch.stack([half for look in watched.said["teacher"][1:] for half in look.softmax(dim=1).split(6)]).mean(dim=0)
    uncertain = -(mean * mean.log()).sum(dim=1, keepdim=True)
    ramp = math.exp(-5 * (1 / 3) ** 2)
    mask = uncertain < (0.75 + 0.25 * ramp) * math.log(3 if threshold == "paper" else 2)
    assert 0 < mask.float().mean() < 1
    expected = segmentation_loss(logits[:6], labels, "dice") + 3 * ramp * masked_consistency(logits[6:], taught, mask)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert task.diagnostics()["mask_rate"].item() == pytest.approx(mask.float().mean().item(), abs=1e-3)
    loss.backward()
    assert all(p.grad is None for p in task.modules["teacher"].parameters())


def test_the_releases_threshold_is_stricter_with_three_classes() -> None:
    rates = []
    for threshold in ("paper", "release"):
        task, _, _ = step_of("uamt", 20, options={"threshold": threshold})
        rates.append(task.diagnostics()["mask_rate"].item())
    assert rates[0] > rates[1] + 0.1


def test_a_blind_or_an_unsure_teacher_is_seen() -> None:
    _, task = finetuning_task("uamt", steps=30)

    def says(logits: list[float]) -> Tensor:
        hook = task.modules["teacher"].register_forward_hook(
            lambda _, inputs, output: torch.tensor(logits).view(1, -1, 1, 1).expand_as(output)
        )
        task.losses(3)
        hook.remove()
        return torch.stack([task.diagnostics()[name] for name in ("mask_rate", "mask_rate_foreground", "foreground")])

    torch.testing.assert_close(says([9.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))  # sure that all is background
    torch.testing.assert_close(says([0.0, 9.0, 0.0]), torch.tensor([1.0, 1.0, 1.0]))
    torch.testing.assert_close(says([0.0, 0.1, 0.0]), torch.tensor([0.0, 0.0, 1.0]))  # a structure, but it may be anything


@pytest.mark.parametrize("tested", ["teacher", "network"])
def test_what_is_tested_is_chosen_and_the_teachers_averages_move_with_every_look(tested: str) -> None:
    _, task = finetuning_task("uamt", options={"tested": tested, "passes": 4})
    assert task.result is task.modules[tested]
    task.losses(0)
    assert {int(t) for n, t in task.modules["teacher"].named_buffers() if n.endswith("num_batches_tracked")} == {3}


def test_it_learns(tmp_path: Path) -> None:
    _, task = finetuning_task("uamt", steps=30, options={"momentum": 0.8, "passes": 2}, loss="dice_ce")
    assert falls(task, tmp_path, 30, rate=1e-2) < 0.6
    assert task.diagnostics()["mask_rate_foreground"] > 0.5
