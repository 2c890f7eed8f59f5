"""Volumes of a data set to its slice store."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.data.jobs import slice_up
from glocalrun.program import run

if __name__ == "__main__":
    run(slice_up)
