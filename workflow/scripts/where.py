"""Where the report of a configuration is, and whether it is there."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.where import main

if __name__ == "__main__":
    main()
