"""Every file of every finished result against the sha256 of when it was made."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.check import main

if __name__ == "__main__":
    main()
