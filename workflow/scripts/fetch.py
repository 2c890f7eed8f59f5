"""A data set from its publisher, a mirror or a person to data/raw: with fetch_weights the only program that uses the network."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.data.jobs import bring
from glocalrun.program import run

if __name__ == "__main__":
    run(bring)
