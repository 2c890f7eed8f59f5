"""The features of all slices of a store, of a network that stays as it is: what heads start from."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stage
from glocalseg.stages.frozen.features import extract

if __name__ == "__main__":
    run(stage(extract), gpu=True)
