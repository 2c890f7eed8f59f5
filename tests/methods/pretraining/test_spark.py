"""SparK: the encoder sees visible cells alone, batch norm too; targets and losses against loops; what is skipped."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.base import Slices
from glocalseg.methods.pretraining.batches.masking import hidden_cells, patches, spread
from glocalseg.methods.pretraining.encoder.predictive import spark
from glocalseg.methods.pretraining.encoder.predictive.spark import (
    Painter,
    Spark,
    norm_of_visible,
    patch_loss,
    targets,
    visible_maps,
)
from glocalseg.networks.unet import UNetEncoder
from methods.made_up import CPU, SIDE, falls, network, pool, pretrain_config, pretraining_task, volumes

PLAIN: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "clip": (-9.0, 9.0)}  # views are the slices themselves


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoder_of(seed: int = 0) -> UNetEncoder:
    found = network(seed).encoder.train()
    assert isinstance(found, UNetEncoder)
    return found


def seen_by(hidden: Tensor) -> list[Tensor]:
    return [spread(1 - hidden, (SIDE // r, SIDE // r), 8 // r) for r in (1, 2, 4, 8)]


# ---------------------------------------------------------------- the encoder


def test_with_nothing_hidden_it_is_the_encoder() -> None:
    """Its maps, its gradients, and what the step leaves in batch norm."""
    images = volumes()[0][:6]
    usual, sparse = encoder_of(), encoder_of()
    expected, found = usual(images), visible_maps(sparse, images, seen_by(torch.zeros(6, 1, 4, 4)))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    for maps in (expected, found):
        sum(m.square().mean() for m in maps).backward()  # type: ignore[union-attr]
    for (name, p), q in zip(usual.named_parameters(), sparse.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(q.grad, p.grad, rtol=2e-2, atol=1e-4, msg=name)
    state = sparse.state_dict()
    for name, t in usual.state_dict().items():
        torch.testing.assert_close(state[name], t, rtol=1e-3, atol=1e-5, msg=name)


def test_hidden_pixels_change_nothing_and_their_places_are_empty() -> None:
    hidden = hidden_cells(6, (4, 4), 0.6, generator())
    images = volumes()[0][:6]
    noise = torch.rand(images.shape, generator=generator(1))
    other = torch.where(spread(hidden, (SIDE, SIDE), 8) > 0, noise, images)
    assert not torch.equal(images, other)
    one, two = encoder_of(), encoder_of()
    found = visible_maps(one, images, seen_by(hidden))
    for a, b, seen in zip(found, visible_maps(two, other, seen_by(hidden)), seen_by(hidden), strict=True):
        assert torch.equal(a, b)
        assert (a * (1 - seen) == 0).all()
        assert ((a * seen).flatten(1).sum(dim=1) > 0).all()
    assert all(torch.equal(t, two.state_dict()[n]) for n, t in one.state_dict().items())


def test_statistics_are_those_of_visible_pixels() -> None:
    norm = nn.BatchNorm2d(3, momentum=0.2).train()
    nn.init.uniform_(norm.weight, generator=generator())
    nn.init.uniform_(norm.bias, generator=generator(1))
    x = 2 * torch.randn(4, 3, 6, 6, generator=generator(2)) + 1
    seen = spread(1 - hidden_cells(4, (3, 3), 0.6, generator(3)), (6, 6), 2)
    reference = copy.deepcopy(norm)
    columns = torch.stack([x[:, c][seen[:, 0] > 0] for c in range(3)], dim=1)  # visible pixels as a batch
    expected = reference(columns[:, :, None, None])[:, :, 0, 0]
    found = norm_of_visible(norm, x, seen)
    assert (found * (1 - seen) == 0).all()
    for c in range(3):
        torch.testing.assert_close(found[:, c][seen[:, 0] > 0], expected[:, c], rtol=1e-4, atol=1e-5)
    for name, t in reference.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], t, rtol=1e-5, atol=1e-6)


def test_of_half_precision_statistics_are_float32() -> None:
    norm, x = nn.BatchNorm2d(3).train(), torch.randn(4, 3, 6, 6, generator=generator()).bfloat16()
    found = norm_of_visible(norm, x, torch.ones(4, 1, 6, 6))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean, 0.1 * x.float().mean(dim=(0, 2, 3)))


def test_empty_places_get_the_learned_value_of_their_map() -> None:
    painter = Painter([3, 4], [1, 2], momentum=0.1).train()
    for i, token in enumerate(painter.tokens):
        nn.init.constant_(token, 7.0 + i)
    seen = [spread(torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]), (4 // r, 4 // r), 2 // r) for r in (1, 2)]
    maps = [
        torch.rand(1, c, 4 // r, 4 // r, generator=generator()) * s for c, r, s in zip((3, 4), (1, 2), seen, strict=True)
    ]
    got: list[Tensor] = []
    for projection in painter.projections:
        projection.register_forward_pre_hook(lambda _, inputs: got.append(inputs[0]))
    assert painter(maps, seen).shape == (1, 1, 4, 4)
    for i, (filled, visible) in enumerate(zip(got, seen, strict=True)):
        empty = (visible == 0).expand_as(filled)
        assert (filled[empty] == 7 + i).all()
        assert (filled[~empty] < 3).all()


# ---------------------------------------------------------------- the loss


def test_targets_and_loss_are_those_of_the_loop() -> None:
    images = torch.rand(3, 1, 8, 8, generator=generator())
    images[0, 0, :4, :4] = 0.25  # flat
    images[1, 0, 4:, :4] = 0.5 + 1e-5 * images[1, 0, 4:, :4]  # nearly
    hidden = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 0]]).view(3, 1, 2, 2)
    restored = torch.randn(3, 1, 8, 8, generator=generator(1))
    terms, skipped = [], 0
    for n in range(3):
        for row in range(2):
            for column in range(2):
                place = (n, 0, slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
                patch = images[place].double()
                if hidden[n, 0, row, column] and patch.var() < 1e-6:
                    skipped += 1
                elif hidden[n, 0, row, column]:
                    wanted = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
                    terms.append((restored[place] - wanted).square().mean())
    assert (len(terms), skipped) == (6, 2)
    target, counted = targets(images, hidden, 4)
    assert counted.sum() == 6
    found = patch_loss(patches(restored, 4), target, counted)
    assert found.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)


def test_a_step_without_anything_to_restore_has_a_loss_of_zero_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of one value each: all patches are flat. In the usual ones there is noise everywhere, if it is not clipped."""
    _, task = pretraining_task("spark", views=PLAIN)
    task.losses(0)
    usual = task.diagnostics()
    assert usual["skipped"] == 0
    assert usual["patch_mean"].item() == pytest.approx(63 / 64, rel=1e-2)
    monkeypatch.setattr(spark, "apply_views", lambda images, *_: torch.full_like(images, 0.5))
    _, task = pretraining_task("spark")
    loss = task.losses(0)["all"]
    loss.backward()
    assert loss == 0
    assert task.diagnostics()["skipped"] == 1
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in task.modules.parameters())


