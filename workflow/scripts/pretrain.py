"""Pretraining of a network or a part of it; a run that was killed goes on from its checkpoint."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stage
from glocalseg.stages.pretrain import pretrain

if __name__ == "__main__":
    run(stage(pretrain), gpu=True)
