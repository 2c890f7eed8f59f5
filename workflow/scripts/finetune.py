"""Training with labels, and the test."""

from __future__ import annotations

from pathlib import Path

from _program import Call, run

from glocalseg.stages.finetune import finetune


def work(call: Call) -> None:
    """Make the run's run.json; a run that was killed goes on from its checkpoint."""
    finetune(call.job, call.plan, Path("."))


if __name__ == "__main__":
    run("fine-tune", work, gpu=True)
