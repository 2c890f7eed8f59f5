"""A finished report copied to results/published, which git keeps."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.publish import main

if __name__ == "__main__":
    main()
