"""Configuration, the plan of jobs, and what all rules share."""

import os
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.logging import logger
from snakemake.utils import update_config

HERE = Path(workflow.basedir)
sys.path[:0] = [str(HERE / "src"), str(HERE / "workflow" / "scripts")]

from glocalseg.config import ConfigError, load_cards, parse_benchmark
from glocalseg.plan import UNVERIFIED, dataset_identity, make_plan, strategy_level, verified_record
from glocalseg.provenance import digest, write_json

CARDS = HERE / "config" / "datasets"
STATE = Path(".snakemake") / "glocalseg"
STORE = "data/slices/{dataset}/{key}/manifest.json"
CONDA = any(str(m).lower().endswith("conda") for m in workflow.deployment_settings.deployment_method)


logger.addFilter(  # said twice otherwise: every job says itself when it is done, with the time that is left
    lambda record: not str(record.msg).startswith(("Select jobs to execute", "Execute ", "Finished jobid"))
)


def read_configuration():
    """The configuration as given, and the name of its file. Snakemake merges files: the default is read only alone."""
    files = workflow.config_settings.configfiles
    if files:
        return config, ", ".join(os.path.relpath(f) for f in files)
    default = HERE / "config" / "quick.yaml"
    raw = yaml.safe_load(default.read_text())
    update_config(raw, config)
    return raw, os.path.relpath(default)


def plan_or_stop():
    """The plan of this run; where it cannot be made, one line a problem and no traceback."""
    raw, where = read_configuration()
    try:
        benchmark = parse_benchmark(raw, where=where)
        cards = load_cards(benchmark.datasets, CARDS)
        plan = make_plan(benchmark, cards, lock_folder=CARDS)
        check_options(benchmark)
        return plan
    except ConfigError as error:
        lines = [line if ": " in line and line.startswith(where) else f"{where}: {line}" for line in str(error).split("\n")]
        sys.exit("\n".join(lines))


def check_options(benchmark):
    """Refuse options of strategies that do not exist. The strategies' files import torch: looked at only if there are any."""
    if not benchmark.strategies:
        return
    from glocalseg.pretraining.base import load_strategy

    for name, options in benchmark.strategies.items():
        load_strategy(name, options, level=strategy_level(name) or "global")


def resolved(benchmark):
    """The file with the benchmark as it runs, defaults and ``--config`` included: jobs read this one and no other."""
    value = benchmark.model_dump(mode="json", by_alias=True)
    path = STATE / f"{benchmark.name}-{digest(value)[:10]}.json"
    if not path.is_file():
        write_json(path, value)
    return path


PLAN = plan_or_stop()
BENCHMARK = PLAN.benchmark
RESOLVED = resolved(BENCHMARK)
JOBS = {str(record): job for record, job in PLAN.jobs.items()}
VERIFIED = {name: str(verified_record(card, CARDS)) for name, card in PLAN.cards.items()}
UNLOCKED = [name for name, card in PLAN.cards.items() if dataset_identity(card, CARDS) == UNVERIFIED]
ENVIRONMENT = f"../../envs/{'cuda' if any(Path(os.sep, 'dev').glob('nvidia[0-9]*')) else 'cpu'}.yaml"
MORE_THREADS = 8  # for rules whose result does not depend on the number of processes; Snakemake caps it at --cores


def program(name, threads=BENCHMARK.threads):
    """Start of a rule's command: the program of that name, with this run's configuration and thread limits."""
    limits = " ".join(f"{v}={threads}" for v in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    python = "python" if CONDA else shlex.quote(sys.executable)
    script = HERE / "workflow" / "scripts" / f"{name}.py"
    return (
        f"PYTHONPATH={shlex.quote(str(HERE / 'src'))} {limits} "
        f"{python} {shlex.quote(os.path.relpath(script))} --benchmark {RESOLVED}"
    )


def parents(pattern):
    """Input function: the records that the job behind ``pattern`` starts from, whatever their dates.

    None for a record that is there: it is current, and Snakemake would make it again if a parent were missing.
    """

    def inputs(wildcards):
        record = pattern.format(**wildcards)
        if record not in JOBS:
            raise ConfigError(
                f"{record}: benchmark {BENCHMARK.name!r} has no such path with this configuration and code. "
                "`snakemake -n` lists those it has"
            )
        return [] if os.path.exists(record) else [ancient(str(p)) for p in JOBS[record].parents]

    return inputs


def verified(wildcards):
    """Input function of a slice store that is not there: the verified data."""
    store = STORE.format(**wildcards)
    return [] if os.path.exists(store) else ancient(VERIFIED[wildcards.dataset])


def wanted(wildcards):
    """What is made by default, all of the plan; or, while data has no lock file yet, only the verified data."""
    if not UNLOCKED or workflow.dryrun:
        return [ancient(record) for record in JOBS]
    for name in UNLOCKED:
        if Path(VERIFIED[name]).is_file():
            sys.exit(
                f"{os.path.relpath(CARDS)}/{name}.lock.json: expected the lock file of verified data, found none. Get it back "
                f"from git, or delete {Path(VERIFIED[name]).parent} to verify the data again"
            )
    return [ancient(record) for record in VERIFIED.values()]
