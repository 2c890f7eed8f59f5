"""All runs of a benchmark to its scores, tables, figures and page."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import ROOT, run
from glocalseg.report.build import build

if __name__ == "__main__":
    run(lambda call: build(call.whole(), ROOT, workers=call.workers))
