"""What is said when a run begins and when it ends."""

import time

import _owners
from glocalseg.provenance import restore
from glocalseg.report.names import PHASES
from snakemake.shell import shell

SAID = 12  # missing runs that are named on the console; the report names all


if workflow.is_main_process:
    if dead := _owners.free_dead_lock():
        logger.warning(f"The lock of a call that was killed ({', '.join(dead)}) was taken away.")


def start_of_run():
    """Say what will run, and note when it began and what is missing, from which jobs work out the time left."""
    missing = {}
    for job in PLAN.jobs.values():
        if not job.record.is_file():
            missing[job.phase] = missing.get(job.phase, 0) + 1
    total, left = len(PLAN.jobs), sum(missing.values())
    write_json(STATE / f"{RESOLVED.stem}.run", {"started": time.time(), "missing": missing})
    (STATE / f"{RESOLVED.stem}.done").unlink(missing_ok=True)
    logger.info(f"{BENCHMARK.name}: {total - left} of {total} results are there, {left} to make. Logs: logs/")
    if UNLOCKED:
        logger.info(
            f"{', '.join(UNLOCKED)}: this data was never verified. The data comes first: it is fetched and verified "
            "now; then give the same command again for the rest."
        )


def end_of_run():
    """Say where the result is, or what to do next."""
    if PLAN.report.record.is_file():
        logger.info(f"Report: {PLAN.report.record.parent / 'report' / 'index.html'}")
    elif all(Path(VERIFIED[name]).is_file() for name in UNLOCKED) and UNLOCKED:
        locks = ", ".join(str(CARDS / f"{name}.lock.json") for name in UNLOCKED)
        logger.info(f"Verified. Commit {locks}, then give the same command again.")


def failed_run():
    """Say which runs are missing, and make the report of those that are there: it names the missing ones too."""
    if not getattr(workflow.scheduler, "failed", None):
        return  # stopped by a person, or never started
    asked = {str(path) for job in workflow.dag.jobs for path in job.output}
    runs = [job for job in PLAN.jobs.values() if job.phase != "report" and str(job.record) in asked]
    missing = [job for job in runs if not restore(job.record)]
    logger.error(f"{len(runs) - len(missing)} of {len(runs)} results are there. Missing:")
    for job in missing[:SAID]:
        logger.error(f"  {PHASES[job.phase]}: {job.label}")
    if len(missing) > SAID:
        logger.error(f"  and {len(missing) - SAID} more")
    if missing and str(PLAN.report.record) in asked and any(job.record.is_file() for job in PLAN.of("finetune")):
        partial = PLAN.report.record.with_name("report-partial.json")
        partial.unlink(missing_ok=True)  # of an earlier failure
        log = Path("logs") / "report" / BENCHMARK.name / "partial.log"
        shell(f"{program('report', threads=1)} --record {partial} --log {log} || cat {log}")
        logger.info(f"Report of what is there: {PLAN.report.record.parent / 'report' / 'index.html'}")
    logger.info("What is there is kept: the same command makes the rest.")