def test_the_loss_of_a_step_is_that_of_its_hidden_patches() -> None:
    net, task = pretraining_task("spark", views=PLAIN, options={"ratio": 0.5})
    seen: list[Tensor] = []
    assert isinstance(net.encoder, UNetEncoder)
    first: Any = net.encoder.blocks[0][0][0]  # type: ignore[index]
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    task.modules["painter"].register_forward_hook(lambda *found: seen.append(found[2].detach()))
    loss = task.losses(0)["all"]
    shown, restored = seen
    terms = []
    for image, found in zip(shown[:, 0], restored[:, 0], strict=True):
        cells = [(y, x) for y in range(0, SIDE, 8) for x in range(0, SIDE, 8)]
        hidden = [(y, x) for y, x in cells if (image[y : y + 8, x : x + 8] == 0).all()]
        assert len(hidden) == 8
        (target,) = (t for t in volumes()[0][:, 0] if torch.equal(t * (image != 0), image))
        for y, x in hidden:
            patch = target[y : y + 8, x : x + 8]
            wanted = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            terms.append((found[y : y + 8, x : x + 8] - wanted).square().mean())
    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-3)


def test_it_learns_more_than_the_mean_of_a_patch(tmp_path: Path) -> None:
    _, task = pretraining_task("spark", steps=40)
    assert falls(task, tmp_path, 40, rate=3e-3) < 0.7
    with torch.no_grad():
        assert task.losses(10_000)["all"] < 0.95 * task.diagnostics()["patch_mean"]


# ---------------------------------------------------------------- what it refuses


def test_another_encoder_and_a_map_of_one_cell_are_refused() -> None:
    settings = pretrain_config(strategies()["spark"])
    shown = Slices(volumes()[0], pool(partitions=0))
    net = network()
    net.encoder = nn.Identity()
    with pytest.raises(ConfigError, match=r"network: encoder: expected unet"):
        Spark().task(net, shown, CPU, 0, settings)
    small = Slices(volumes()[0][:, :, :8, :8], pool(partitions=0))
    with pytest.raises(ConfigError, match=r"network: levels: expected a coarsest map of at least 2 x 2"):
        Spark().task(network(), small, CPU, 0, settings)
