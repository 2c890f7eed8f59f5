"""The runs of a published report put where a benchmark goes on from them."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.published.restore import main

if __name__ == "__main__":
    main()
