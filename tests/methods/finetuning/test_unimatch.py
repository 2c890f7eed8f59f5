"""UniMatch: the three streams and their loss by hand, dropped channels, boxes of their own, and what its diagnostic sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.pseudo_labelled.unimatch import batch_dice_loss, kept_channels
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.task import Task
from methods.made_up import CLASSES, NETWORK, SIDE, falls, finetuning_task, labelled_slices, trained

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}
PLAIN = {"jitter": 0.0, "blur": 0.0, "cutmix": 0.0}


def slow_dice(probabilities: Tensor, found: Tensor, sure: Tensor) -> Tensor:
    """Class by class, of the sure pixels in one row."""
    lost = []
    for k in range(CLASSES):
        said, wanted = probabilities[:, k][sure], (found[sure] == k).float()
        lost.append(1 - 2 * (said @ wanted) / (said @ said + wanted @ wanted))
    return torch.stack(lost).mean()


def test_dice_over_the_batch_by_hand() -> None:
    probabilities = torch.tensor([[[0.8, 0.6]], [[0.2, 0.4]]]).view(1, 2, 1, 2)
    found = torch.tensor([0, 1]).view(1, 1, 2)
    target = nn.functional.one_hot(found, 2).permute(0, 3, 1, 2).float()
    everything = torch.ones(1, 1, 1, 2)
    wanted = 1 - (2 * 0.8 / (0.64 + 0.36 + 1) + 2 * 0.4 / (0.04 + 0.16 + 1)) / 2
    assert batch_dice_loss(probabilities, target, everything).item() == pytest.approx(wanted)
    first = torch.tensor([1.0, 0]).view(1, 1, 1, 2)
    wanted = 1 - (2 * 0.8 / (0.64 + 1) + 0) / 2
    assert batch_dice_loss(probabilities, target, first).item() == pytest.approx(wanted)
    assert batch_dice_loss(probabilities, target, 0 * everything).item() == 0


def test_a_structure_that_a_slice_has_not_is_pushed_back() -> None:
    logits = torch.zeros(2, 2, 2, 2, requires_grad=True)
    found = torch.tensor([[[1, 1], [1, 1]], [[0, 0], [0, 0]]])
    target = nn.functional.one_hot(found, 2).permute(0, 3, 1, 2).float()
    batch_dice_loss(logits.softmax(dim=1), target, torch.ones(2, 1, 2, 2)).backward()
    assert logits.grad is not None
    assert (logits.grad[1, 1] > 0).all()  # a step lowers it
    assert (logits.grad[0, 1] < 0).all()


def test_channels_are_dropped_whole_and_made_up_for() -> None:
    kept = kept_channels(400, [8, 12], 0.25, torch.Generator().manual_seed(0))
    assert [k.shape for k in kept] == [(400, 8, 1, 1), (400, 12, 1, 1)]
    for k in kept:
        assert k.unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert (k == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert all((k == 1).all() for k in kept_channels(2, [3], 0.0, torch.Generator().manual_seed(0)))


class Watched:
    """What encoder, decoder and head get and give in a step: first the weak views, then the strong ones."""

    def __init__(self, net: SegmentationNet) -> None:
        self.shown: list[Tensor] = []
        self.maps: list[list[Tensor]] = []
        self.said: list[Tensor] = []
        net.encoder.register_forward_pre_hook(lambda _, inputs: self.shown.append(inputs[0]))
        net.decoder.register_forward_pre_hook(lambda _, inputs: self.maps.append(inputs[0]))
        net.head.register_forward_hook(self._note)

    def _note(self, _: nn.Module, inputs: Any, output: Tensor) -> None:
        self.said.append(output)


def step_of(step: int = 7, net: SegmentationNet | None = None, **changes: Any) -> tuple[Task, Watched, Tensor]:
    net, task = finetuning_task("unimatch", steps=30, net=net, **changes)
    watched = Watched(net)
    return task, watched, task.losses(step)["all"]


def test_the_weak_views_are_those_of_fixmatch() -> None:
    _, watched, _ = step_of()
    net, other = finetuning_task("fixmatch", steps=30)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    other.losses(7)
    assert torch.equal(watched.shown[0], torch.cat([seen[1][:6], seen[0]]))  # labelled slices and weak views
    assert [s.shape for s in watched.shown] == [(12, 1, SIDE, SIDE)] * 2
    assert [s.shape[0] for s in watched.said] == [18, 12]


def test_the_two_strong_views_differ_and_have_the_weak_ones_geometry() -> None:
    _, watched, _ = step_of(options=PLAIN)
    weak = watched.shown[0][6:]
    torch.testing.assert_close(watched.shown[1], torch.cat([weak, weak]))
    for options in ({**PLAIN, "jitter": 0.5}, {**PLAIN, "blur": 2.0}, {**PLAIN, "cutmix": 1.0}):
        _, watched, _ = step_of(options=options)
        first, second = watched.shown[1].split(6)
        assert not torch.allclose(first, second, atol=1e-2)
    inside = [(view - weak).abs() > 1e-6 for view in (first, second)]
    for view, box in zip((first, second), inside, strict=True):
        torch.testing.assert_close(view, torch.where(box, weak.roll(1, dims=0), weak))


def test_the_third_stream_is_the_weak_view_without_some_channels() -> None:
    _, watched, _ = step_of()
    maps = watched.maps[0]
    assert [m.shape[1] for m in maps] == NETWORK.channels
    dropped = []
    for m in maps:
        _, whole, fewer = m.detach().split(6)
        alive = whole.flatten(2).any(dim=2)
        gone = ~fewer.flatten(2).any(dim=2)
        torch.testing.assert_close(fewer, torch.where(gone[..., None, None], 0.0, 2 * whole))
        dropped.append((gone & alive).sum() / alive.sum())
    assert torch.stack(dropped).mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("step", [2, 20])
def test_the_loss_is_the_labelled_one_and_the_three_streams(tmp_path: Path, step: int) -> None:
    net, first = finetuning_task("supervised", steps=30, loss="dice_ce")
    trained(first, tmp_path, 15, rate=1e-2)  # sure of something
    options = {"cutmix": 1.0, "jitter": 0.0, "blur": 0.0, "strong": 0.8, "features": 0.3, "tau": 0.8, "silent": 0.1}
    task, watched, loss = step_of(step, net, augment=QUIET, options=options)
    labelled, weak, fewer = watched.said[0].split(6)
    shown, slices = watched.shown[0][:6], labelled_slices()
    labels = slices.labels[torch.cdist(shown.flatten(1), slices.images.flatten(1)).argmin(dim=1)]
    expected = segmentation_loss(labelled, labels, "dice")
    most, found = weak.softmax(dim=1).max(dim=1)
    assert 0.1 < (most >= 0.8).float().mean() < 1
    assert task.diagnostics()["mask_rate"].item() == pytest.approx((most >= 0.8).float().mean().item(), abs=1e-3)

    def taught(logits: Tensor, found: Tensor, sure: Tensor) -> Tensor:
        return slow_dice(logits.softmax(dim=1), found, sure)

    streams = []
    for view, logits in zip(watched.shown[1].split(6), watched.said[1].split(6), strict=True):
        differs = (view - watched.shown[0][6:]).abs()[:, 0] > 1e-6
        box = differs.any(dim=2, keepdim=True) & differs.any(dim=1, keepdim=True)
        streams.append(taught(logits, *(torch.where(box, t.roll(1, dims=0), t) for t in (found, most >= 0.8))))
    if step == 20:
        expected = expected + 0.4 * (streams[0] + streams[1]) + 0.3 * taught(fewer, found, most >= 0.8)
    torch.testing.assert_close(loss, expected / 2, rtol=1e-4, atol=1e-5)


def test_where_nothing_is_sure_labelled_slices_alone_teach() -> None:
    net, task = finetuning_task("unimatch", steps=30, options={"tau": 0.999})
    task.losses(0)["all"].backward()
    unsure = net.head[2].weight.grad.clone()
    net, plain = finetuning_task("unimatch", steps=30, options={"strong": 0.0, "features": 0.0})
    plain.losses(0)["all"].backward()
    assert torch.allclose(unsure, net.head[2].weight.grad, atol=1e-6)  # of 0.999 an untrained network is never sure


def test_a_network_that_is_sure_of_background_alone_is_seen() -> None:
    def says(upper: list[float], lower: list[float]) -> dict[str, float]:
        net, task = finetuning_task("unimatch", steps=30)
        half = (torch.arange(SIDE) < SIDE // 2).view(1, 1, -1, 1)
        a, b = (torch.tensor(logits).view(1, CLASSES, 1, 1) for logits in (upper, lower))
        net.head.register_forward_hook(lambda _, inputs, output: torch.where(half, a, b) + 0 * output)
        task.losses(0)
        return {name: round(value.item(), 3) for name, value in task.diagnostics().items()}

    assert says([9.0, 0, 0], [9.0, 0, 0]) == {"mask_rate": 1, "mask_rate_foreground": 0, "foreground": 0}
    assert says([9.0, 0, 0], [0, 1.0, 0]) == {"mask_rate": 0.5, "mask_rate_foreground": 0, "foreground": 0.5}
    assert says([9.0, 0, 0], [0, 9.0, 0]) == {"mask_rate": 1, "mask_rate_foreground": 1, "foreground": 0.5}


def test_it_learns(tmp_path: Path) -> None:
    net, task = finetuning_task("unimatch", steps=36, loss="dice_ce", options={"silent": 0.3})
    assert task.result is net
    assert falls(task, tmp_path, 36, rate=1e-2) < 0.7
    slices = labelled_slices()
    with torch.no_grad():
        assert segmentation_loss(net(slices.images), slices.labels, "dice") < 0.45
