"""The one training loop: resumable to the bit, stopped by a signal without loss, stopped by a named error when it diverges."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from glocalseg.training.checkpoint import State, load_state, optimiser_tensors, restore_optimiser, save_state
from glocalseg.training.divergence import Watch
from glocalseg.training.meter import Meter, write_rows

LOG_COLUMNS = ["step", "loss", "learning_rate", "images_per_second"]
LOG_ROWS = 100  # about as many rows as a log gets


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
    """Learning rate by step: constant, or linear warm-up and a half cosine to zero."""

    peak: float
    steps: int
    cosine: bool = False
    warmup: float = 0.0

    def __call__(self, step: int) -> float:
        """The rate of step ``step``, from 0."""
        if not self.cosine:
            return self.peak
        rising = round(self.warmup * self.steps)
        if step < rising:
            return self.peak * (step + 1) / rising
        return self.peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))


@dataclass(frozen=True)
class Job:
    """What identifies a run and where it writes; ``key`` guards its checkpoint."""

    label: str
    key: str
    folder: Path


def train(
    job: Job,
    net: nn.Module,
    loss: Callable[[int], Tensor],
    *,
    steps: int,
    schedule: Schedule,
    images_per_step: int,
    checkpoint_every: int,
    observer: Observer | None = None,
    observe_every: int = 0,
) -> tuple[float, float]:
    """Train a network by Adam, from its checkpoint if there is one, and write ``log.csv``.

    Args:
        net: module that holds everything trained; parameters without gradient stay as they are.
        loss: scalar loss of step ``n`` (from 0); all its randomness must depend on n alone.
        observer: called every ``observe_every`` steps and after the last.

    Returns:
        Wall seconds (those before an interruption included) and images per second.

    Raises:
        DivergedError: if a loss or a weight is nan or infinite; nothing is logged, selected or saved of it.
        Interrupted: on SIGTERM, after a checkpoint was written.
    """
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=schedule.peak, fused=True)
    state = load_state(job.folder, job.key)
    rows: list[dict[str, Any]] = []
    first, seconds = 0, 0.0
    if state is not None:
        first, seconds, rows = state.step, state.extra["seconds"], state.extra["rows"]
        _restore(net, optimiser, observer, state)
    meter = Meter(job.label, steps=steps, images_per_step=images_per_step, done=first, seconds=seconds)
    watch = Watch(job.label, parameters, first)
    log_every = max(1, steps // LOG_ROWS)

    def save(done: int) -> None:
        watch.weights(done)
        save_state(job.folder, job.key, _state(done, net, optimiser, observer, {"seconds": meter.seconds, "rows": rows}))

    with _stop_on_sigterm() as stopped:
        for step in range(first, steps):
            rate = schedule(step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            value = loss(step)
            value.backward()
            optimiser.step()
            watch.add(value)
            done = step + 1
            logged = watch.loss(done) if done % log_every == 0 or done == steps else None
            if logged is not None:
                speed = round(meter.images_per_second(done), 1)
                rows.append({"step": done, "loss": logged, "learning_rate": rate, "images_per_second": speed})
                write_rows(job.folder / "log.csv", rows, LOG_COLUMNS)
            meter.tick(done, logged)
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
        write_rows(job.folder / "log.csv", rows, LOG_COLUMNS)
    else:
        save(steps)  # what follows the training, a test say, may be interrupted too
    return meter.seconds, rows[-1]["images_per_second"]


def _state(
    step: int, net: nn.Module, optimiser: torch.optim.Optimizer, observer: Observer | None, extra: dict[str, Any]
) -> State:
    tensors = {f"net/{name}": t for name, t in net.state_dict().items()} | optimiser_tensors(optimiser)
    if observer is not None:
        seen, extra["observer"] = observer.state()
        tensors |= {f"observer/{name}": t for name, t in seen.items()}
    return State(step, tensors, extra)


def _restore(net: nn.Module, optimiser: torch.optim.Optimizer, observer: Observer | None, state: State) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}

    net.load_state_dict(part("net/"))
    restore_optimiser(optimiser, state.tensors)
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
