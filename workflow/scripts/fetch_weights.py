"""Bought-in weights from their publisher or a person to data/weights."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.data.jobs import bring_weights
from glocalrun.program import run

if __name__ == "__main__":
    run(bring_weights)
