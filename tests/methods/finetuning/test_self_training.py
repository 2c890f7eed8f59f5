"""Self-training: parts of its steps, the loss of a round, restarts, an interruption, that it learns, and how it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.task import Task
from methods.finetuning.waiting import Waited, no_values
from methods.made_up import CLASSES, CPU, DEPTH, SIDE, finetuning_task, labelled_slices, trained, volumes

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}
STEPS = 8  # rounds begin at 2, 4 and 6


def made(**changes: Any) -> tuple[SegmentationNet, Task]:
    return finetuning_task("self_training", steps=STEPS, **changes)


def watched(net: SegmentationNet) -> dict[str, Tensor]:
    """What the network is shown and answers."""
    seen: dict[str, Tensor] = {}
    net.register_forward_hook(lambda _, inputs, output: seen.update(shown=inputs[0], said=output))
    return seen


def nearest(shown: Tensor, images: Tensor) -> Tensor:
    return torch.cdist(shown.flatten(1), images.flatten(1)).argmin(dim=1)


def test_before_the_first_round_it_is_supervised_to_the_bit(tmp_path: Path) -> None:
    _, task = made()
    _, plain = finetuning_task("supervised", steps=STEPS)
    for each, folder in ((task, "self"), (plain, "plain")):
        trained(each, tmp_path / folder, 2)
    found, wanted = (t.modules["network"].state_dict() for t in (task, plain))
    assert all(torch.equal(t, found[n]) for n, t in wanted.items())
    assert {n: v.item() for n, v in task.diagnostics().items()} == {"foreground": 0, "empty": 1}
    task.losses(2)
    assert task.diagnostics()["foreground"] > 0


@pytest.mark.parametrize("kind", ["dice", "dice_ce"])
def test_the_loss_of_a_round_is_that_of_both_kinds_of_slices(kind: str) -> None:
    net, task = made(augment=QUIET, loss=kind, options={"weight": 0.3})
    seen, slices = watched(net), labelled_slices(unlabelled=True)
    task.losses(2)  # finds labels
    loss = task.losses(3)["all"]
    shown, logits = seen["shown"], seen["said"]
    assert shown.shape == (12, 1, SIDE, SIDE)
    labels = slices.labels[nearest(shown[:6], slices.images)]
    taught = task.modules["pseudo_labels"].labels[nearest(shown[6:], slices.unlabelled)].long()
    one_hot = torch.nn.functional.one_hot(taught, CLASSES).permute(0, 3, 1, 2).float()
    expected = segmentation_loss(logits[:6], labels, kind) + 0.3 * segmentation_loss(logits[6:], one_hot, kind)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)


def test_labels_are_found_at_the_first_step_of_a_round_alone(tmp_path: Path) -> None:
    _, task = made()
    labels: dict[int, Tensor] = {}
    kept = task.modules["pseudo_labels"].labels
    old = task.losses

    def losses(step: int) -> dict[str, Tensor]:
        found = old(step)
        labels[step] = kept.clone()
        return found

    trained(Task(task.modules, losses, task.forward, 12, task.result), tmp_path, STEPS, rate=1e-2)
    assert not labels[1].any()
    changed = [step for step in range(1, STEPS) if not torch.equal(labels[step], labels[step - 1])]
    assert changed == [2, 4, 6]


def test_a_restart_begins_at_the_first_weights(tmp_path: Path) -> None:
    net, task = made(options={"restart": True})
    begin = {n: t.clone() for n, t in net.state_dict().items()}
    trained(task, tmp_path, 4, rate=1e-2)
    assert not torch.equal(net.head[-1].weight, begin["head.2.weight"])
    task.losses(5)
    assert not torch.equal(net.head[-1].weight, begin["head.2.weight"])
    task.losses(4)
    assert all(torch.equal(t, begin[n]) for n, t in net.named_parameters())
    assert all(p.grad is None for p in task.modules["start"].parameters())
    _, usual = made()
    assert "start" not in usual.modules


def test_an_interruption_inside_a_round_changes_nothing(tmp_path: Path) -> None:
    def trained_until(folder: str, fail_at: int | None) -> Task:
        task = made(options={"restart": True, "refine": "crf"})[1]
        return trained(task, tmp_path / folder, STEPS, fail_at=fail_at, checkpoint_every=1)

    whole = trained_until("whole", None)
    for at in (3, 6):  # inside the first round, and where the last begins
        with pytest.raises(RuntimeError, match="the power went"):
            trained_until("broken", at)
    resumed = trained_until("broken", None)
    found = resumed.modules.state_dict()
    assert [n for n, t in whole.modules.state_dict().items() if not torch.equal(t, found[n])] == []
    assert whole.modules["pseudo_labels"].labels.any()


@pytest.mark.parametrize("options", [{}, {"restart": True, "refine": "crf", "empty": True}])
def test_the_beginning_of_a_round_waits_for_nothing(options: dict[str, Any]) -> None:
    _, task = made(options=options)
    with no_values():
        for step in (2, 3):
            task.losses(step)["all"].backward()
    with pytest.raises(Waited), no_values():
        task.modules["pseudo_labels"].labels.float().mean().item()


def agreement(labels: Tensor) -> float:
    """Mean Dice of the structures between pseudo-labels (24, H, W) and the labels that nobody saw."""
    found = torch.nn.functional.one_hot(labels.long(), CLASSES).permute(0, 3, 1, 2)
    truth = volumes()[1][2 * DEPTH :]
    overlap, both = (found * truth).sum(dim=(0, 2, 3)), found.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    return float((2 * overlap / both)[1:].mean())


def test_it_learns_and_goes_on_to(tmp_path: Path) -> None:
    """Its labels of a round are good, and so is the network in the end; what shows a failure shows none."""
    net, task = finetuning_task("self_training", steps=60, loss="dice_ce", options={"rounds": 1})
    trained(task, tmp_path, 60, rate=5e-3, checkpoint_every=60)
    found = task.modules["pseudo_labels"]
    assert agreement(found.labels) > 0.75
    signs = {n: v.item() for n, v in task.diagnostics().items()}
    assert 0.05 < signs["foreground"] < 0.3
    assert signs["empty"] < 0.2
    found.renew(net, labelled_slices(unlabelled=True).unlabelled, CPU, at_once=24, crf=None)
    assert agreement(found.labels) > 0.75


def test_where_the_start_failed_nothing_is_learnt_from_it_and_it_is_seen() -> None:
    gradients = []
    for name, options in (("self_training", {}), ("self_training", {"empty": True}), ("supervised", {})):
        net, task = finetuning_task(name, steps=STEPS, options=options)
        with torch.no_grad():  # all classes are alike, so what it sees is background
            net.head[-1].weight.zero_()
            for block in net.modules():  # and other slices of a batch do not matter
                if isinstance(block, torch.nn.BatchNorm2d):
                    block.eval()
        task.losses(2)["all"].backward()
        gradients.append(net.head[-1].weight.grad)
        if name == "self_training":
            assert {n: v.item() for n, v in task.diagnostics().items()} == {"foreground": 0, "empty": 1}
    torch.testing.assert_close(gradients[0], gradients[2], rtol=1e-3, atol=1e-6)
    assert (gradients[1] - gradients[2]).norm() > 0.1 * gradients[2].norm()
