"""Training with labels, or a control without, and the labels of the test volumes; a killed run goes on from its checkpoint."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stages
from glocalseg.stages.finetune import finetune
from glocalseg.stages.frozen.head import tune_head
from glocalseg.stages.specs import FinetuneSpec, HeadSpec, UntrainedSpec
from glocalseg.stages.untrained import label

if __name__ == "__main__":
    run(stages({FinetuneSpec: finetune, HeadSpec: tune_head, UntrainedSpec: label}), gpu=True)
