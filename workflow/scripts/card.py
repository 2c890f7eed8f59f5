"""The card of a data set, drafted from a folder or an archive."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.card import main

if __name__ == "__main__":
    main()
