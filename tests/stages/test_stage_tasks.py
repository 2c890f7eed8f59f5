"""What each phase shows its network and what it trains, and the switches of docs/method.md 9 that belong to a phase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_benchmark import DEPTH, find, small_plan, task_of, write_data
from torch import Tensor

from glocalseg.networks.unet import SegmentationNet
from glocalseg.plan.jobs import Plan
from glocalseg.stages.opening import Inputs
from glocalseg.stages.partitions import partitions_of
from glocalseg.stages.pretrain import pool_of
from glocalseg.training.task import EVERYTHING, Task

GLOBAL = ("pretrain_global", "gd")
LOCAL = ("pretrain_local", "gd+lr")
FINETUNE = ("finetune", "random", 2)


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[SegmentationNet, Task, Inputs]]:
    """Build a phase's task on the made-up data; a start that was never trained is left out."""

    def build(phase: str, name: str, budget: int | None = None, **changes: Any) -> tuple[SegmentationNet, Task, Inputs]:
        plan: Plan = small_plan(**changes)
        (data,) = plan.of("data")
        if not (tmp_path / data.record).exists():
            write_data(tmp_path, plan)
        return task_of(find(plan, phase, name, budget), tmp_path, monkeypatch)

    return build


def shown(net: SegmentationNet, task: Task, step: int = 0) -> Tensor:
    seen: list[Tensor] = []
    handle = net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    task.losses(step)
    handle.remove()
    return seen[0]


def grown(net: SegmentationNet, task: Task) -> set[str]:
    """Names of the network's parameters that a loss gives a gradient."""
    task.losses(0)[EVERYTHING].backward()
    return {name for name, p in net.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}


def test_the_global_phase_trains_the_encoder_and_g1(prepare: Any) -> None:
    net, task, _ = prepare(*GLOBAL)
    found = grown(net, task)
    assert all(name.startswith("encoder.") for name in found)
    assert {n for n, _ in net.encoder.named_parameters() if n.endswith("0.weight")} <= {n[8:] for n in found}
    trained = {id(p) for p in task.modules.parameters()}
    assert not trained & {id(p) for p in net.decoder.parameters()}
    assert {id(p) for p in net.encoder.parameters()} < trained
    assert task.images_per_step == 24


def test_the_global_phase_shows_originals_untouched_and_views_changed(prepare: Any) -> None:
    net, task, inputs = prepare(*GLOBAL)
    batch = shown(net, task)
    slices = inputs.images(inputs.split.pretrain)
    is_slice = (batch[:, None] == slices[None]).flatten(2).all(dim=2).any(dim=1)
    assert is_slice.tolist() == [True] * 8 + [False] * 16  # two volumes x four partitions x (original, a, b)
    assert batch[8:].min() >= 0


def test_no_test_or_validation_slice_is_in_a_pretraining_pool(prepare: Any) -> None:
    _, _, inputs = prepare(*GLOBAL)
    volumes = inputs.split.pretrain
    labels = partitions_of(inputs.store, volumes, 4, "paper")
    pool = pool_of(inputs, volumes, labels, 4)
    assert len(pool.row) == 5 * DEPTH
    assert inputs.split.test == inputs.split.validation == ()  # it does not even know them
    assert pool.partition.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] * 5
    assert pool.volume.tolist() == [i for i in range(5) for _ in range(DEPTH)]


def test_zero_images_of_the_release_are_zero_in_every_view(prepare: Any) -> None:
    """D1: the release never fills the last group, its views included."""
    options = {"strategies": {"gd": {"zero_group": "release"}}, "pretrain_global": {"images": 48}}
    net, task, _ = prepare(*GLOBAL, **options)
    batch = shown(net, task)
    assert len(batch) == 48
    empty = (batch == 0).flatten(1).all(dim=1)
    assert empty.sum() == 24  # two of four volumes
    assert empty.tolist() == ([False] * 8 + [True] * 8) * 3


def test_release_scalars_reach_the_images(prepare: Any) -> None:
    """D6: with one scalar a view, images that were equal before are equal after; drawn per image, they are not."""
    for scalars, expected in (("paper", False), ("release", True)):
        views = {"scalars": scalars, "crop": 1.0, "crop_start": (0.0, 0.0), "clip": (-9.0, 9.0)}
        net, task, _ = prepare(*GLOBAL, pretrain_global={"views": views})
        batch = shown(net, task)
        ratio = batch[8:16].flatten(1).std(dim=1) / batch[:8].flatten(1).std(dim=1)  # f of view a
        assert bool(ratio.std() < 1e-3) is expected


