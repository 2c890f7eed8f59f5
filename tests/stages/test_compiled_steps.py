"""A compiled step is the step: same loss and gradients, one graph each, the same bits after an interruption.

``aot_eager`` is what ``torch.compile`` does without a compiler: it traces both directions and runs what it traced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_benchmark import find, small_plan, task_of, write_data
from torch import Tensor

from glocalseg.config.settings import AugmentConfig
from glocalseg.networks.unet import SegmentationNet
from glocalseg.stages import finetune, opening
from glocalseg.stages.opening import Inputs
from glocalseg.training.augment.views import apply_training, draw_training
from glocalseg.training.compiled import INDUCTOR, compile_step, compiler_problem
from glocalseg.training.device import Device, Precision
from glocalseg.training.loop import Schedule, train
from glocalseg.training.task import EVERYTHING, Task

JOBS = [("pretrain_global", "gd"), ("pretrain_local", "gd+lr"), ("finetune", "random")]
Build = Callable[..., tuple[SegmentationNet, Task, Inputs]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A phase's task whose functions are compiled by a backend, or by none."""
    torch._dynamo.reset()

    def task(
        phase: str, name: str, backend: str | None, precision: Precision = "float32", folder: str = "run"
    ) -> tuple[SegmentationNet, Task, Inputs]:
        device = Device(torch.device("cpu"), precision, 1, backend)  # type: ignore[arg-type]
        monkeypatch.setattr(opening, "choose_device", lambda *_, **__: device)
        plan, root = small_plan(upper_bound=False), tmp_path / folder
        if not root.exists():
            write_data(root, plan)
        return task_of(find(plan, phase, name), root, monkeypatch)

    return task


def step(task: Task, number: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Loss, gradients by name, and what the step left in the network: batch norm's averages."""
    task.modules.zero_grad(set_to_none=True)
    loss = task.losses(number)[EVERYTHING]
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in task.modules.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, {n: t.clone() for n, t in task.modules.state_dict().items()}


def assert_same_step(found: tuple[Any, ...], wanted: tuple[Any, ...], *, gradients: float) -> None:
    """Equal but for rounding: loss, batch norm's averages, and gradients as one vector, to a share of its length."""
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=0)
    a, b = (torch.cat([g.flatten() for g in part[1].values()]) for part in (found, wanted))
    assert (a - b).norm() <= gradients * b.norm()
    torch.testing.assert_close(found[2], wanted[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_a_compiled_step_is_the_step_in_two_graphs(build: Build, phase: str, name: str, precision: Precision) -> None:
    (_, eager, _), (_, compiled, _) = build(phase, name, None, precision), build(phase, name, "aot_eager", precision)
    # traced, a bicubic field differs in its last bits, and 1e-6 in an image turns some ReLU on or off
    share = {"finetune": 0.05}.get(phase, 0.0)
    torch._dynamo.utils.counters.clear()
    with torch._dynamo.config.patch(error_on_recompile=True):
        for number in range(3):
            assert_same_step(step(compiled, number), step(eager, number), gradients=share)
    assert not torch._dynamo.utils.counters["graph_break"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # the augmentation and the network


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_on_equal_images_a_compiled_network_is_the_network(
    build: Build, phase: str, name: str, precision: Precision
) -> None:
    images = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = []
    for backend in (None, "aot_eager"):
        _, task, _ = build(phase, name, backend, precision)
        output = task.forward(images)
        output.float().square().mean().backward()
        found.append([output, *(p.grad for p in task.modules.parameters() if p.grad is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_compiled_augmentation_differs_in_the_last_bits_at_most() -> None:
    g = torch.Generator().manual_seed(0)
    images, labels = torch.rand(8, 1, 32, 32, generator=g), torch.rand(8, 3, 32, 32, generator=g)
    draw = draw_training(8, (32, 32), AugmentConfig(), g)
    found = compile_step(apply_training, "aot_eager", cuda_graphs=False)(images, labels, draw)
    torch.testing.assert_close(found, apply_training(images, labels, draw), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_gradients_lie_in_memory_as_their_weights_do(build: Build, phase: str, name: str) -> None:
    """Otherwise every step would copy them before the fused optimiser takes them."""
    _, task, _ = build(phase, name, "aot_eager")
    task.losses(0)[EVERYTHING].backward()
    assert all(p.grad.stride() == p.stride() for p in task.modules.parameters() if p.grad is not None)


def test_validation_runs_the_network_as_it_is(build: Build) -> None:
    """It looks at a copy in inference mode: nothing is compiled again, and the network stays in training mode."""
    net, task, inputs = build("finetune", "random", "aot_eager")
    step(task, 0)
    with torch._dynamo.config.patch(error_on_recompile=True):
        torch._dynamo.utils.counters.clear()
        assert finetune._validate(net, inputs, inputs.split.validation)
        step(task, 1)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    assert net.training


class PowerCut(Exception):
    """The end of a process."""


@pytest.mark.parametrize("backend", [None, "aot_eager"])
def test_a_resumed_training_ends_with_the_same_bits(build: Build, backend: str | None) -> None:

    def train_in(folder: str, stop: int | None = None) -> dict[str, Tensor]:
        _, task, inputs = build("pretrain_global", "gd", backend, folder=folder)

        def losses(number: int) -> dict[str, Tensor]:
            if number == stop:
                raise PowerCut
            return task.losses(number)

        train(inputs.place, replace(task, losses=losses), steps=6, schedule=Schedule(1e-3, 6), checkpoint_every=2)
        return {n: t.clone() for n, t in task.modules.state_dict().items()}

    whole = train_in("whole")
    with pytest.raises(PowerCut):
        train_in("broken", stop=3)
    resumed = train_in("broken")
    assert all(torch.equal(resumed[n], whole[n]) for n in whole)


@pytest.mark.slow
def test_the_real_compiler_gives_the_same_step_and_the_same_bits_twice(build: Build) -> None:
    if problem := compiler_problem(torch.device("cpu")):
        pytest.skip(f"no C++ compiler that torch can use: {problem}")
    (_, eager, _), (_, compiled, _), (_, again, _) = (build(*JOBS[0], backend) for backend in (None, INDUCTOR, INDUCTOR))
    wanted, found, repeated = step(eager, 0), step(compiled, 0), step(again, 0)
    assert_same_step(found, wanted, gradients=0.05)
    assert torch.equal(found[0], repeated[0])
    assert all(
        torch.equal(a, b) for part in (1, 2) for a, b in zip(found[part].values(), repeated[part].values(), strict=True)
    )
