"""Label images with an exported network."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.predict import main

if __name__ == "__main__":
    main()
