"""What only a GPU can show: CUDA graphs give the eager step, the same bits every time, and no step waits. Skipped without one.

.venv/bin/python -m pytest tests/stages/test_on_a_gpu.py -v
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

from glocalseg.methods.catalogue import regimes, strategies
from glocalseg.stages import finetune
from glocalseg.stages.opening import Inputs
from glocalseg.training.loop import Schedule, train
from glocalseg.training.task import Task

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]
LOCAL = [name for name, entry in strategies().items() if entry.part == "decoder"]
GLOBAL = [name for name, entry in strategies().items() if entry.part != "decoder"]
REGIMES = [name for name in regimes() if name != "supervised"]
METHODS = [
    {}, *({"global": "gd", "local": name} for name in LOCAL), *({"global": name} for name in GLOBAL),
    *({"regime": name} for name in REGIMES),
]  # fmt: skip
JOBS = [
    *(("pretrain_global", name) for name in GLOBAL),
    *(("pretrain_local", f"gd+{name}") for name in LOCAL),
    ("finetune", "random"),
    *(("finetune", f"random+{name}") for name in REGIMES),
]
WARM = 4  # compiler, warm-up, recording, first replay
Build = Callable[..., tuple[Task, Inputs]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A phase's task on the GPU, compiled or not."""

    def task(phase: str, name: str, compiled: str, precision: str = "float32", folder: str = "run") -> tuple[Task, Inputs]:
        plan = small_plan(methods=METHODS, upper_bound=False, network={"compiled": compiled, "precision": precision})
        if not (tmp_path / folder).exists():
            write_data(tmp_path / folder, plan)
        _, made, inputs = task_of(find(plan, phase, name), tmp_path / folder, monkeypatch)
        assert inputs.device.describe()["compiled"] is (compiled == "always")
        return made, inputs

    return task


def total(task: Task, step: int) -> Tensor:
    """The sum of all losses of a step; one that several optimisers share counts once."""
    return sum({id(loss): loss for loss in task.losses(step).values()}.values(), torch.zeros((), device="cuda"))


def trained(
    build: Build, phase: str, name: str, *, folder: str, compiled: str, stop: int | None = None
) -> dict[str, Tensor]:
    """Weights after twelve steps, saved every fifth; ``stop`` is where the process ends."""
    task, inputs = build(phase, name, compiled, folder=folder)

    def losses(step: int) -> dict[str, Tensor]:
        if step == stop:
            raise KeyboardInterrupt
        return task.losses(step)

    train(inputs.place, replace(task, losses=losses), steps=12, schedule=Schedule(1e-3, 12), checkpoint_every=5)
    return {n: t.cpu() for n, t in task.modules.state_dict().items()}


@pytest.mark.parametrize("compiled", ["never", "always"])
@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_the_same_bits_twice_and_after_an_interruption(build: Build, phase: str, name: str, compiled: str) -> None:
    whole = trained(build, phase, name, folder="whole", compiled=compiled)
    again = trained(build, phase, name, folder="again", compiled=compiled)
    with pytest.raises(KeyboardInterrupt):
        trained(build, phase, name, folder="broken", compiled=compiled, stop=8)
    resumed = trained(build, phase, name, folder="broken", compiled=compiled)
    for other in (again, resumed):
        assert [n for n in whole if not torch.equal(whole[n], other[n])] == []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_the_replayed_graphs_give_the_loss_of_the_eager_step(build: Build, phase: str, name: str, precision: str) -> None:
    """Step by step with frozen weights, past the recording: what a replay overwrites too early would show here."""
    losses: dict[str, list[Any]] = {}
    for compiled in ("never", "always"):
        task, _ = build(phase, name, compiled, precision)
        losses[compiled] = []
        for step in range(WARM + 4):
            task.modules.zero_grad(set_to_none=True)
            loss = total(task, step)
            loss.backward()
            gradient = torch.cat([p.grad.flatten() for p in task.modules.parameters() if p.grad is not None])
            losses[compiled].append((float(loss), float(gradient.norm())))
    tolerance = 1e-2 if precision == "float32" else 0.1
    torch.testing.assert_close(torch.tensor(losses["always"]), torch.tensor(losses["never"]), rtol=tolerance, atol=1e-3)


@pytest.mark.parametrize("compiled", ["never", "always"])
@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_no_step_waits_for_the_gpu(build: Build, phase: str, name: str, compiled: str) -> None:
    task, _ = build(phase, name, compiled)
    optimiser = torch.optim.Adam([p for p in task.modules.parameters() if p.requires_grad], fused=True)

    def step(number: int) -> None:
        optimiser.zero_grad(set_to_none=True)
        total(task, number).backward()
        optimiser.step()
        task.after_step(number)

    for number in range(WARM):
        step(number)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(WARM, WARM + 4):
            step(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_validation_between_replays_changes_no_bit(build: Build) -> None:
    """It runs the network as it is, on another batch, in memory that the graphs do not own."""

    def weights(*, validated: bool) -> dict[str, Tensor]:
        task, inputs = build("finetune", "random", "always", folder=f"validated {validated}")
        optimiser = torch.optim.Adam(task.modules.parameters(), fused=True)
        for step in range(WARM + 4):
            optimiser.zero_grad(set_to_none=True)
            total(task, step).backward()
            optimiser.step()
            if validated:
                finetune._validate(task.result, inputs, finetune.selecting_volumes("validation", inputs.split))
        return {n: t.cpu() for n, t in task.modules.state_dict().items()}

    with_it, without = weights(validated=True), weights(validated=False)
    assert [n for n in without if not torch.equal(with_it[n], without[n])] == []
