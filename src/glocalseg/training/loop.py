"""The one training loop: resumable to the bit, stopped by a signal without loss, stopped by a named error when it diverges."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from glocalseg.training.checkpoint import State, load_state, optimiser_tensors, restore_optimiser, save_state
from glocalseg.training.divergence import Watch
from glocalseg.training.meter import Meter, write_rows
from glocalseg.training.task import EVERYTHING, Task

LOG = "log.csv"
LOG_ROWS = 100  # about as many rows as a log gets
_LAST = ("learning_rate", "images_per_second")  # columns


class Interrupted(SystemExit):
    """The run was told to stop and has saved its state; the exit status is that of SIGTERM."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Observer(Protocol):
    """Something that looks at the network now and then and remembers, such as the selection of the best weights."""

    def observe(self, step: int) -> None:
        """Look after ``step`` finished steps."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What to save: named tensors, and a JSON-able rest."""

    def restore(self, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
        """Put a saved state back."""


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: constant, or linear warm-up and a half cosine to zero; ``lead`` steps at the peak come before."""

    peak: float
    steps: int
    cosine: bool = False
    warmup: float = 0.0
    lead: int = 0

    def __call__(self, step: int) -> float:
        """The rate of step ``step``, from 0."""
        step -= self.lead
        if not self.cosine or step < 0:
            return self.peak
        rising = round(self.warmup * self.steps)
        if step < rising:
            return self.peak * (step + 1) / rising
        return self.peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))


class Run(Protocol):
    """What identifies a run and where it writes; ``key`` guards its checkpoint."""

    @property
    def label(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def folder(self) -> Path: ...


def train(
    run: Run,
    task: Task,
    *,
    steps: int,
    schedule: Schedule,
    checkpoint_every: int,
    observer: Observer | None = None,
    observe_every: int = 0,
) -> tuple[float, float]:
    """Train a task by Adam, from its checkpoint if there is one, and write ``log.csv``.

    Args:
        task: parameters without gradient stay as they are.
        schedule: learning rate of every optimiser.
        observer: called every ``observe_every`` steps and after the last.

    Returns:
        Wall seconds (those before an interruption included) and images per second.

    Raises:
        DivergedError: if a loss or a weight is nan or infinite; nothing is logged, selected or saved of it.
        Interrupted: on SIGTERM, after a checkpoint was written.
    """
    parameters = task.parameters()
    optimisers = {name: torch.optim.Adam(own, lr=schedule.peak, fused=True) for name, own in parameters.items()}
    state = load_state(run.folder, run.key)
    rows: list[dict[str, Any]] = []
    first, seconds = 0, 0.0
    if state is not None:
        first, seconds, rows = state.step, state.extra["seconds"], state.extra["rows"]
        _restore(task.modules, optimisers, observer, state)
    meter = Meter(run.label, steps=steps, images_per_step=task.images_per_step, done=first, seconds=seconds)
    watch = Watch(run.label, [p for own in parameters.values() for p in own], first)
    log_every = max(1, steps // LOG_ROWS)

    def save(done: int) -> None:
        watch.weights(done)
        extra = {"seconds": meter.seconds, "rows": rows}
        save_state(run.folder, run.key, _state(done, task.modules, optimisers, observer, extra))

    with _stop_on_sigterm() as stopped:
        for step in range(first, steps):
            rate = schedule(step)
            losses = _step(task, optimisers, parameters, step, rate)
            watch.add(losses)
            done = step + 1
            logged = watch.losses(done) if done % log_every == 0 or done == steps else None
            if logged is not None:
                speed = round(meter.images_per_second(done), 1)
                values = {_column(name): value for name, value in logged.items()}
                signs = {name: float(value) for name, value in task.diagnostics().items()}
                rows.append({"step": done, **values, **signs, "learning_rate": rate, "images_per_second": speed})
                write_rows(run.folder / LOG, rows, columns_of(rows))
            meter.tick(done, None if logged is None else sum(logged.values()))
            if observer is not None and (done % observe_every == 0 or done == steps):
                watch.weights(done)
                observer.observe(done)
            stop = stopped()  # asked once: a signal between two questions would leave without saving
            if stop or (done % checkpoint_every == 0 and done < steps):
                save(done)
            if stop:
                raise Interrupted
    meter.close()
    if first == steps:
        write_rows(run.folder / LOG, rows, columns_of(rows))
    else:
        save(steps)  # what follows the training, a test say, may be interrupted too
    return meter.seconds, rows[-1]["images_per_second"]


def columns_of(rows: list[dict[str, Any]]) -> list[str]:
    """The columns of a log in order: those of all rows, since the losses of a stage may begin after the first row."""
    return list(dict.fromkeys(["step", *(name for row in rows for name in row if name not in _LAST), *_LAST]))


def _column(optimiser: str) -> str:
    """The log's column of an optimiser's loss: ``loss`` where there is one optimiser."""
    return "loss" if optimiser == EVERYTHING else f"loss_{optimiser}"


def _step(
    task: Task,
    optimisers: Mapping[str, torch.optim.Optimizer],
    parameters: Mapping[str, list[nn.Parameter]],
    step: int,
    rate: float,
) -> dict[str, Tensor]:
    """One step of every optimiser that has a loss in it; the losses."""
    for name, optimiser in optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = rate * task.rates.get(name, 1.0)
        optimiser.zero_grad(set_to_none=True)
    losses = task.losses(step)
    sharing: dict[int, list[str]] = {}
    for name, loss in losses.items():
        sharing.setdefault(id(loss), []).append(name)
    for left, names in zip(range(len(sharing))[::-1], sharing.values(), strict=True):
        if len(optimisers) == 1:
            losses[names[0]].backward()
        else:  # what another optimiser has gets no gradient of this loss; its graph is kept while other losses share it
            own = [p for name in names for p in parameters[name]]
            losses[names[0]].backward(inputs=own, retain_graph=left > 0)
    for name in losses:
        optimisers[name].step()
    task.after_step(step)
    return losses


def _state(
    step: int,
    modules: nn.Module,
    optimisers: Mapping[str, torch.optim.Optimizer],
    observer: Observer | None,
    extra: dict[str, Any],
) -> State:
    tensors = {f"modules/{name}": t for name, t in modules.state_dict().items()}
    for name, optimiser in optimisers.items():
        tensors |= {f"optimiser/{name}/{key}": t for key, t in optimiser_tensors(optimiser).items()}
    if observer is not None:
        seen, extra["observer"] = observer.state()
        tensors |= {f"observer/{name}": t for name, t in seen.items()}
    return State(step, tensors, extra)


def _restore(
    modules: nn.Module, optimisers: Mapping[str, torch.optim.Optimizer], observer: Observer | None, state: State
) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}

    modules.load_state_dict(part("modules/"))
    for name, optimiser in optimisers.items():
        restore_optimiser(optimiser, part(f"optimiser/{name}/"))
    if observer is not None:
        observer.restore(part("observer/"), state.extra["observer"])


@contextmanager
def _stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        yield lambda: bool(told)
    finally:
        signal.signal(signal.SIGTERM, before)
