"""FixMatch: its loss against a loop, what weak and strong view show, both rules of being sure, and what its diagnostic sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.pseudo_labelled.fixmatch import sure_loss
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.device import Device
from glocalseg.training.task import Task
from methods import made_up
from methods.made_up import CLASSES, SIDE, falls, finetuning_task, labelled_slices, trained

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}
PLAIN = {"jitter": 0.0, "blur": 0.0, "cutmix": 0.0}


def test_the_loss_is_the_loop_over_sure_pixels_and_the_mean_over_all() -> None:
    g = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5, generator=g), torch.randint(3, (2, 1, 4, 5), generator=g)
    counted = torch.rand(2, 1, 4, 5, generator=g) < 0.4
    total = torch.zeros(())
    for n in range(2):
        for y in range(4):
            for x in range(5):
                if counted[n, 0, y, x]:
                    z = logits[n, :, y, x]
                    total = total + torch.log(torch.exp(z).sum()) - z[labels[n, 0, y, x]]
    torch.testing.assert_close(sure_loss(logits, labels, counted, 3), total / 40)


def watched(
    step: int = 7, *, net: SegmentationNet | None = None, **changes: Any
) -> tuple[Task, Tensor, list[Tensor], list[Tensor]]:
    """A step's task and loss, and what the network is shown and answers: first the weak views, then all others."""
    net, task = finetuning_task("fixmatch", steps=30, net=net, **changes)
    shown: list[Tensor] = []
    said: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shown.append(inputs[0])
        said.append(output)

    net.register_forward_hook(note)
    return task, task.losses(step)["all"], shown, said


def test_labelled_slices_are_those_of_supervised_and_as_many_others_join_them() -> None:
    _, _, shown, said = watched()
    net, plain = finetuning_task("supervised", steps=30)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    plain.losses(7)
    assert [s.shape for s in shown] == [(6, 1, SIDE, SIDE), (12, 1, SIDE, SIDE)]
    assert torch.equal(shown[1][:6], seen[0])
    assert not said[0].requires_grad


