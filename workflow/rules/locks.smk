"""The lock of a call of Snakemake that was killed: taken away before this call asks for it, and by no dry run or linting."""

from glocalrun import calls


def free_dead_lock(executor_plugin, **_):
    """Take the lock away if every call that noted itself in this folder is dead."""
    if workflow.is_main_process and not executor_plugin.common_settings.dryrun_exec:
        if dead := calls.free_dead_lock():
            logger.warning(f"The lock of a call that was killed ({', '.join(dead)}) was taken away.")


calls.before(workflow, "execute", free_dead_lock)
