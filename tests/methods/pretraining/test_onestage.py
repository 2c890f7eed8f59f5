"""One stage: what both losses see, that they are those of G^R or G^D and of L^R, their sum, and what shows a positional map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.methods.pretraining.contrast.regions import Repulsion, local_loss, region_vectors
from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition
from glocalseg.methods.pretraining.encoder.contrastive.gr import Random
from glocalseg.methods.pretraining.network.onestage import OneStage
from glocalseg.methods.pretraining.network.onestage_d import OneStagePartition
from glocalseg.training.task import Task
from methods.made_up import CPU, SIDE, pool, pretraining_task, trained

NAMES = ["onestage", "onestage_d"]
PLAIN: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "crop": 1.0, "clip": (-9.0, 9.0)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_step(
    name: str, *, step: int = 0, options: dict[str, Any] | None = None, **changes: Any
) -> tuple[list[Tensor], float, Any]:
    """What the encoder sees, embeddings, what the decoder sees last, maps; the loss; and the diagnostics."""
    net, task = pretraining_task(name, options=options, **changes)
    seen: list[Tensor] = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.modules["whole"].register_forward_hook(lambda *found: seen.append(found[2].detach()))
    net.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].detach()))
    task.modules["regions"].register_forward_hook(lambda *found: seen.append(found[2].detach()))
    return seen, task.losses(step)["all"].item(), task.diagnostics()


@pytest.mark.parametrize(("name", "whole", "others"), [("onestage", 12, 12), ("onestage_d", 24, 16)])
def test_the_encoder_sees_all_and_the_decoder_the_whole_views(name: str, whole: int, others: int) -> None:
    net, task = pretraining_task(name)
    made: list[list[Tensor]] = []
    net.encoder.register_forward_hook(lambda *found: made.append(found[2]))
    net.decoder.register_forward_pre_hook(lambda _, inputs: made.append(inputs[0]))
    task.modules["whole"].register_forward_pre_hook(lambda _, inputs: made.append([inputs[0]]))
    task.losses(0)
    of_encoder, to_decoder, to_head = sorted(made, key=lambda maps: -len(maps[0]) * len(maps))
    assert torch.equal(to_head[0], of_encoder[-1][:whole])
    assert all(torch.equal(a, b[whole:]) for a, b in zip(to_decoder, of_encoder, strict=True))
    (shown, embedded, finest, maps), *_ = a_step(name)
    assert shown.shape == (whole + others, 1, SIDE, SIDE)
    assert embedded.shape == (whole, 128)
    assert finest.shape == maps.shape == (others, 8, SIDE, SIDE)


@pytest.mark.parametrize("name", NAMES)
def test_whole_views_are_not_cropped_and_show_the_slices_of_the_crops(name: str) -> None:
    """With intensities as they are: two views of every slice, each of which the global loss sees too, when crops are whole."""
    views = {**PLAIN, "crop": 0.5}
    (cropped, *_), (whole, *_) = a_step(name, views=views)[0], a_step(name, views=PLAIN)[0]
    n = 12 if name == "onestage" else 16
    assert torch.equal(cropped[-n:], whole[-n:])
    assert torch.equal(whole[-n : -n // 2], whole[-n // 2 :])
    torch.testing.assert_close(whole[:-n][-n:], whole[-n:], rtol=0, atol=1e-5)
    changed = (cropped[:-n] - whole[:-n]).abs().amax(dim=(1, 2, 3)) > 1e-3
    untouched = 8 if name == "onestage_d" else 0  # originals come first
    assert changed.tolist() == [False] * untouched + [True] * n


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_weighted_sum_of_those_of_the_two_stages(name: str) -> None:
    like = strategies()["gr" if name == "onestage" else "gd"].option_class()(), strategies()["lr"].option_class()()
    strategy = OneStage() if name == "onestage" else OneStagePartition()
    (_, embedded, _, maps), loss, said = a_step(name, options={"weight": 0.3}, temperature=0.2)
    shown = pool(partitions=0 if name == "onestage" else 4)
    views, others = strategy.draw(shown, 24, CPU.generator(0, "one stage", 0))
    masks = like[0].positives(views), like[0].negatives(views)  # type: ignore[attr-defined]
    of_slices = info_nce(cosine_similarity(embedded), *masks, temperature=0.2).item()
    vectors = region_vectors(maps, 3, None)
    repulsion = Repulsion.of(like[1].repelled())  # type: ignore[attr-defined]
    of_regions = local_loss(vectors, like[1].positives(others), repulsion, temperature=0.2).item()  # type: ignore[attr-defined]
    assert loss == pytest.approx(0.7 * of_slices + 0.3 * of_regions, rel=1e-4)
    assert said["global"].item() == pytest.approx(of_slices, rel=1e-4)
    assert said["local"].item() == pytest.approx(of_regions, rel=1e-4)


def test_a_step_shows_the_slices_of_gr_and_gd_in_numbers_that_fit() -> None:
    views, others = OneStagePartition().draw(pool(), 60, generator())
    assert torch.equal(views.slice, Partition().draw(pool(), 36, generator()).slice)  # three volumes, three views of a slice
    assert others.slice.tolist() == views.slice[12:].tolist()
    assert others.view.tolist() == [1] * 12 + [2] * 12
    views, others = OneStage().draw(pool(), 40, generator())
    assert torch.equal(views.slice, Random().draw(pool(), 20, generator()).slice)
    assert torch.equal(others.slice, views.slice)
    assert views.view.tolist() == [1] * 10 + [2] * 10
    few = [len(part) for strategy in (OneStage(), OneStagePartition()) for part in strategy.draw(pool(), 8, generator())]
    assert few == [8, 8, 24, 16]


def test_a_gradient_of_the_local_loss_reaches_all_that_is_handed_on_and_the_global_one_the_encoder() -> None:
    """With the other loss weighed by next to nothing, its gradients are next to nothing."""
    sizes = []
    for weight in (1e-8, 1 - 1e-8):
        net, task = pretraining_task("onestage", options={"weight": weight})
        task.losses(0)["all"].backward()
        parts: list[nn.Module] = [net.encoder, net.decoder, net.head[:-1], task.modules["whole"], task.modules["regions"]]
        grads = [[p.grad for p in part.parameters() if p.grad is not None] for part in parts]
        sizes.append([float(torch.cat([g.flatten() for g in own]).norm()) for own in grads])
    of_global, of_local = sizes
    assert min(of_global[0], of_global[3]) > 1e-3 > 1e2 * max(of_global[1], of_global[2], of_global[4])
    assert min(of_local[0], of_local[1], of_local[2], of_local[4]) > 1e-3 > 1e2 * of_local[3]


def both(task: Task) -> tuple[float, float]:
    """Means of both losses over some steps that nothing is trained on."""
    found = []
    with torch.no_grad():
        for step in range(10_000, 10_006):
            task.losses(step)
            found.append([task.diagnostics()[name] for name in ("global", "local")])
    of_global, of_local = torch.tensor(found).mean(dim=0).tolist()
    return of_global, of_local


@pytest.mark.parametrize("name", NAMES)
def test_both_losses_fall(tmp_path: Path, name: str) -> None:
    _, task = pretraining_task(name, steps=25)
    before = both(task)
    after = both(trained(task, tmp_path, 25, rate=3e-3, checkpoint_every=25))
    assert after[0] < 0.96 * before[0]
    assert after[1] < 0.5 * before[1]


def test_the_diagnostics_show_a_map_that_tells_places(monkeypatch: pytest.MonkeyPatch) -> None:
    _, task = pretraining_task("onestage")
    task.losses(0)
    said = task.diagnostics()
    assert said["same_place"] < 0.5
    assert said["same_place_chance"].item() == pytest.approx(1 / SIDE**2)
    place = torch.randn(1, 16, SIDE, SIDE, generator=generator())
    monkeypatch.setattr(task.modules["regions"], "forward", lambda maps: place.expand(len(maps), -1, -1, -1))
    task.losses(0)
    assert task.diagnostics()["same_place"] == 1
