"""Runs that were made here held against those of a published report, bit by bit."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.published.verify import main

if __name__ == "__main__":
    main()
