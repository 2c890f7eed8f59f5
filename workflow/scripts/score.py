"""Scores of a fine-tuning's predictions against the native labels."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stage
from glocalseg.stages.score import score

if __name__ == "__main__":
    run(stage(score))
