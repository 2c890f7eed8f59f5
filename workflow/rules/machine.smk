"""What depends on where jobs run: the GPUs of this machine, and a SLURM cluster."""

import os
import sys

from glocalrun import gpus
from glocalrun.slurm.checks import Request, problems
from glocalrun.slurm.patch import adapt
from glocalseg.data.acquire.fetch import FetchError, check_source
from glocalseg.weights.fetch import check_weights_source


localrules:
    all,
    fetch,
    fetch_weights,
    report,


def one_gpu(wildcards):
    """What a job asks for on this machine: 1 if it has GPUs. A cluster's profile says what jobs ask for there."""
    return 1 if workflow.local_exec and not workflow.dryrun and devices() else 0


def devices():
    """The GPUs that jobs on this machine may use; a configuration that names others is one line and no traceback."""
    try:
        return gpus.visible(BENCHMARK.hardware, os.environ)
    except ConfigError as error:
        sys.exit(str(error))


def limit_gpu_jobs():
    """Let as many jobs that need a GPU run here at a time as there are GPUs for, unless --resources says another number."""
    if workflow.local_exec and devices():
        let_run("gpu", len(devices()) * BENCHMARK.hardware.jobs_per_gpu)


def growing(amount):
    """A resource that grows with every attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


def check_cluster():
    """Before anything is submitted: say what this cluster lacks, one line each."""
    if executor() != "slurm":
        return
    import snakemake_executor_plugin_slurm as plugin

    found = problems(cluster_requests(), Path.cwd()) + unreachable()
    if found:
        sys.exit("\n".join(["This run cannot start:", *found]))
    try:
        adapt(plugin, JOBS)
    except RuntimeError as error:
        sys.exit(str(error))


def cluster_requests():
    """What the jobs to run ask of the cluster."""
    for name, threads, minutes, resources in requests():
        yield Request(
            name,
            partition=str(resources.get("slurm_partition") or ""),
            threads=threads,
            mem_mb=resources.get("mem_mb", 0),
            runtime=minutes,
            gpu=resources.get("gpu") or 0,
            model=str(resources.get("gpu_model") or ""),
        )


def unreachable():
    """Why data and weights that are yet to be fetched cannot be fetched from this machine, one line each."""
    lines = []
    for job in to_run():
        if job.rule.name == "fetch":
            name = job.wildcards.dataset
            try:
                check_source(PLAN.cards[name], mirror=BENCHMARK.mirror, incoming=INCOMING / name)
            except FetchError as error:
                lines.append(str(error))
        elif job.rule.name == "fetch_weights":
            name = job.wildcards.weights
            try:
                check_weights_source(PLAN.bought[name].card, incoming=incoming_weights(name))
            except FetchError as error:
                lines.append(str(error))
    return lines
