"""All that this project asks of Snakemake beyond what its documentation promises: looked at here, where it changes with versions."""

import sys

import snakemake

NEXT = 10  # the first major version that nobody has tried


if int(snakemake.__version__.split(".")[0]) >= NEXT:
    sys.exit(
        f"snakemake: expected version 9.20 or later 9, found {snakemake.__version__}: `make setup` installs one that fits"
    )


def only_looks():
    """Whether this call runs nothing and is no dry run either: --report, --rulegraph, --summary, ..."""
    return workflow.execution_settings is None


def asked():
    """Every file that this call was asked for, those that are there already included."""
    return {str(path) for job in workflow.dag.jobs for path in job.output}


def to_run():
    """The jobs that this call will run."""
    return [job for job in workflow.dag.needrun_jobs() if job.output]


_ours = set()  # files that were forced here, and by nobody who called


def forced(rule, path):
    """Whether --force, --forcerun or --forceall names a rule or a file. A job that Snakemake calls itself for is always forced."""
    dag = workflow.dag
    named = path in dag.forcefiles and path not in _ours
    return workflow.is_main_process and (named or any(r.name == rule for r in dag.forcerules))


def force(paths):
    """Have files made that are there, if a job of this call makes them: while the graph is built, before it is asked what runs."""
    _ours.update(path for path in paths if path not in workflow.dag.forcefiles)
    workflow.dag.forcefiles.update(paths)


def targets_forced():
    """Whether --force was given."""
    return workflow.dag_settings.forcetargets


def failed():
    """Whether a job failed for good, and nobody stopped the run."""
    return bool(getattr(workflow.scheduler, "failed", None))


def requests():
    """Rule, threads, minutes and resources of what will be submitted, an allocation that several jobs share as one.

    The resources are those of the first attempt, but the minutes those of the last: sbatch takes a job that is too long, and it
    waits for ever.
    """
    for job in to_run():
        if not job.is_local:
            unit = workflow.dag.get_job_group(job) or job
            unit.attempt = workflow.execution_settings.retries + 1
            longest = unit.resources.get("runtime", 0)
            unit.attempt = 1
            yield job.rule.name, unit.threads, longest, unit.resources


def executor():
    """Name of the executor: ``local``, ``slurm``, ..."""
    return getattr(workflow.executor_plugin, "name", "")


def slots(threads):
    """How many jobs of so many threads may run at a time: allocations of a cluster, or shares of this machine's cores."""
    given = workflow.resource_settings
    return given.nodes or max(1, (given.cores or 1) // threads)


def let_run(resource, number):
    """Limit a resource of jobs on this machine, unless --resources does."""
    if resource not in workflow.global_resources:
        workflow.register_resource(resource, number)


def until_too(rule):
    """Let --until stop at a further rule."""
    workflow.dag_settings.until = frozenset({*workflow.dag_settings.until, rule})


def no_checkpoint(rule):
    """Take a checkpoint for a mere rule. A call whose plan is known needs none, and --until would stop before it."""
    workflow.get_rule(rule).is_checkpoint = False
