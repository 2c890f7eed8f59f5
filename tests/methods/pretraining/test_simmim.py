"""SimMIM: what is hidden and compared, against loops; that the network learns, and what its reference lines are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.pretraining.network.simmim import cell_means, hidden_distance, patch_side
from methods.made_up import SIDE, falls, loss_of, pretraining_task, trained, volumes

PLAIN: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "clip": (-9.0, 9.0)}  # views are the slices themselves


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_step(**options: Any) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """What a step shows, what is restored, its loss, and its diagnostics."""
    _, task = pretraining_task("simmim", options=options, views=PLAIN)
    seen: list[Tensor] = []
    task.modules["encoder"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.modules["pixels"].register_forward_hook(lambda *found: seen.append(found[2].detach()))
    loss = task.losses(0)["all"]
    return seen[0], seen[1], loss, task.diagnostics()


def test_the_patch_is_the_sources_on_its_frame_and_fits_small_ones() -> None:
    assert patch_side(1 / 6, (192, 192)) == 32
    assert [patch_side(1 / 6, (side, side + 16)) for side in (160, 64, 48, 32, 2)] == [27, 11, 8, 5, 1]


def test_a_step_hides_patches_and_compares_their_pixels_alone() -> None:
    shown, restored, loss, said = a_step(patch=0.25, ratio=0.5)
    assert shown.shape == restored.shape == (24, 1, SIDE, SIDE)
    distances, zero, mean = [], [], []
    for image, found in zip(shown[:, 0], restored[:, 0], strict=True):
        corners = [(y, x) for y in range(0, SIDE, 8) for x in range(0, SIDE, 8)]
        hidden = [(y, x) for y, x in corners if (image[y : y + 8, x : x + 8] == 0).all()]
        assert len(hidden) == 8  # of 16: no visible patch of these slices is all zero
        known = torch.ones(SIDE, SIDE, dtype=torch.bool)
        for y, x in hidden:
            known[y : y + 8, x : x + 8] = False
        (target,) = (t for t in volumes()[0][:, 0] if torch.equal(t[known], image[known]))
        for y, x in hidden:
            patch = target[y : y + 8, x : x + 8]
            distances.append((found[y : y + 8, x : x + 8] - patch).abs())
            zero.append(patch.abs())
            mean.append((patch - patch.mean()).abs())
    assert loss.item() == pytest.approx(torch.stack(distances).mean().item(), rel=1e-4)
    assert said["zero"].item() == pytest.approx(torch.stack(zero).mean().item(), rel=1e-4)
    assert said["patch_mean"].item() == pytest.approx(torch.stack(mean).mean().item(), rel=1e-4)


def test_patches_at_the_edges_are_cut_where_the_frame_is_no_multiple() -> None:
    shown, *_ = a_step(patch=0.3, ratio=0.99)  # 10 pixels: four a side, the last two pixels wide
    visible = shown[:, 0] != 0
    assert set(visible.sum(dim=(1, 2)).tolist()) <= {100, 20, 4}
    assert len(set(visible.sum(dim=(1, 2)).tolist())) > 1


def test_the_mean_of_a_cell_is_that_of_its_own_pixels() -> None:
    images = torch.rand(2, 1, 7, 5, generator=generator())
    found = cell_means(images, 3)
    for y in range(7):
        for x in range(5):
            top, left = y // 3 * 3, x // 3 * 3
            expected = images[:, 0, top : top + 3, left : left + 3].mean(dim=(1, 2))
            torch.testing.assert_close(found[:, 0, y, x], expected)


def test_the_distance_of_half_precision_is_float32() -> None:
    hidden = torch.ones(2, 1, 4, 4)
    assert hidden_distance(torch.rand(2, 1, 4, 4).bfloat16(), torch.rand(2, 1, 4, 4), hidden).dtype == torch.float32


def test_it_learns_more_than_to_restore_nothing(tmp_path: Path) -> None:
    _, task = pretraining_task("simmim", steps=30)
    assert falls(task, tmp_path, 30, rate=3e-3) < 0.4
    assert loss_of(task, lambda: range(10_000, 10_001)) < 0.6 * float(task.diagnostics()["zero"])


def test_a_network_that_restores_nothing_stays_at_zero(tmp_path: Path) -> None:
    """Its own layers apart, nothing is trained: the loss is the reference line."""
    _, task = pretraining_task("simmim")
    last_layer: Any = task.modules["pixels"]
    torch.nn.init.zeros_(last_layer.weight)
    loss = loss_of(trained(task, tmp_path, 1, rate=0.0), lambda: range(1))
    assert loss == pytest.approx(float(task.diagnostics()["zero"]), rel=1e-4)
