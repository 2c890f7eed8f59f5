"""A page that shows the data of a configuration before anything is trained."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.look import main

if __name__ == "__main__":
    main()
