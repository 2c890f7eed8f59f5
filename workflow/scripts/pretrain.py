"""DOC"""

from __future__ import annotations

from pathlib import Path

from _program import Call, run

IMPORT


def work(call: Call) -> None:
    """Make the run.json of one run; goes on from its checkpoint if there is one."""
    CALL(call.job, call.plan, Path("."))


if __name__ == "__main__":
    run("pretrain", work)
