"""Configuration, the plan of jobs, and what all rules share."""

import os
import shlex
import sys
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import update_config

HERE = Path(workflow.basedir)
sys.path.insert(0, str(HERE / "src"))  # this checkout's code, whichever one the environment was made for

from glocalrun import calls
from glocalrun.calls import STATE
from glocalrun.data.current import require_current
from glocalrun.plans import CARDS, INCOMING, MEMORY, WEIGHTS, incoming_weights
from glocalseg.config.benchmark import parse_benchmark
from glocalseg.config.model import ConfigError, read_yaml
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.make import UNVERIFIED, identity, make_plan, verified_record
from glocalseg.plan.phases import PHASES
from glocalseg.records.code import remembering
from glocalseg.records.digest import digest
from glocalseg.records.files import write_json

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
    raw = read_yaml(default)
    update_config(raw, config)
    return raw, os.path.relpath(default)


def plan_or_stop():
    """The plan of this run; where it cannot be made, one line a problem and no traceback."""
    where = "config"
    try:
        raw, where = read_configuration()
        benchmark = parse_benchmark(raw, where=where)
        cards = load_cards(benchmark.datasets, CARDS)
        for card in cards.values() if workflow.is_main_process else ():
            require_current(card)
        with remembering(MEMORY):
            return make_plan(benchmark, cards, lock_folder=CARDS)
    except ConfigError as error:
        lines = [line if ": " in line and line.startswith(where) else f"{where}: {line}" for line in str(error).split("\n")]
        sys.exit("\n".join(lines))


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
VERIFIED = {name: str(verified_record(card)) for name, card in PLAN.cards.items()}
UNLOCKED = [name for name, card in PLAN.cards.items() if identity(card, CARDS) == UNVERIFIED]
UNFETCHED = [name for name, own in PLAN.bought.items() if own.sha256 is None]
FIRST = [str(PLAN.bought[name].record) for name in UNFETCHED]  # what stands for these weights in keys is known with them
KNOWN_PLANS = set()  # reports of plans that were made after a verification, or a first fetch of weights, of this call
MORE_THREADS = 8  # for rules whose result does not depend on the number of processes; Snakemake caps it at --cores

for note in PLAN.notes if workflow.is_main_process else ():
    logger.info(f"note: {note}")


def words(threads=BENCHMARK.threads):
    """What every command begins with: Python, UTF-8 whatever the locale, with its limit of threads, the folder of the programs, this run's configuration."""
    limits = " ".join(f"{v}={threads}" for v in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    return {
        "python": f"PYTHONUTF8=1 {limits} {'python' if CONDA else shlex.quote(sys.executable)}",
        "programs": shlex.quote(os.path.relpath(HERE / "workflow" / "scripts")),
        "benchmark": shlex.quote(str(RESOLVED)),
    }


def program(phase=None, threads=BENCHMARK.threads):
    """Params of a rule: ``words``, and what people call a job of the phase.

    All are functions, because Snakemake takes braces in a text, say in a path, for wildcards.
    """
    params = {name: always(text) for name, text in words(threads).items()}
    return params if phase is None else {**params, "label": label_of(phase)}


def environment(wildcards):
    """The conda environment of every rule, where conda was asked for. Braces are doubled: Snakemake takes them for wildcards."""
    path = str(HERE / "envs/environment.yaml").replace("{", "{{").replace("}", "}}")
    return path if CONDA else None


def always(text):
    return lambda wildcards: text


def label_of(phase):
    return lambda wildcards: JOBS[PHASES[phase].pattern.format(**wildcards)].label


def log_of(phase):
    """Where the program of a phase says what it does: beside all others, by the parts of its record's path."""
    return str(calls.log_of(PHASES[phase].pattern))


def parents(phase):
    """Input function: the records that a job of the phase starts from, whatever their dates.

    None for a record that is there: it is current, and Snakemake would make it again if a parent were missing. Calls that only
    draw the graph see the parents that are there.
    """

    def inputs(wildcards):
        record = PHASES[phase].pattern.format(**wildcards)
        if record not in JOBS:
            raise ConfigError(
                f"{record}: benchmark {BENCHMARK.name!r} has no such path with this configuration and code. "
                "`snakemake -n` lists those it has"
            )
        bought = [JOBS[record].bought] if JOBS[record].bought else []
        if os.path.exists(record) and not again(record):
            return [ancient(str(p)) for p in (*JOBS[record].parents, *bought) if only_looks() and p.is_file()]
        started = [str(p) if again(str(p)) else ancient(str(p)) for p in JOBS[record].parents]
        return started + [ancient(str(p)) for p in bought]

    return inputs


def verified(wildcards):
    """Input function of a slice store that is not there, or is made again: the verified data."""
    store, record = PHASES["data"].pattern.format(**wildcards), VERIFIED[wildcards.dataset]
    there = os.path.exists(store) and not again(store)
    return [] if there and not (only_looks() and os.path.exists(record)) else ancient(record)


def unknown(wildcards):
    """What has to be there before the plan is known, all of it at a time: verified data, and weights that were never fetched."""
    return [] if workflow.dryrun or only_looks() else [ancient(p) for p in (*(VERIFIED[name] for name in UNLOCKED), *FIRST)]


def wanted(wildcards):
    """What is made by default: all of the plan, which is known once what keys hold of data and bought-in weights is."""
    if unknown(wildcards):
        for name in UNLOCKED:
            checkpoints.verify.get(**parts_of(VERIFIED[name]))  # ends this function until the data is verified
        for name in UNFETCHED:
            checkpoints.fetch_weights.get(weights=name)
        plan_again()
    return [record if again(record) else ancient(record) for record in JOBS]


def parts_of(record):
    """The wildcards of a verification's record."""
    *_, dataset, origin, check, _ = Path(record).parts
    return {"dataset": dataset, "origin": origin, "check": check}


def plan_again():
    """Put the plan with the keys of verified data and fetched weights in the place of the provisional one."""
    global PLAN
    if PLAN.report.record in KNOWN_PLANS:
        return
    PLAN = plan_or_stop()
    KNOWN_PLANS.add(PLAN.report.record)
    JOBS.clear()
    JOBS.update({str(record): job for record, job in PLAN.jobs.items()})
    if workflow.is_main_process:
        list_jobs()
