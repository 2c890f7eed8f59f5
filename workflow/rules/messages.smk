"""What is said when a run begins and when it ends."""

import time


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
