"""What depends on where jobs run: the GPUs of this machine, a SLURM cluster, and the Snakemake inside a cluster's job."""

import os
import sys

import _gpus
import _slurm
from glocalseg.data.fetch import FetchError, check_source


localrules:
    all,
    fetch,
    report,


def one_gpu(wildcards):
    """What a job asks for on this machine: 1 if it has GPUs. A cluster's profile says what jobs ask for there."""
    return 1 if workflow.local_exec and not workflow.dryrun and devices() else 0


def devices():
    """The GPUs that jobs on this machine may use; a configuration that names others is one line and no traceback."""
    try:
        return _gpus.visible(BENCHMARK.hardware, os.environ)
    except ConfigError as error:
        sys.exit(str(error))


def limit_gpu_jobs():
    """Let as many jobs that need a GPU run here at a time as there are GPUs for, unless --resources says another number."""
    if workflow.local_exec and devices() and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", len(devices()) * BENCHMARK.hardware.jobs_per_gpu)


def growing(amount):
    """A resource that grows with every attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


def check_cluster():
    """Before anything is submitted: say what this cluster lacks, one line each."""
    if getattr(workflow.executor_plugin, "name", "") != "slurm":
        return
    import snakemake_executor_plugin_slurm as plugin

    found = _slurm.problems(requested(), Path.cwd()) + unreachable()
    if found:
        sys.exit("\n".join(["This run cannot start:", *found]))
    try:
        _slurm.adapt(plugin, JOBS)
    except RuntimeError as error:
        sys.exit(str(error))


def requested():
    """What the jobs to run ask of the cluster, an allocation that several share as one."""
    for job in workflow.dag.needrun_jobs():
        if not job.is_local:
            unit = workflow.dag.get_job_group(job) or job
            unit.attempt = workflow.execution_settings.retries + 1  # sbatch takes a job that is too long, and it waits for ever
            longest = unit.resources.get("runtime", 0)
            unit.attempt = 1
            r = unit.resources
            yield _slurm.Request(
                job.rule.name,
                partition=str(r.get("slurm_partition") or ""),
                threads=unit.threads,
                mem_mb=r.get("mem_mb", 0),
                runtime=longest,
                gpu=r.get("gpu") or 0,
                model=str(r.get("gpu_model") or ""),
            )


def unreachable():
    """Why data that is yet to be fetched cannot be fetched from this machine, one line a data set."""
    lines = []
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == "fetch":
            name = job.wildcards.dataset
            try:
                check_source(PLAN.cards[name], mirror=BENCHMARK.mirror, incoming=Path("data/incoming") / name)
            except FetchError as error:
                lines.append(str(error))
    return lines
