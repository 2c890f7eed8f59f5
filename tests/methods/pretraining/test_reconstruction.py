"""Inpainting and context restoration: what is damaged, against loops; what is compared; and that the networks learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.config.model import ConfigError
from glocalseg.methods.pretraining.network.context import Context, patch_pairs, swapped
from glocalseg.methods.pretraining.network.inpainting import Inpainting, box_side, holes
from glocalseg.methods.pretraining.reconstruction import pixel_loss
from methods.made_up import SIDE, falls, pretraining_task, volumes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shown_and_restored(name: str, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What a step shows, what comes out, and its loss."""
    _, task = pretraining_task(name, options=options, views={"clip": (-9.0, 9.0)})
    seen: list[Tensor] = []
    task.modules["encoder"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.modules["pixels"].register_forward_hook(lambda *found: seen.append(found[2]))
    loss = task.losses(0)["all"]
    return seen[0], seen[1], loss


# ---------------------------------------------------------------- inpainting


def test_the_box_is_the_authors_on_their_frame() -> None:
    assert box_side(0.52, 192) == 100
    assert box_side(0.01, 8) == 1


def test_holes_are_boxes_at_their_corners() -> None:
    corners = torch.tensor([[0, 0], [3, 1], [6, 4]])
    found = holes(corners, (12, 8), 0.5)
    expected = torch.zeros(3, 1, 12, 8)
    for n, (top, left) in enumerate(corners.tolist()):
        expected[n, 0, top : top + 6, left : left + 4] = 1
    assert torch.equal(found, expected)


def test_corners_are_uniform_and_leave_the_last_place_out() -> None:
    found = Inpainting(box=0.5).draw(40_000, (12, 8), generator())
    for axis, places in ((0, 6), (1, 4)):
        counts = found[:, axis].bincount()
        assert len(counts) == places
        assert (counts - 40_000 / places).abs().max() < 5 * (40_000 / places) ** 0.5
    assert abs(torch.corrcoef(found.T.float())[0, 1]) < 0.02


def test_what_is_cut_out_is_zero_and_the_rest_is_untouched() -> None:
    images = 1 + torch.rand(4, 1, 16, 16, generator=generator())
    strategy = Inpainting()
    corners = strategy.draw(4, (16, 16), generator())
    found, weights = strategy.damaged(images, corners)
    assert weights is None
    inside = holes(corners, (16, 16), 0.52).bool()
    assert (found[inside] == 0).all()
    assert torch.equal(found[~inside], images[~inside])
    assert inside.sum() == 4 * 8 * 8


def test_the_distance_counts_everywhere_or_in_the_hole_alone() -> None:
    images = torch.rand(4, 1, 16, 16, generator=generator())
    restored = torch.rand(4, 1, 16, 16, generator=generator(1))
    strategy = Inpainting(where="hole")
    corners = strategy.draw(4, (16, 16), generator())
    _, weights = strategy.damaged(images, corners)
    terms = [
        (restored[n, 0, y, x] - images[n, 0, y, x]) ** 2
        for n, (top, left) in enumerate(corners.tolist())
        for y in range(top, top + 8)
        for x in range(left, left + 8)
    ]
    torch.testing.assert_close(pixel_loss(restored, images, weights), torch.stack(terms).mean())
    torch.testing.assert_close(pixel_loss(restored, images), (restored - images).square().mean())


def test_the_loss_of_half_precision_is_float32() -> None:
    assert pixel_loss(torch.rand(2, 1, 4, 4).bfloat16(), torch.rand(2, 1, 4, 4)).dtype == torch.float32


@pytest.mark.parametrize("where", ["whole", "hole"])
def test_the_target_has_the_changed_intensities_of_what_is_shown(where: str) -> None:
    """Outside of the box the input is the target: with the target known there, the loss tells what it is inside."""
    shown, restored, loss = shown_and_restored("inpainting", where=where)
    inside = shown == 0
    slices = volumes()[0]
    matches = []
    for image, hole, found in zip(shown[:, 0], inside[:, 0], restored[:, 0], strict=True):
        best: Tensor | None = None
        known = ~hole
        for original in slices[:, 0]:  # image = a * original + b, where it is shown
            design = torch.stack([original[known], torch.ones(int(known.sum()))], dim=1)
            solution = torch.linalg.lstsq(design, image[known, None]).solution.squeeze(1)
            if torch.allclose(design @ solution, image[known], atol=1e-4):
                best = solution[0] * original + solution[1]
        assert best is not None
        distance = (found - best).square()
        matches.append(distance[hole] if where == "hole" else distance.flatten())
    torch.testing.assert_close(torch.cat(matches).mean(), loss, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("where", ["whole", "hole"])
def test_the_loss_of_inpainting_falls_to_a_tenth(tmp_path: Path, where: str) -> None:
    task = pretraining_task("inpainting", steps=40, options={"where": where})[1]
    assert falls(task, tmp_path, 40, rate=3e-3) < 0.1


# ---------------------------------------------------------------- context restoration


def slow_swaps(images: Tensor, corners: Tensor, patch: int) -> Tensor:
    found = images.clone()
    for n in range(len(images)):
        for (ay, ax), (by, bx) in corners[n].tolist():
            found[n, :, ay : ay + patch, ax : ax + patch] = images[n, :, by : by + patch, bx : bx + patch]
            found[n, :, by : by + patch, bx : bx + patch] = images[n, :, ay : ay + patch, ax : ax + patch]
    return found


@pytest.mark.parametrize(
    ("size", "swaps", "patch"), [((32, 32), 10, 5), ((24, 40), 3, 6), ((20, 20), 100, 5), ((9, 12), 1, 1)]
)
def test_swaps_are_those_of_the_loop(size: tuple[int, int], swaps: int, patch: int) -> None:
    images = torch.rand(7, 1, *size, generator=generator())
    corners = patch_pairs(7, size, swaps, patch, generator(1))
    found = swapped(images, corners, patch)
    assert torch.equal(found, slow_swaps(images, corners, patch))
    assert not torch.equal(found, images)


def test_a_single_swap_by_hand() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    found = swapped(image, torch.tensor([[[[0, 0], [2, 1]]]]), 2)
    assert found[0, 0].tolist() == [[9, 10, 2, 3], [13, 14, 6, 7], [8, 0, 1, 11], [12, 4, 5, 15]]


def test_patches_keep_apart_from_one_another_and_from_the_border() -> None:
    corners = patch_pairs(500, (32, 40), 10, 5, generator())
    assert corners.shape == (500, 10, 2, 2)
    assert ((corners[:, :, 0] - corners[:, :, 1]).abs() >= 5).any(dim=-1).all()
    for axis, side in enumerate((32, 40)):
        assert corners[..., axis].min() == 5
        assert corners[..., axis].max() == side - 5 - 1  # the last pixel of the frame's rim is never moved to
    assert corners.max(dim=2).values.max() + 5 <= 40


def test_places_are_those_of_rejection_sampling() -> None:
    """Uniform over all pairs of patches that are apart."""
    size, patch = (9, 9), 2
    corners = patch_pairs(60_000, size, 1, patch, generator()).view(-1, 4)
    pairs = [
        (a, b, c, d)
        for a in range(2, 7)
        for b in range(2, 7)
        for c in range(2, 7)
        for d in range(2, 7)
        if abs(a - c) >= patch or abs(b - d) >= patch
    ]
    number = {pair: i for i, pair in enumerate(pairs)}
    counts = torch.tensor([number[tuple(c)] for c in corners.tolist()]).bincount(minlength=len(pairs))  # type: ignore[index]
    expected = 60_000 / len(pairs)
    chi = ((counts - expected) ** 2 / expected).sum().item()
    assert abs(chi - (len(pairs) - 1)) < 5 * (2 * len(pairs)) ** 0.5


def test_a_swap_that_finds_no_place_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glocalseg.methods.pretraining.network.context.TRIES", 1)
    corners = patch_pairs(2000, (16, 16), 1, 4, generator())
    left_out = (corners[:, :, 0] == corners[:, :, 1]).all(dim=-1)
    assert left_out.any()
    assert not left_out.all()
    images = torch.rand(2000, 1, 16, 16, generator=generator(1))
    unchanged = (swapped(images, corners, 4) == images).flatten(1).all(dim=1)
    assert torch.equal(unchanged, left_out.squeeze(1))


def test_patches_too_large_for_the_frame_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"strategies.context.patch: expected at most 8, .* found 9"):
        pretraining_task("context", options={"patch": 9})
    pretraining_task("context", options={"patch": 8})


def test_context_restoration_shows_swapped_slices_and_all_pixels_count() -> None:
    shown, restored, loss = shown_and_restored("context", swaps=4, patch=3)
    assert shown.shape == restored.shape == (24, 1, SIDE, SIDE)
    assert Context().damaged(shown, patch_pairs(24, (SIDE, SIDE), 1, 5, generator()))[1] is None
    # the mean of squared distances to the shown image differs from the loss by what the swaps moved, and by no more
    nearly = (restored - shown).square().mean()
    assert nearly != loss
    assert abs(nearly - loss) < 0.2 * loss


def test_the_loss_of_context_restoration_falls_to_a_tenth(tmp_path: Path) -> None:
    assert falls(pretraining_task("context", steps=40)[1], tmp_path, 40, rate=3e-3) < 0.1
