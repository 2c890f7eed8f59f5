"""Training with labels, and the predictions for the test; a run that was killed goes on from its checkpoint."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stage
from glocalseg.stages.finetune import finetune

if __name__ == "__main__":
    run(stage(finetune), gpu=True)
