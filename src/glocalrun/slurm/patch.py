"""Two things that Snakemake's executor plugin for SLURM (2.8) has no setting for, changed from outside, here and nowhere else.

Telling names: the plugin calls every job by the id of the run, because it asks for their states by that name. So its submit
command gets the name put in, and its questions ask for the user's jobs instead; states are looked up by job number either way.

Allocations that survive a failed run: the Snakemake inside an allocation goes on with the other runs when one fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from glocalrun.slurm.names import job_name
from glocalseg.plan.jobs import Job

NAMES = ("get_submit_command", "query_job_status_squeue", "query_job_status_sacct")


def adapt(plugin: Any, known: Mapping[str, Job]) -> None:
    """Change the plugin.

    Args:
        plugin: module ``snakemake_executor_plugin_slurm``.
        known: the plan's jobs by record.

    Raises:
        RuntimeError: if this version of the plugin is built differently.
    """
    try:
        submit, squeue, sacct = (getattr(plugin, name) for name in NAMES)
        arguments = plugin.Executor.additional_general_args
        if any("--name probe" not in query("probe") for query in (squeue, sacct)):
            raise AttributeError("a query by --name")
    except AttributeError as error:
        raise RuntimeError(f"snakemake-executor-plugin-slurm: expected version 2.8, found one without {error}") from None

    def submit_by_name(job: Any, params: dict[str, object], **more: object) -> str:
        jobs = [known[path] for path in outputs_of(job) if path in known]
        name = job_name(min(job.rules), jobs) if jobs else f"{min(job.rules)}_{job.wildcards.dataset}"
        return str(submit(job, {**params, "run_uuid": name}, **more))

    def of_user(query: Callable[[str], str]) -> Callable[[str], str]:
        return lambda run: query(run).replace(f"--name {run}", f"--user {os.getuid()}")

    for name, function in zip(NAMES, (submit_by_name, of_user(squeue), of_user(sacct)), strict=True):
        setattr(plugin, name, function)
    plugin.Executor.additional_general_args = lambda executor: f"{arguments(executor)} --keep-going"


def outputs_of(job: Any) -> list[str]:
    """The declared outputs of a Snakemake job or group of jobs."""
    members = getattr(job, "jobs", None) or [job]
    return [str(path) for member in members for path in member.output]
