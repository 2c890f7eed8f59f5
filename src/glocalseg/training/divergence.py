"""A training that left the numbers is stopped before anything is made of it, without waiting for the device at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class DivergedError(RuntimeError):
    """A training whose loss or weights are no longer numbers."""


class Watch:
    """Takes every loss and keeps the newest since the last look, or the first that was no number: values on the device.

    What was looked at is forgotten: a loss that a later stage of a training does not have is none of its losses, and a resumed
    training, which begins with nothing to look at, has the same ones.
    """

    def __init__(self, label: str, weights: Sequence[Tensor], done: int) -> None:
        self._label, self._weights, self._sound = label, weights, done
        self._losses: dict[str, Tensor] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of one more step; waits for nothing."""
        for name, loss in losses.items():
            new, old = loss.detach(), self._losses.get(name)
            self._losses[name] = new if old is None else torch.where(torch.isfinite(old), new, old)

    def losses(self, done: int) -> dict[str, float]:
        """The newest losses since the last look, after ``done`` steps. Raises DivergedError that names the steps since then."""
        found = {name: float(loss) for name, loss in self._losses.items()}
        self._losses = {}
        for name, value in found.items():
            if not math.isfinite(value):
                steps = f"step {done}" if self._sound >= done - 1 else f"steps {self._sound + 1} to {done}"
                which = "loss" if len(found) == 1 else f"loss of {name!r}"
                raise DivergedError(f"{self._label}: {steps}: expected a finite {which}, found {value}")
        self._sound = done
        return found

    def weights(self, done: int) -> None:
        """Raises DivergedError if a loss or a weight is no number: a gradient can be none where its loss is one."""
        self.losses(done)
        if not torch.stack([w.detach().isfinite().all() for w in self._weights]).all():
            raise DivergedError(f"{self._label}: step {done}: expected finite weights, found nan or infinity")
