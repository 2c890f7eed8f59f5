"""What Snakemake's options for making things again do here, where existing means current (docs/decisions.md)."""

import os
import sys

from glocalrun.calls import before, mark
from glocalrun.data.current import forget_other_weights, forget_stale
from glocalseg.plan.lacking import lacking

_forced = {}
_lacking = {}  # by the plan's report


def again(record):
    """Whether a record is to be made although it is there: it was forced, starts from one that was, or lacks its arrays."""
    return forced_here(record) or record in without_arrays()


def forced_here(record):
    """Whether a record was forced, or starts from one that was."""
    if record not in _forced:
        job = JOBS[record]
        made_by = "prepare" if job.phase == "data" else job.phase
        _forced[record] = forced(made_by, record) or any([forced_here(str(parent)) for parent in job.parents])
    return _forced[record]


def without_arrays():
    """The records of runs from a published report (`make restore`) whose weights, predictions or slices a missing run needs.

    They are made again; what else starts from them, and is there, stays.
    """
    plan = str(PLAN.report.record)
    if plan not in _lacking:
        looks = only_looks() or not workflow.is_main_process
        found = () if looks else lacking(PLAN, lambda path: not path.exists() or forced_here(str(path)))
        _lacking[plan] = {str(path) for path in found}
        force(_lacking[plan])
    return _lacking[plan]


def mark_again():
    """Tell the programs which of the records that are there they are to make anew: they would bring them back otherwise."""
    outputs = [str(path) for job in to_run() for path in job.output]
    marked = [path for path in outputs if path in JOBS and again(path) and os.path.exists(path)]
    mark(STATE, marked)
    if bare := [path for path in marked if path in without_arrays()]:
        logger.info(
            f"{len(bare)} came from a published report without weights and predictions, and what is missing starts from them: "
            "they are made again."
        )
    if kept := [path for path in outputs if path.endswith("fetched.json") and forced("fetch", path)]:
        logger.info(
            f"What was downloaded stays. To fetch it again: rm -r {' '.join(os.path.dirname(path) for path in kept)}"
        )
    if targets_forced() and not outputs:
        logger.info(
            "--force without a target makes nothing: it means the rule all alone. Name records, or use --forcerun <rule> "
            "or --forceall"
        )
    return marked


def refuse_touching(executor_plugin, **_):
    """Stop a call with --touch: it would change dates, which nothing here looks at."""
    if executor_plugin.common_settings.touch_exec:
        sys.exit(
            "--touch: no date decides anything here, so there is nothing to touch: a result that is there is current, because "
            "its path holds the key of all that it was made of. To make results again: --forcerun <rule>, --forceall, or "
            "`rm -r` their folders"
        )


def refuse_deleting(only_temp=False, **_):
    """Stop a call with --delete-all-output: it knows the records only, and would leave the files beside them."""
    if not only_temp:
        sys.exit(
            "--delete-all-output: a result goes with its whole folder, of which Snakemake knows one file. `rm -r` the folders "
            "that are to be made again (results/<phase>/<data set>/...), or use --forcerun <rule>; `make prune` lists those that "
            "no configuration gives any more. Nothing was deleted"
        )


def verify_again(executor_plugin, **_):
    """Have data verified again whose lock file was taken away, or is another one; a dry run says what it cannot know."""
    if executor_plugin.common_settings.dryrun_exec:
        if UNLOCKED:
            logger.info(
                f"{', '.join(UNLOCKED)}: never verified: the keys in the paths below are provisional. A call without -n fetches "
                "and verifies the data first, and goes on with the keys that it has then."
            )
        if UNFETCHED:
            logger.info(
                f"{', '.join(UNFETCHED)}: these weights were never fetched: the keys of what starts from them are provisional. A "
                "call without -n fetches them first."
            )
    elif workflow.is_main_process:
        for card in PLAN.cards.values():
            forget_stale(card)
        for own in PLAN.bought.values():
            forget_other_weights(own)


def verify_too(*_, **__):
    """Have a call with --until verify data, and fetch weights, that never were: what it stops at is in the graph only after that."""
    if UNLOCKED and workflow.dag_settings.until:
        until_too("verify")
    if UNFETCHED and workflow.dag_settings.until:
        until_too("fetch_weights")


before(workflow, "execute", refuse_touching)
before(workflow, "execute", verify_again)
before(workflow, "execute", verify_too)
before(workflow, "delete_output", refuse_deleting)
