"""Mixup: its weights, its pairs against a loop, and that a network learns from mixed slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.finetuning.regimes.labelled.mixup import Mixup, beta_weights, mixed
from methods.made_up import falls, finetuning_task


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch() -> tuple[Tensor, Tensor]:
    labels = torch.rand(6, 3, 4, 4, generator=generator()).softmax(dim=1)
    return torch.rand(6, 1, 4, 4, generator=generator(1)), labels


@pytest.mark.parametrize("alpha", [0.1, 0.02, 1.0, 4.0])
def test_weights_are_beta(alpha: float) -> None:
    """Against torch's own distribution: moments, and the shares below some borders."""
    found = beta_weights(40_000, alpha, generator())
    assert torch.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.mean().item() == pytest.approx(0.5, abs=0.01)
    assert found.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        wanted = torch.distributions.Beta(alpha, alpha).sample((40_000,))
    for border in (0.01, 0.05, 0.3, 0.95):
        assert (found < border).float().mean().item() == pytest.approx((wanted < border).float().mean().item(), abs=0.015)


def test_three_of_four_weights_of_the_authors_alpha_are_near_an_end() -> None:
    found = beta_weights(40_000, 0.1, generator())
    assert ((found < 0.05) | (found > 0.95)).float().mean().item() == pytest.approx(0.76, abs=0.01)


def test_weights_depend_on_their_generator_alone() -> None:
    assert torch.equal(beta_weights(5, 0.1, generator(3)), beta_weights(5, 0.1, generator(3)))
    assert not torch.equal(beta_weights(5, 0.1, generator(3)), beta_weights(5, 0.1, generator(4)))


def test_mixed_is_the_loop() -> None:
    images, _ = batch()
    first, second, share = torch.tensor([0, 3, 3, 5]), torch.tensor([1, 3, 0, 2]), torch.tensor([0.0, 0.3, 0.5, 1.0])
    found = mixed(images, first, second, share.view(-1, 1, 1, 1))
    for i in range(4):
        torch.testing.assert_close(found[i], share[i] * images[first[i]] + (1 - share[i]) * images[second[i]])


def parts(mixture: Tensor, images: Tensor) -> list[tuple[int, int, float]]:
    """Which two images, and how much of the first, a mixture is made of; the loop over all pairs."""
    found = []
    for a in range(len(images)):
        for b in range(len(images)):
            if a != b:
                way, target = (images[a] - images[b]).flatten(), (mixture - images[b]).flatten()
                share = float(way @ target / (way @ way))
                if 0 < share < 1 and torch.allclose(share * way, target, atol=1e-5):
                    found.append((a, b, share))
    return found


def test_independent_pairs_have_weights_of_their_own_and_may_coincide() -> None:
    images, labels = batch()
    shares, pure = set(), 0
    for seed in range(20):
        found, soft = Mixup(alpha=4.0).changed(images, labels, generator(seed))
        assert found.shape == images.shape
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(6, 4, 4))
        for mixture, label in zip(found, soft, strict=True):
            if any(torch.allclose(mixture, image) for image in images):  # both are the same slice
                pure += 1
                continue
            a, b, share = parts(mixture, images)[0]
            torch.testing.assert_close(label, share * labels[a] + (1 - share) * labels[b], rtol=1e-3, atol=1e-4)
            shares.add(round(share, 4))
    assert len(shares) > 90
    assert 5 < pure < 40  # one of six


def test_a_permutation_mixes_every_slice_with_one_weight() -> None:
    images, labels = batch()
    found, soft = Mixup(alpha=4.0, pairs="permutation").changed(images, labels, generator(1))
    shares, firsts, seconds = set(), [], []
    for i, mixture in enumerate(found):
        if torch.allclose(mixture, images[i]):
            seconds.append(i)
            continue
        (a, b, share) = next(p for p in parts(mixture, images) if p[0] == i)
        shares.add(round(share, 3))
        firsts.append(a)
        seconds.append(b)
        torch.testing.assert_close(soft[i], share * labels[a] + (1 - share) * labels[b], rtol=1e-3, atol=1e-4)
    assert len(shares) == 1
    assert sorted(seconds) == list(range(6))


def shown(name: str, **options: Any) -> Tensor:
    net, task = finetuning_task(name, options=options)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.losses(3)
    return seen[0]


def test_what_is_mixed_is_the_augmented_batch_of_supervised() -> None:
    plain, found = shown("supervised"), shown("mixup", alpha=1.0)
    assert plain.shape == found.shape
    assert not torch.equal(plain, found)
    distance = torch.stack([(mixture - plain).flatten(1).norm(dim=1).min() for mixture in found])
    spread = torch.pdist(plain.flatten(1)).mean()
    assert (distance < spread).all()
    assert all(parts(m, plain) or torch.allclose(distance[i], torch.zeros(()), atol=1e-4) for i, m in enumerate(found))


@pytest.mark.parametrize("pairs", ["independent", "permutation"])
def test_the_loss_falls_to_two_thirds(tmp_path: Path, pairs: str) -> None:
    task = finetuning_task("mixup", steps=40, options={"pairs": pairs})[1]
    assert falls(task, tmp_path, 40, rate=1e-2) < 0.67
