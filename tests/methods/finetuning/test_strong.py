"""Strong: each change against a loop or torch's own, how often it comes, labels that move along, and too few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.labelled.strong import (
    Changes,
    about_one,
    augmented,
    changed,
    coarse_matrix,
    draw_changes,
    with_gamma,
)
from glocalseg.methods.finetuning.unlabelled import separable
from methods.made_up import SIDE, finetuning_task, labelled_slices, trained, volumes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=generator(seed))


def still(n: int, side: tuple[int, int]) -> Changes:
    """Changes that are none."""
    one = torch.ones(n)
    matrix = torch.eye(2).expand(n, 2, 2)
    return Changes(matrix, torch.zeros(n, 1, *side), 0 * one, one, one, one, one, one)


def drawn(n: int = 20_000, *, rotation: float = 30.0, mirror: bool = True) -> Changes:
    return draw_changes(n, (2, 2), rotation=rotation, mirror=mirror, generator=generator())


def test_every_change_comes_as_often_as_said_and_within_its_ends() -> None:
    draw = drawn()
    ends = {
        "sigma": (0.1, 0.5, 1.0, 0.0),
        "brightness": (0.15, 0.75, 1.25, 1.0),
        "contrast": (0.15, 0.75, 1.25, 1.0),
        "resolution": (0.125, 0.5, 1.0, 1.0),
        "inverted_gamma": (0.1, 0.7, 1.5, 1.0),
        "gamma": (0.3, 0.7, 1.5, 1.0),
    }
    for name, (share, low, high, none) in ends.items():
        values = getattr(draw, name)
        made = values[values != none]
        assert len(made) / len(values) == pytest.approx(share, abs=0.01)
        assert (made.min().item(), made.max().item()) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    noisy = draw.noise.flatten(1).any(dim=1)
    assert noisy.float().mean().item() == pytest.approx(0.1, abs=0.01)
    deviation = (draw.noise[noisy].square().mean()).sqrt().item()
    assert deviation == pytest.approx(0.1 / 3**0.5, abs=0.005)  # root mean square of standard deviations from 0 to 0.1


def test_slices_are_turned_scaled_and_mirrored_as_said() -> None:
    matrix = drawn().matrix
    determinant = torch.linalg.det(matrix)
    scale = 1 / determinant.abs().sqrt()
    scaled = (scale - 1).abs() > 1e-4
    assert scaled.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (scale.min().item(), scale.max().item()) == (pytest.approx(0.7, abs=0.01), pytest.approx(1.4, abs=0.01))
    assert (determinant < 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    upright = matrix * scale[:, None, None]
    torch.testing.assert_close(upright @ upright.transpose(1, 2), torch.eye(2).expand_as(upright), rtol=0, atol=1e-5)
    turned = upright[:, 0, 1].abs() > 1e-4
    assert turned.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert upright[:, 0, 1].abs().max().item() == pytest.approx(0.5, abs=0.01)  # the sine of 30 degrees
    signs = upright[~turned].sign()
    assert [(signs[:, i, i] < 0).float().mean().item() for i in (0, 1)] == pytest.approx([0.5, 0.5], abs=0.02)
    assert (torch.linalg.det(drawn(mirror=False).matrix) > 0).all()
    assert (drawn(rotation=0.0, mirror=False).matrix[:, 0, 1] == 0).all()


def test_factors_are_as_often_below_one_as_above() -> None:
    found = about_one(some(20_000), 0.7, 1.5)
    below = found < 1
    assert below.float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert found[below].mean().item() == pytest.approx(0.85, abs=0.01)
    assert found[~below].mean().item() == pytest.approx(1.25, abs=0.01)


@pytest.mark.parametrize("share", [0.5, 0.6, 0.81, 0.97, 1.0])
def test_low_resolution_is_that_of_torch(share: float) -> None:
    images = some(2, 1, 24, 37)
    small = F.interpolate(images, size=[round(side * share) for side in (24, 37)], mode="nearest-exact")
    wanted = F.interpolate(small, size=(24, 37), mode="bilinear", align_corners=False)
    found = separable(images, *(coarse_matrix(torch.full((2,), share), side) for side in (24, 37)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_gamma_is_the_loop_and_keeps_mean_and_deviation() -> None:
    images, gamma = 3 * some(3, 1, 5, 6) - 1, torch.tensor([0.7, 1.5, 1.0])
    found = with_gamma(images, gamma)
    for image, g, raised in zip(images, gamma, found, strict=True):
        low, span = image.min(), image.max() - image.min()
        plain = torch.stack([((v - low) / span) ** g * span + low for v in image.flatten()]).view_as(image)
        torch.testing.assert_close(raised, (plain - plain.mean()) / plain.std() * image.std() + image.mean())
    torch.testing.assert_close(found.mean(dim=(2, 3)), images.mean(dim=(2, 3)))
    torch.testing.assert_close(found.std(dim=(2, 3)), images.std(dim=(2, 3)))
    assert torch.equal(found[2], images[2])
    assert torch.isfinite(with_gamma(torch.ones(2, 1, 4, 4), torch.tensor([0.7, 1.5]))).all()


def test_what_changes_nothing_changes_nothing() -> None:
    images, labels = some(3, 1, 8, 6), some(3, 4, 8, 6, seed=1).softmax(dim=1)
    found, soft = augmented(images, labels, still(3, (8, 6)))
    torch.testing.assert_close(found, images)
    torch.testing.assert_close(soft, labels)


@pytest.mark.parametrize("name", ["brightness", "contrast", "inverted_gamma", "gamma", "resolution", "sigma", "noise"])
def test_a_change_is_of_its_slice_alone_and_does_what_it_is_called(name: str) -> None:
    images = some(2, 1, 9, 9)
    value = torch.tensor([0.75, 0.0 if name == "sigma" else 1.0])
    noise = torch.zeros(2, 1, 9, 9)
    noise[0] = torch.randn(1, 9, 9, generator=generator(3))
    found = changed(images, replace(still(2, (9, 9)), **{name: noise if name == "noise" else value}))
    torch.testing.assert_close(found[1], images[1])
    before, after = images[0], found[0]
    mean = before.mean()
    said: dict[str, Any] = {
        "brightness": 0.75 * before,
        "contrast": 0.75 * (before - mean) + mean,
        "inverted_gamma": -with_gamma(-before[None], torch.tensor([0.75]))[0],
        "gamma": with_gamma(before[None], torch.tensor([0.75]))[0],
        "noise": before + noise[0] * before.std(),
    }
    if name in said:
        torch.testing.assert_close(after, said[name])
    else:
        assert after.std() < 0.95 * before.std()  # smoother
    if name.endswith("gamma"):
        assert not torch.allclose(said["gamma"], said["inverted_gamma"], atol=1e-2)


def test_labels_move_with_the_images() -> None:
    labels = volumes()[1][:12]
    images = (labels * torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1)).sum(
        dim=1, keepdim=True
    )  # a label's number is its grey
    draw = draw_changes(12, (SIDE, SIDE), rotation=180.0, mirror=True, generator=generator(1))
    none = still(12, (SIDE, SIDE))
    found, soft = augmented(images, labels, replace(none, matrix=draw.matrix))
    wanted = (soft * torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(12, SIDE, SIDE))
    assert (found - images).abs().max() > 0.5


def seen(**changes: Any) -> Tensor:
    net, task = finetuning_task("strong", steps=30, **changes)
    shown: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    task.losses(7)
    return shown[0]


QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}


def test_the_slices_are_those_of_supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    net, plain = finetuning_task("supervised", steps=30, augment=QUIET)
    shown: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    plain.losses(7)
    monkeypatch.setattr(
        "glocalseg.methods.finetuning.regimes.labelled.strong.draw_changes", lambda n, size, **_: still(n, size)
    )
    torch.testing.assert_close(seen(), shown[0])


def test_turning_and_mirroring_follow_the_benchmark_unless_they_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, bool]] = []

    def note(n: int, size: tuple[int, int], *, rotation: float, mirror: bool, generator: torch.Generator) -> Changes:
        asked.append((rotation, mirror))
        return still(n, size)

    monkeypatch.setattr("glocalseg.methods.finetuning.regimes.labelled.strong.draw_changes", note)
    seen()
    seen(augment={"flip": False, "right_angles": False})
    seen(augment={"flip": False, "right_angles": False}, options={"mirror": True, "rotation": 10.0})
    seen(options={"mirror": False, "rotation": 0.0})
    assert asked == [(180.0, True), (30.0, False), (10.0, True), (0.0, False)]


@pytest.mark.parametrize(("options", "loss", "kind"), [({}, "dice", "dice_ce"), ({"loss": "benchmark"}, "dice", "dice")])
def test_the_loss_is_dice_with_cross_entropy_unless_the_benchmarks_is_asked_for(
    options: dict[str, Any], loss: str, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "glocalseg.methods.finetuning.regimes.labelled.strong.draw_changes", lambda n, size, **_: still(n, size)
    )
    net, task = finetuning_task("strong", steps=30, options=options, loss=loss)
    kept: list[tuple[Tensor, Tensor]] = []
    net.register_forward_hook(lambda _, inputs, output: kept.append((inputs[0], output)))
    found = task.losses(7)["all"]
    (shown, logits), slices = kept[0], labelled_slices()
    labels = slices.labels[torch.cdist(shown.flatten(1), slices.images.flatten(1)).argmin(dim=1)]
    torch.testing.assert_close(found, segmentation_loss(logits, labels, kind), rtol=1e-4, atol=1e-5)
    said = task.diagnostics()["unaugmented_loss"]  # the very same slices, unchanged here
    torch.testing.assert_close(said, found.detach(), rtol=1e-4, atol=1e-5)


def test_it_learns_and_too_few_steps_are_seen(tmp_path: Path) -> None:
    _, task = finetuning_task("strong", steps=40)
    said = []
    for steps in (4, 40):
        trained(task, tmp_path / str(steps), steps, rate=1e-2, checkpoint_every=steps)
        said.append(task.diagnostics()["unaugmented_loss"].item())
    assert said[0] > 0.9
    assert said[1] < 0.5 * said[0]
