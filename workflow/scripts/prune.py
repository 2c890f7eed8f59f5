"""List, or remove, computed folders whose key no configuration of the present commit gives."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.prune import main

if __name__ == "__main__":
    main()
