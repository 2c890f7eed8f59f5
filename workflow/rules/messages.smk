"""What is said when a run begins and when it ends, and what ``snakemake --report`` shows."""

import os
import time
from collections import Counter

from glocalrun.status.listed import SUFFIX, Listing, listed, made_of, write_list
from glocalrun.tools.reports.captions import described, items
from glocalseg.plan.make import lock_file
from glocalseg.records.sealed import restore
from glocalseg.weights.lock import lock_of
from snakemake.io import report as flagged
from snakemake.shell import shell

TEMPLATES = HERE / "workflow" / "report"  # of captions
SAID = 12  # missing runs that are named on the console; the report names all


report: str(described(PLAN, TEMPLATES / "workflow.rst", STATE / f"{BENCHMARK.name}.rst"))


def list_jobs():
    """Note all jobs of the plan, so that `make status` need not plan them anew."""
    listing = Listing(made_of(BENCHMARK, CARDS), listed(PLAN), executor(), slots(BENCHMARK.threads))
    write_list(STATE / f"{RESOLVED.stem}{SUFFIX}", listing)


def start_of_run(marked):
    """Say what will run, and note when it began and what is to make, from which jobs work out the time left.

    ``marked``: records that are there and are made again.
    """
    outputs = [str(path) for job in to_run() for path in job.output]
    to_make = Counter(JOBS[path].phase for path in (JOBS if UNLOCKED or UNFETCHED else outputs) if path in JOBS)
    write_json(STATE / f"{RESOLVED.stem}.run", {"started": time.time(), "missing": to_make})
    (STATE / f"{RESOLVED.stem}.done").unlink(missing_ok=True)
    list_jobs()
    there = sum(job.record.is_file() for job in PLAN.jobs.values())
    anew = f", {len(marked)} of them to make again" if marked else ""
    logger.info(
        f"{BENCHMARK.name}: {there} of {len(JOBS)} results are there{anew}, {len(JOBS) - there} to make. Logs: logs/"
    )
    if UNLOCKED:
        logger.info(
            f"{', '.join(UNLOCKED)}: this data was never verified. It is fetched and verified first, and then the keys of all "
            "results are known."
        )
    if UNFETCHED:
        logger.info(f"{', '.join(UNFETCHED)}: these weights were never fetched. They are fetched first.")


def end_of_run():
    """Say where the result is, or what to do next."""
    if PLAN.report.record.is_file():
        logger.info(f"Report: {PLAN.report.record.parent / 'report' / 'index.html'}")
    if locks := [str(lock_file(PLAN.cards[name], CARDS)) for name in UNLOCKED if Path(VERIFIED[name]).is_file()]:
        logger.info(f"Verified for the first time: commit {', '.join(os.path.relpath(lock) for lock in locks)}")
        if workflow.dag_settings.until:
            logger.info("Give the same command again for the rest: what it stops at is known only now.")
    if locks := [lock_of(name, WEIGHTS) for name, path in zip(UNFETCHED, FIRST) if Path(path).is_file()]:
        logger.info(f"Fetched for the first time: commit {', '.join(os.path.relpath(lock) for lock in locks)}")


def failed_run():
    """Say which runs are missing, and make the report of those that are there: it names the missing ones too."""
    if not failed():
        return  # stopped by a person, or never started
    runs = [job for job in PLAN.jobs.values() if job.phase != "report" and str(job.record) in asked()]
    missing = [job for job in runs if not restore(job.record)]
    if refused := [n for n in UNLOCKED if VERIFIED[n] in asked() and not os.path.exists(VERIFIED[n])]:
        logger.error(
            f"{', '.join(refused)}: not verified, for the reasons above; nothing else was begun, and nothing is lost."
        )
        return
    if refused := [name for name, path in zip(UNFETCHED, FIRST) if path in asked() and not os.path.exists(path)]:
        logger.error(
            f"{', '.join(refused)}: not fetched, for the reasons above; what starts from these weights was not begun."
        )
        return
    first = [job for job in missing if all(parent.is_file() for parent in job.parents)]  # the others only wait for these
    logger.error(f"{len(runs) - len(missing)} of {len(runs)} results are there. Missing:")
    for job in first[:SAID]:
        logger.error(f"  {PHASES[job.phase].title}: {job.label}")
    if len(first) > SAID:
        logger.error(f"  and {len(first) - SAID} more")
    if waiting := len(missing) - len(first):
        logger.error(f"  and {waiting} that start from these")
    if missing and str(PLAN.report.record) in asked() and any(job.record.is_file() for job in PLAN.of("score")):
        partial = PLAN.partial_report
        partial.unlink(missing_ok=True)  # of an earlier failure
        log = Path("logs") / "report" / BENCHMARK.name / "partial.log"
        said = words(threads=1)
        shell(
            "{said[python]} {said[programs]}/report.py --benchmark {said[benchmark]} --record {partial} --log {log} || cat {log}"
        )
        logger.info(f"Report of what is there: {PLAN.report.record.parent / 'report' / 'index.html'}")
    logger.info("What is there is kept: the same command makes the rest.")


def shown():
    """Page, figures and tables of the report that is there: inputs of the target, which makes nothing, flagged for --report.

    No job declares them as its outputs, because the record stands for them, and existing means current.
    """
    return [
        flagged(str(i.path), caption=str(i.caption), category=i.category, subcategory=i.subcategory, labels=i.labels)
        for i in items(PLAN, TEMPLATES, STATE)
    ]
