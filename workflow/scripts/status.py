"""What of a benchmark is finished, runs, waits or failed, how long it still takes, and its scores so far."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.status import main

if __name__ == "__main__":
    main()
