"""What changed between two reports, and whether that is within noise."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.reports.diff import main

if __name__ == "__main__":
    main()