def test_in_lower_precision_no_pass_takes_weights_that_another_has_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cast without gradient is kept as long as its context lasts (torch up to 2.10); weights would get none."""
    contexts: list[Device] = []
    autocast = Device.autocast
    monkeypatch.setattr(Device, "autocast", lambda device: (contexts.append(device), autocast(device))[1])
    monkeypatch.setattr(made_up, "CPU", Device(torch.device("cpu"), "bfloat16", 1))
    net, task = finetuning_task("fixmatch", steps=30)
    inside: list[int] = []
    net.register_forward_pre_hook(lambda *_: inside.append(len(contexts)))
    task.losses(7)["all"].backward()
    assert inside == [1, 2]
    assert all(p.grad is not None and p.grad.any() for p in net.decoder.parameters() if p.ndim > 1)


def test_a_strong_view_has_the_geometry_of_the_weak_one() -> None:
    _, _, (weak, shown), _ = watched(options=PLAIN)
    torch.testing.assert_close(shown[6:], weak)
    _, _, (weak, shown), _ = watched(options={**PLAIN, "jitter": 0.5})
    pairs = [torch.stack([a.flatten(), b.flatten()]) for a, b in zip(shown[6:], weak, strict=True)]
    assert all(torch.corrcoef(pair)[0, 1] > 0.8 for pair in pairs)  # clipped at both ends
    assert (shown[6:] - weak).abs().max() > 0.05


def box_between(one: Tensor, other: Tensor) -> Tensor:
    """The smallest boxes (N, 1, H, W) outside of which images are equal."""
    differ = (one - other).abs() > 1e-6
    return differ.any(dim=3, keepdim=True) & differ.any(dim=2, keepdim=True)


def test_a_box_shows_the_previous_slice_and_has_its_labels() -> None:
    _, loss, (weak, shown), said = watched(options={**PLAIN, "cutmix": 1.0, "tau": 0.0})
    strong, before = shown[6:], weak.roll(1, dims=0)
    inside = (strong - weak).abs() > 1e-6
    torch.testing.assert_close(strong, torch.where(inside, before, weak))
    assert 0.02 < inside.float().mean() < 0.4
    found = said[0].argmax(dim=1, keepdim=True)
    assert inside.flatten(1).any(dim=1).all()
    labels = torch.where(box_between(weak, strong), found.roll(1, dims=0), found)
    wanted = sure_loss(said[1][6:], labels, torch.ones_like(labels, dtype=torch.bool), CLASSES)
    other = sure_loss(said[1][6:], found, torch.ones_like(labels, dtype=torch.bool), CLASSES)
    assert (wanted - other).abs() > 1e-4
    without = watched(options={**PLAIN, "cutmix": 1.0, "tau": 0.0, "weight": 0.0})[1]
    torch.testing.assert_close(loss - without, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("options", "limit"), [({}, 0.95), ({"tau": 0.6}, 0.6)])
def test_the_loss_is_the_labelled_one_and_that_of_what_it_is_sure_of(
    tmp_path: Path, options: dict[str, Any], limit: float
) -> None:
    net, first = finetuning_task("supervised", steps=30, loss="dice_ce")
    trained(first, tmp_path, 15, rate=1e-2)  # sure of something
    options = {**PLAIN, **options, "weight": 2.0, "cutmix": 1.0}
    task, loss, (plain, shown), (weak, said) = watched(net=net, augment=QUIET, options=options)
    slices = labelled_slices()
    labels = slices.labels[torch.cdist(shown[:6].flatten(1), slices.images.flatten(1)).argmin(dim=1)]
    most, found = weak.softmax(dim=1).max(dim=1, keepdim=True)
    assert 0 < (most >= limit).float().mean() < 1
    box = box_between(plain, shown[6:])
    there = [torch.where(box, t.roll(1, dims=0), t) for t in (found, most >= limit)]
    expected = segmentation_loss(said[:6], labels, "dice") + 2 * sure_loss(said[6:], there[0], there[1], CLASSES)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert task.diagnostics()["mask_rate"].item() == pytest.approx((most >= limit).float().mean().item(), abs=1e-3)


def says(logits: list[float], **options: Any) -> dict[str, float]:
    """The diagnostics of a network that says the same of the upper and of the lower half of every slice: two triples."""
    net, task = finetuning_task("fixmatch", steps=30, options=options)
    upper, lower = torch.tensor(logits).view(2, 1, CLASSES, 1, 1)
    half = (torch.arange(SIDE) < SIDE // 2).view(1, 1, -1, 1)
    net.register_forward_hook(lambda _, inputs, output: torch.where(half, upper, lower) + 0 * output)
    task.losses(0)
    return {name: round(value.item(), 3) for name, value in task.diagnostics().items()}


def test_a_network_that_is_sure_of_background_alone_is_seen() -> None:
    assert says([9, 0, 0, 9, 0, 0]) == {"mask_rate": 1, "mask_rate_foreground": 0, "foreground": 0}
    assert says([9, 0, 0, 0, 1, 0]) == {"mask_rate": 0.5, "mask_rate_foreground": 0, "foreground": 0.5}
    assert says([9, 0, 0, 0, 9, 0]) == {"mask_rate": 1, "mask_rate_foreground": 1, "foreground": 0.5}


def test_the_releases_rule_lets_pass_what_the_papers_does_not() -> None:
    hardly = [2.0, 1.9, 0, 2.0, 1.9, 0]  # 0.49, 0.45 and 0.07
    assert says(hardly)["mask_rate"] == 0
    assert says(hardly, confidence="release")["mask_rate"] == 1
    assert says(hardly, confidence="release", tau=0.95)["mask_rate"] == 0


def test_it_learns(tmp_path: Path) -> None:
    _, task = finetuning_task("fixmatch", steps=36, loss="dice_ce")
    assert falls(task, tmp_path, 36, rate=1e-2) < 0.6
    assert task.diagnostics()["mask_rate_foreground"] > 0.1
