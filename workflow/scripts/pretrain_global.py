"""Global contrastive pretraining of an encoder."""

from __future__ import annotations

from pathlib import Path

from _program import Call, run

from glocalseg.stages.pretrain_global import pretrain


def work(call: Call) -> None:
    """Make the run's run.json; a run that was killed goes on from its checkpoint."""
    pretrain(call.job, call.plan, Path("."))


if __name__ == "__main__":
    run("pretrain", work, gpu=True)
