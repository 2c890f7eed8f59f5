"""What a pretraining learned, judged without labels."""

import _checkout  # noqa: F401  this checkout's code, before all else

from glocalrun.program import run, stage
from glocalseg.stages.diagnose import diagnose

if __name__ == "__main__":
    run(stage(diagnose), gpu=True)
