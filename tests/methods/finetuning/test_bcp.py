"""BCP: components against scipy's, what both stages paste, losses by hand, the teacher, and no waiting in the second stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Slices
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.pseudo_labelled.bcp import (
    CopyPaste,
    box_of,
    follow_whole,
    largest_components,
    next_in_half,
    own_part,
)
from glocalseg.methods.finetuning.unlabelled import masked_loss, one_hot
from glocalseg.training.device import Device
from glocalseg.training.task import Task
from methods.made_up import CLASSES, SIDE, falls, finetuning_task, labelled_slices, network, trained

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- components


def by_scipy(classes: np.ndarray, count: int) -> np.ndarray:
    """Slice by slice and class by class, (N, H, W)."""
    found = np.zeros_like(classes)
    for i, image in enumerate(classes):
        for k in range(1, count):
            parts, n = ndimage.label(image == k, np.ones((3, 3)))
            if n:
                sizes = np.bincount(parts.ravel())[1:]
                largest = [j + 1 for j in range(n) if sizes[j] == sizes.max()]
                found[i][parts == max(largest, key=lambda j: int(np.flatnonzero(parts == j)[-1]))] = k
    return found


def spiral(side: int) -> np.ndarray:
    """A path of one pixel through the whole of a frame, with one pixel between its turns."""
    image = np.zeros((side, side), np.int64)
    y, x, dy, dx = 0, -1, 0, 1
    length, turns = side, 0
    while length > 0:
        for _ in range(length):
            y, x = y + dy, x + dx
            image[y, x] = 1
        dy, dx = dx, -dy
        turns += 1
        length = side - 1 if turns == 1 else length - (2 if turns % 2 == 1 and turns > 1 else 0)
    return image


def tangled(side: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    yield spiral(side)
    yield spiral(side)[::-1, ::-1]
    teeth = np.zeros((side, side), np.int64)
    teeth[::2], teeth[1::4, -1], teeth[3::4, 0] = 1, 1, 1  # one path again, from side to side
    yield teeth
    yield teeth.T
    for density in (0.3, 0.41, 0.5):
        yield (rng.random((side, side)) < density).astype(np.int64)
    yield rng.integers(0, 3, (side, side))
    for width in (1.0, 2.0):
        yield np.digitize(ndimage.gaussian_filter(rng.normal(size=(side, side)), width), [0.0, 0.1 / width])


@pytest.mark.parametrize("side", [32, 48, 192])
def test_the_largest_component_of_each_class_is_scipys(side: int) -> None:
    images = np.stack(list(tangled(side)))
    found = largest_components(torch.from_numpy(images)[:, None], 3)[:, 0].numpy()
    assert np.array_equal(found, by_scipy(images, 3))
    assert (found != images).any()


def test_a_spiral_is_one_component() -> None:
    image = spiral(21)
    assert ndimage.label(image, np.ones((3, 3)))[1] == 1
    assert 0.4 < image.mean() < 0.6


def test_small_parts_become_background_and_diagonals_are_connected() -> None:
    classes = torch.tensor([
        [1, 0, 0, 2, 2],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 2],
        [1, 0, 2, 0, 0],
    ])  # fmt: skip
    wanted = torch.tensor([
        [1, 0, 0, 2, 2],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ])  # fmt: skip
    found = largest_components(classes.expand(2, 1, 4, 5), 3)
    assert torch.equal(found, wanted.expand(2, 1, 4, 5))
    nothing = torch.zeros(1, 1, 4, 5, dtype=torch.int64)
    assert torch.equal(largest_components(nothing, 3), nothing)


# ---------------------------------------------------------------- what is pasted


def test_the_box_has_two_thirds_of_the_sides_and_is_anywhere() -> None:
    boxes = torch.stack([box_of((30, 20), 2 / 3, generator(seed)) for seed in range(300)])
    rows, columns = boxes.any(dim=2), boxes.any(dim=1)
    assert torch.equal(boxes, rows[:, :, None] & columns[:, None, :])
    assert (rows.sum(dim=1) == 20).all()
    assert (columns.sum(dim=1) == 13).all()
    assert set(rows.int().argmax(dim=1).tolist()) == set(range(11))
    assert set(columns.int().argmax(dim=1).tolist()) == set(range(8))


@pytest.mark.parametrize("n", [1, 4, 5])
def test_the_first_half_keeps_the_box_and_the_rest_what_is_outside(n: int) -> None:
    box = box_of((6, 6), 0.5, generator())
    own = own_part(n, box)
    assert own.shape == (n, 1, 6, 6)
    for i in range(n):
        assert torch.equal(own[i, 0], box if i < n / 2 else ~box)


@pytest.mark.parametrize("n", [4, 5, 12])
def test_in_the_first_stage_every_labelled_pixel_counts_once(n: int) -> None:
    box = box_of((6, 6), 0.5, generator())
    pixels = torch.arange(n * 36).view(n, 1, 6, 6)
    pasted = torch.where(own_part(n, box), pixels, next_in_half(pixels))
    assert torch.equal(pasted.flatten().sort().values, pixels.flatten())
    assert all(len(image.div(36, rounding_mode="floor").unique()) == 2 for image in pasted)  # of two slices each


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
    _, task = finetuning_task("bcp", steps=20, **changes)
    watched = Watched(task)
    return task, watched, task.losses(step)["all"]


def plain_slices(step: int, **changes: Any) -> Tensor:
    net, plain = finetuning_task("supervised", steps=20, **changes)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    plain.losses(step)
    return seen[0]


def labels_of(images: Tensor) -> Tensor:
    slices = labelled_slices()
    return slices.labels[torch.cdist(images.flatten(1), slices.images.flatten(1)).argmin(dim=1)]


@pytest.mark.parametrize("kind", ["dice", "dice_ce"])
def test_first_labelled_slices_are_pasted_into_labelled_ones(kind: str) -> None:
    task, watched, loss = step_of(4, augment=QUIET, loss=kind)  # the last of five
    assert "teacher" not in watched.shown
    images = plain_slices(4, augment=QUIET)
    found = watched.shown["network"]
    order = [2, 0, 1, 5, 3, 4]
    others = images[order]
    own = found == images
    torch.testing.assert_close(found, torch.where(own, images, others), rtol=0, atol=0)
    shares = own.float().mean(dim=(1, 2, 3))
    assert shares[:3].tolist() == pytest.approx([(21 / 32) ** 2] * 3, abs=0.01)
    assert shares[3:].tolist() == pytest.approx([1 - (21 / 32) ** 2] * 3, abs=0.01)
    labels, logits = labels_of(images), watched.said["network"]
    wanted = masked_loss(logits, labels, own, kind) + masked_loss(logits, labels[order], ~own, kind)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, wanted)
    assert {name: value.item() for name, value in task.diagnostics().items()} == {"foreground": 0, "kept": 0}


@pytest.mark.parametrize("largest", [True, False])
def test_then_unlabelled_slices_and_the_teachers_labels(tmp_path: Path, largest: bool) -> None:
    options = {"largest": largest}
    _, task = finetuning_task("bcp", steps=20, options=options, augment=QUIET)
    trained(task, tmp_path, 5, rate=1e-2)
    watched = Watched(task)
    loss = task.losses(5)["all"]
    images, others = plain_slices(5, augment=QUIET), watched.shown["teacher"]
    own = watched.shown["network"] == images
    torch.testing.assert_close(watched.shown["network"], torch.where(own, images, others), rtol=0, atol=0)
    assert torch.cdist(others.flatten(1), labelled_slices().images.flatten(1)).min() > 0.1
    pseudo = watched.said["teacher"].argmax(dim=1)
    kept = torch.from_numpy(by_scipy(pseudo.numpy(), CLASSES)) if largest else pseudo
    logits, labels = watched.said["network"], labels_of(images)
    wanted = masked_loss(logits, labels, own, "dice") + 0.5 * masked_loss(logits, one_hot(kept[:, None], 3), ~own, "dice")
    torch.testing.assert_close(loss, wanted)
    signs = task.diagnostics()
    assert signs["foreground"].item() == pytest.approx((kept > 0).float().mean().item())
    assert signs["kept"].item() == pytest.approx(((kept > 0).sum() / (pseudo > 0).sum()).item())
    if largest:
        assert signs["kept"] < 0.99  # it was trained for five steps
    else:
        assert signs["kept"] == 1
    loss.backward()
    assert all(p.grad is None for p in task.modules["teacher"].parameters())


def test_a_structure_that_is_deleted_and_a_blind_teacher_are_seen() -> None:
    _, task = finetuning_task("bcp", steps=20)

    def says(classes: Tensor) -> dict[str, float]:
        logits = one_hot(classes.expand(6, 1, SIDE, SIDE), CLASSES)
        hook = task.modules["teacher"].register_forward_hook(lambda _, inputs, output: logits)
        task.losses(10)
        hook.remove()
        return {name: round(value.item(), 4) for name, value in task.diagnostics().items()}

    classes = torch.zeros(SIDE, SIDE, dtype=torch.int64)
    assert says(classes) == {"foreground": 0, "kept": 0}
    classes[:8, :8], classes[16:22, 16:24] = 1, 1  # 64 and 48 pixels
    assert says(classes) == {"foreground": round(64 / 1024, 4), "kept": round(64 / 112, 4)}


# ---------------------------------------------------------------- the teacher


def test_running_averages_follow_as_weights_do() -> None:
    kept, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    other(torch.randn(4, 3, 5, 5, generator=generator()))
    nn.init.constant_(other.weight, 3.0)
    mean, var = other.running_mean, other.running_var
    assert mean is not None
    assert var is not None
    follow_whole(kept, other, 0.75)
    torch.testing.assert_close(kept.running_mean, 0.25 * mean)
    torch.testing.assert_close(kept.running_var, 0.75 + 0.25 * var)
    torch.testing.assert_close(kept.weight, torch.full((3,), 1.5))
    assert kept.num_batches_tracked == 1
    follow_whole(kept, other, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(kept.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_teacher_begins_as_what_the_first_stage_made_and_follows(tmp_path: Path) -> None:
    _, task = finetuning_task("bcp", steps=12, options={"momentum": 0.6})  # three steps lead
    net, teacher = task.modules["network"], task.modules["teacher"]
    start = [p.detach().clone() for p in net.parameters()]
    expected: list[Tensor] = []

    def slowly(step: int) -> None:
        nonlocal expected
        task.after_step(step)
        if step < 2:
            assert all(torch.equal(p, q) for p, q in zip(teacher.parameters(), start, strict=True))
            return
        m = (0, 0, 0, 0, 1 / 2, 0.6)[step]  # copied in the last step of the first stage; then min(1 - 1 / (t + 1), 0.6)
        before = expected or start
        expected = [m * p + (1 - m) * q.detach() for p, q in zip(before, net.parameters(), strict=True)]
        if step == 2:
            assert all(
                torch.equal(a, b) for a, b in zip(net.state_dict().values(), teacher.state_dict().values(), strict=True)
            )

    trained(Task(task.modules, task.losses, task.forward, 12, net, after_step=slowly), tmp_path, 6, rate=1e-2)
    for p, q in zip(teacher.parameters(), expected, strict=True):
        torch.testing.assert_close(p, q)
    assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), teacher.parameters(), strict=True))


def test_it_learns(tmp_path: Path) -> None:
    net, task = finetuning_task("bcp", steps=60, options={"momentum": 0.8}, loss="dice_ce")
    assert task.result is net
    assert falls(task, tmp_path, 60, rate=1e-2) < 0.5
    assert task.diagnostics()["kept"] > 0.8
    assert 0.05 < task.diagnostics()["foreground"] < 0.4
    with torch.no_grad():
        slices = labelled_slices()
        assert segmentation_loss(net(slices.images), slices.labels, "dice") < 0.35


# ---------------------------------------------------------------- no waiting: the other test sees the first stage alone


class OnMeta(torch.Generator):
    device = torch.device("meta")  # type: ignore[assignment]


class MetaDevice(Device):
    def generator(self, seed: int, purpose: str, step: int = 0) -> torch.Generator:
        return OnMeta()

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext()


class NoHost(TorchDispatchMode):
    """Refuses operations on tensors of the host."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if any(isinstance(t, Tensor) and t.device.type != "meta" for t in tree_leaves((args, kwargs, found))):
            raise AssertionError(f"{function} of a tensor of the host")
        return found


@contextmanager
def nothing_of_the_host() -> Iterator[None]:
    with NoHost():
        yield


def test_a_step_of_the_second_stage_waits_for_nothing() -> None:
    """On the meta device whatever would need a value raises."""
    slices = labelled_slices(unlabelled=True)
    shown = Slices(slices.images.to("meta"), slices.labels.to("meta"), slices.unlabelled.to("meta"))
    device = MetaDevice(torch.device("meta"), "float32", 1)
    task = CopyPaste().task(network().to("meta"), shown, device, 0, FinetuneConfig(steps=8, batch=6))
    with nothing_of_the_host():
        loss = task.losses(5)["all"]
        loss.backward()
        task.after_step(5)
    assert loss.device.type == "meta"
