"""What a pretraining learned, judged without labels."""

from __future__ import annotations

from pathlib import Path

from _program import Call, run

from glocalseg.stages.diagnose import diagnose


def work(call: Call) -> None:
    """Make the run's run.json."""
    diagnose(call.job, call.plan, Path("."))


if __name__ == "__main__":
    run("diagnose", work, gpu=True)
