"""One phase of one data set for DVC."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.stage import main

if __name__ == "__main__":
    main()
