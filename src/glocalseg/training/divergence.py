"""A training that left the numbers is stopped before anything is made of it, without waiting for the device at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class DivergedError(RuntimeError):
    """A training whose loss or weights are no longer numbers."""


class Watch:
    """Takes every loss and keeps the newest, or the first that was no number: one value on the device, looked at when asked."""

    def __init__(self, label: str, weights: Sequence[Tensor], done: int) -> None:
        self._label, self._weights, self._sound = label, weights, done
        self._loss = torch.zeros((), device=weights[0].device)

    def add(self, loss: Tensor) -> None:
        """Take the loss of one more step; waits for nothing."""
        self._loss = torch.where(torch.isfinite(self._loss), loss.detach(), self._loss)

    def loss(self, done: int) -> float:
        """The newest loss, after ``done`` steps. Raises DivergedError that names the steps since the last look."""
        found = float(self._loss)
        if not math.isfinite(found):
            steps = f"step {done}" if self._sound >= done - 1 else f"steps {self._sound + 1} to {done}"
            raise DivergedError(f"{self._label}: {steps}: expected a finite loss, found {found}")
        self._sound = done
        return found

    def weights(self, done: int) -> None:
        """Raises DivergedError if a loss or a weight is no number: a gradient can be none where its loss is one."""
        self.loss(done)
        if not torch.stack([w.detach().isfinite().all() for w in self._weights]).all():
            raise DivergedError(f"{self._label}: step {done}: expected finite weights, found nan or infinity")
