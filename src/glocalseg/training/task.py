"""What is trained: all that the loop, the checkpoint, the selection and the throughput program know of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

EVERYTHING = "all"  # name of the one optimiser that most tasks have


def nothing(step: int) -> None:
    """What most tasks do after a step."""


def none() -> dict[str, Tensor]:
    """The diagnostics of a task that has none."""
    return {}


@dataclass(frozen=True)
class Task:
    """A method at work on its slices. Everything random in it depends on the run's seed and the step alone.

    Args:
        modules: all that is trained or remembered (network, heads, momentum copies, second networks, discriminators): saved and
            resumed whole, so every state must be a parameter or a buffer.
        losses: step, from 0, to the loss of each optimiser that steps; scalars, float32. A method with one optimiser calls it
            ``EVERYTHING``.
        forward: the network step inside ``losses``, images (N, 1, H, W) to what the loss compares: what a twin without data runs.
        images_per_step: how many images go through the network in a step.
        result: what is validated, tested and handed on: the network, or a teacher that remembers it.
        optimised: modules by optimiser, for methods with several; every optimiser sees the gradient of its own loss alone.
            Optimisers that are given the very same tensor share one backward pass.
        rates: what an optimiser's learning rate is of the schedule's, 1 where it is not named.
        after_step: called with the step when its optimisers are done, for momentum copies.
        diagnostics: numbers of the last step, scalars without gradient, that show the method's known way of failing; the names
            are those that its class declares. Asked only after ``losses``, at the rows of the log, where they become columns.
    """

    modules: nn.ModuleDict
    losses: Callable[[int], dict[str, Tensor]]
    forward: Callable[[Tensor], Tensor]
    images_per_step: int
    result: nn.Module
    optimised: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    after_step: Callable[[int], None] = nothing
    diagnostics: Callable[[], Mapping[str, Tensor]] = none

    def parameters(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser that need a gradient; of all modules where ``optimised`` names none."""
        parts = self.optimised or {EVERYTHING: tuple(self.modules)}
        return {
            name: [p for module in modules for p in self.modules[module].parameters() if p.requires_grad]
            for name, modules in parts.items()
        }