def test_the_local_phase_trains_the_first_blocks_and_g2_only(prepare: Any) -> None:
    net, task, _ = prepare(*LOCAL)
    found = grown(net, task)
    assert found
    assert all(name.startswith("decoder.blocks.0.") for name in found)
    assert all(p.grad is None for p in net.encoder.parameters())
    assert not any(p.requires_grad for p in net.encoder.parameters())
    assert all(p.grad is not None for p in task.modules["head"].parameters())  # type: ignore[index,union-attr]
    others = {id(p) for b in net.decoder.blocks[1:] for p in b.parameters()} | {id(p) for p in net.head.parameters()}
    assert not others & {id(p) for p in task.modules.parameters()}


def test_local_blocks_can_be_asked_for(prepare: Any) -> None:
    net, task, _ = prepare(*LOCAL, pretrain_local={"blocks": 2})
    assert {name.split(".")[2] for name in grown(net, task)} == {"0", "1"}


def test_local_views_are_not_cropped(prepare: Any) -> None:
    net, task, inputs = prepare(*LOCAL, pretrain_local={"views": {"clip": (-9.0, 9.0)}})
    batch = shown(net, task)
    slices = inputs.images(inputs.split.pretrain).flatten(1)
    for image in batch.flatten(1):
        centred = slices - slices.mean(dim=1, keepdim=True)
        own = image - image.mean()
        cosine = (centred @ own) / (centred.norm(dim=1) * own.norm())
        assert cosine.max() > 0.9999  # a slice but for brightness and contrast


def averages(net: SegmentationNet) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in net.encoder.state_dict().items() if "running" in k}


def test_the_frozen_encoders_batch_norm(prepare: Any) -> None:
    """D21: release, batch statistics, whose averages move; paper, the averages of the global phase, which stay."""
    losses = {}
    for mode in ("release", "paper"):
        net, task, _ = prepare(*LOCAL, pretrain_local={"frozen_batchnorm": mode})
        before = averages(net)
        losses[mode] = task.losses(0)[EVERYTHING].item()
        moved = [k for k, v in averages(net).items() if not torch.equal(v, before[k])]
        assert bool(moved) == (mode == "release")
        assert net.encoder.training == (mode == "release")
        assert net.decoder.blocks[0].training
    assert losses["release"] != losses["paper"]


def test_the_region_projection(prepare: Any) -> None:
    """D9: release adds one dense layer from nine pixels to 128 values, and draws everything else alike."""
    nets, counts, batches = {}, {}, {}
    for mode in ("paper", "release"):
        net, task, _ = prepare(*LOCAL, pretrain_local={"region_projection": mode})
        nets[mode], counts[mode] = net, sum(p.numel() for p in task.modules["head"].parameters())  # type: ignore[index]
        batches[mode] = shown(net, task)
        assert torch.isfinite(task.losses(0)[EVERYTHING])
        projection = task.modules["head"].project  # type: ignore[index,union-attr]
        if mode == "release":
            task.losses(0)[EVERYTHING].backward()
            assert (projection.weight.grad != 0).any()
        else:
            assert projection is None
    assert counts["release"] - counts["paper"] == 9 * 16 * 128
    assert torch.equal(batches["paper"], batches["release"])


def test_the_release_intensity_reaches_the_batch_and_nothing_else(prepare: Any) -> None:
    """D11, and that fine-tuning shows the augmented slices of labelled volumes only."""
    quiet = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0}
    batches = {}
    for mode in ("paper", "release"):
        net, task, inputs = prepare(*FINETUNE, finetune={"augment": {**quiet, "intensity": mode}})
        batches[mode] = shown(net, task)
        assert task.images_per_step == len(batches[mode]) == 8
    labelled = inputs.images(inputs.split.train).flatten(1)
    assert len(labelled) == 2 * DEPTH
    nearest = torch.cdist(batches["release"].flatten(1), labelled).min(dim=1)
    assert nearest.values.max() < 1e-3
    assert (torch.cdist(batches["paper"].flatten(1), labelled).min(dim=1).values > 3e-3).all()
    centred = [b - b.mean(dim=(1, 2, 3), keepdim=True) for b in (batches["paper"], batches["release"])]
    torch.testing.assert_close(centred[0][4:], centred[1][4:], atol=1e-5, rtol=0)  # the second half changes brightness alone


def test_fine_tuning_trains_everything(prepare: Any) -> None:
    net, task, _ = prepare(*FINETUNE)
    task.losses(0)[EVERYTHING].backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("job", [GLOBAL, LOCAL, FINETUNE])
def test_a_step_draws_the_same_again_and_another_step_others(prepare: Any, job: tuple[Any, ...]) -> None:
    net, task, _ = prepare(*job)
    first = shown(net, task, 3)
    torch.rand(7)
    assert torch.equal(shown(net, task, 3), first)
    assert not torch.equal(shown(net, task, 4), first)
    other, again, _ = prepare(*job)
    assert torch.equal(shown(other, again, 3), first)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
