"""Rotation: four turns of every view, their labels, and that an encoder learns to tell them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glocalseg.config.model import ConfigError
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.base import Slices
from glocalseg.methods.pretraining.encoder.predictive.rotation import Rotation, turned
from methods.made_up import CPU, SIDE, falls, loss_of, network, pool, pretrain_config, pretraining_task


def test_the_turns_of_a_small_image_by_hand() -> None:
    images, labels = turned(torch.tensor([[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]]))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert images[0::2, 0].tolist() == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    assert torch.equal(images[1::2] - 4, images[0::2])


def test_a_turn_moves_every_pixel_and_changes_none() -> None:
    image = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    for turn, found in enumerate(turned(image)[0]):
        for y in range(6):
            for x in range(6):
                at = (y, x)
                for _ in range(turn):  # counterclockwise: what was right is on top
                    at = (5 - at[1], at[0])
                assert found[0, at[0], at[1]] == image[0, 0, y, x]


def batch(images: int) -> tuple[Tensor, int]:
    net, task = pretraining_task("rotation", images=images)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(0)
    return seen[0], task.images_per_step


@pytest.mark.parametrize(("images", "shown"), [(24, 24), (27, 24), (8, 8)])
def test_the_images_of_a_step_count_all_turns(images: int, shown: int) -> None:
    found, count = batch(images)
    assert (len(found), count) == (shown, shown)
    upright, *others = found.chunk(4)
    for turn, copies in enumerate(others, start=1):
        assert torch.equal(torch.rot90(upright, turn, (2, 3)), copies)


def test_guessing_costs_the_logarithm_of_four() -> None:
    net, task = pretraining_task("rotation")
    torch.nn.init.zeros_(task.modules["head"].weight)  # type: ignore[arg-type]
    assert loss_of(task, lambda: range(3)) == pytest.approx(math.log(4), rel=1e-6)
    assert net.encoder.training


def test_frames_that_are_not_square_are_refused() -> None:
    net = network(size=(SIDE, 48))
    slices = Slices(torch.rand(10, 1, SIDE, 48), pool())
    with pytest.raises(ConfigError, match=r"frame: size: expected a square frame .* found 32 x 48"):
        Rotation().task(net, slices, CPU, 0, pretrain_config(strategies()["rotation"]))


def test_the_loss_falls_to_two_fifths(tmp_path: Path) -> None:
    assert falls(pretraining_task("rotation", steps=60)[1], tmp_path, 60, rate=3e-3) < 0.4
