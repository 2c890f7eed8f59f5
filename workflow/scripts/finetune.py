"""Training with labels, or a control without training, and the labels of the test volumes; a killed run goes on from its checkpoint."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stage
from glocalseg.stages.finetune import finetune
from glocalseg.stages.specs import FinetuneSpec, Place, UntrainedSpec
from glocalseg.stages.untrained import label


def make(spec: FinetuneSpec | UntrainedSpec, place: Place) -> None:
    """The stage that a specification asks for."""
    if isinstance(spec, UntrainedSpec):
        label(spec, place)
    else:
        finetune(spec, place)


if __name__ == "__main__":
    run(stage(make), gpu=True)
