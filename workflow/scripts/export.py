"""Hand on a trained network, with all that it needs, as a folder that stands alone."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.export import main

if __name__ == "__main__":
    main()
