"""`dvc plots` as one page that needs no network: python workflow/scripts/plots.py [show | diff REVISIONS...]"""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.tools.plots import main

if __name__ == "__main__":
    main()
