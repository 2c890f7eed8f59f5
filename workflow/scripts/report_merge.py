"""Several benchmarks or sites joined into one report."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.reports.merge import main

if __name__ == "__main__":
    main()
