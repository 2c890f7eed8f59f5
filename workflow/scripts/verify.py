"""Every file of a data set against its card; the lock file of data that a person brought."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.data.jobs import check
from glocalrun.program import run

if __name__ == "__main__":
    run(check)
