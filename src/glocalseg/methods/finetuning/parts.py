"""A training in parts, each of which has the whole schedule of the learning rate to itself."""

from __future__ import annotations

from dataclasses import dataclass

from glocalseg.training.loop import Schedule


@dataclass(frozen=True)
class InParts(Schedule):
    """As ``Schedule``, begun anew at every step of ``begins``, counted after ``lead``: each part warms up and comes down.

    ``begins`` is in ascending order; parts without a step are passed over.
    """

    begins: tuple[int, ...] = ()

    def __call__(self, step: int) -> float:
        """The rate of step ``step``, from 0."""
        step -= self.lead
        began = max((b for b in self.begins if b <= step), default=0)
        ends = min((b for b in self.begins if b > step), default=self.steps)
        return Schedule(self.peak, ends - began, cosine=self.cosine, warmup=self.warmup)(step - began)
