"""Enter code that gives the same bits as the last commit's under its generation, so that results keep their keys."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.same_bits import main

if __name__ == "__main__":
    main()
