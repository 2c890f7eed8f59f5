"""Hand on what a fine-tuning made, or all repeats of a method and budget, as a folder that stands alone."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from glocalrun.plans import CARDS, plan_of
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import load_cards
from glocalseg.models.about import README, About, ModelError
from glocalseg.models.export import export, require_new
from glocalseg.models.readme import readme_of_several
from glocalseg.plan.facts import whole_budgets
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import facts
from glocalseg.plan.phases import PHASES, RUN
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError, read_record

MODELS = Path("models")
STARTS = ("pretrain_local", "pretrain_global")
PATTERN = PHASES["finetune"].pattern


@dataclass(frozen=True)
class Finished:
    """A fine-tuning with what it stands on."""

    run: Path
    store: Path
    score: Path | None
    starts: tuple[Path, ...]
    dataset: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="folder of a fine-tuning, or its run.json")
    parser.add_argument("--config", type=Path, help="configuration whose method is exported, with --method and --budget")
    parser.add_argument("--method")
    parser.add_argument("--budget", help="number of labelled volumes, a percentage of the configuration, or all")
    parser.add_argument("--dataset", help="where the configuration has several")
    parser.add_argument("--out", type=Path, help=f"new folder; by default below {MODELS}")
    args = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names of files are anybody's
    try:
        if args.run is not None:
            out = one(args.run, args.out)
        elif args.config is not None and args.method and args.budget:
            out = repeats(args.config, args.method, args.budget, args.dataset, args.out)
        else:
            raise ModelError(
                "make export: expected RUN=<folder of a fine-tuning>, or CONFIG, METHOD and BUDGET, found neither"
            )
    except (ConfigError, CorruptedError, ModelError, OSError) as error:
        sys.exit(str(error))
    print(f"Exported: {out.resolve()}")


def one(run: Path, out: Path | None) -> Path:
    """Export one fine-tuning; the folder. Raises ConfigError, CorruptedError, ModelError."""
    finished = located(run if run.name == RUN else run / RUN)
    parts = finished.run.parent.parts[-4:]  # method, budget, repeat, key
    out = out or MODELS / "-".join([finished.dataset, *parts])
    _export(finished, out)
    return out


def repeats(config: Path, method: str, budget: str, dataset: str | None, out: Path | None) -> Path:
    """Export every finished repeat of a method with a budget below one folder. Raises ConfigError, CorruptedError, ModelError."""
    plan = plan_of(config)
    jobs = chosen(plan, method, budget, dataset)
    done = [job for job in jobs if job.record.is_file()]
    if not done:
        raise ModelError(
            f"{jobs[0].record}: expected a finished run, found none of {len(jobs)} repeats: make benchmark makes them"
        )
    for job in jobs:
        if job not in done:
            print(f"not finished, left out: {job.label}")
    out = out or MODELS / f"{jobs[0].dataset}-{method}-n{jobs[0].budget}"
    require_new(out)
    scores = {job.start: job.record for job in plan.of("score") if job.record.is_file()}
    abouts: dict[str, About] = {}
    for job in done:
        assert job.repeat is not None
        name = job.repeat.name
        finished = replace(located(job.record), score=scores.get(job.record))
        abouts[name] = _export(finished, out / name)
    write_atomic(out / README, readme_of_several(abouts).encode())
    return out


def chosen(plan: Plan, method: str, budget: str, dataset: str | None) -> list[Job]:
    """The repeats of a method with a budget. Raises ModelError that lists what there is."""
    found, shares = plan.of("finetune"), _percentages(plan)
    for what, wanted, of in (
        ("DATASET", dataset, lambda job: {job.dataset}),
        ("METHOD", method, lambda job: {job.name}),
        ("BUDGET", budget, lambda job: {str(job.budget), *shares[job.dataset].get(str(job.budget), ())}),
    ):
        there = list(dict.fromkeys(name for job in found for name in sorted(of(job))))
        if wanted is None and len(there) == 1:
            continue
        if wanted not in there:
            raise ModelError(f"{what}: expected one of {', '.join(there)}, found {wanted or 'none'}")
        found = [job for job in found if wanted in of(job)]
    return found


def _percentages(plan: Plan) -> dict[str, dict[str, set[str]]]:
    """By data set and number of volumes: the budgets that the configuration writes as percentages of its training pool."""
    written = [budget for budget in plan.benchmark.budgets if isinstance(budget, str)]
    found: dict[str, dict[str, set[str]]] = {name: {} for name in plan.benchmark.datasets}
    for name, card in plan.cards.items() if written else ():
        known = facts(card, CARDS)
        for budget in written:
            (whole,) = whole_budgets(plan.benchmark.model_copy(update={"budgets": [budget]}), card, known)
            found[name].setdefault(str(whole), set()).add(budget)
    return found


def located(run: Path) -> Finished:
    """What lies around the record of a fine-tuning. Raises ModelError, CorruptedError."""
    run = run.absolute()
    names, pattern = run.parts[-len(Path(PATTERN).parts) :], Path(PATTERN).parts
    if len(names) != len(pattern) or any("{" not in p and p != n for n, p in zip(names, pattern, strict=True)):
        raise ModelError(f"{run}: expected {PATTERN}, found another path")
    root = run.parents[len(pattern) - 1]
    dataset = names[2]
    record = read_record(run)
    store = PHASES["data"].record(dataset=dataset, key=record["spec"]["data"])
    # scores made by other code than now lie beside one another; the newest are those of the newest code
    below = Path(root, "results", "score", *names[2:-2])
    made = sorted(below.glob(f"*/{RUN}"), key=lambda path: path.stat().st_mtime)
    scores = [path for path in made if read_record(path)["spec"]["start"] == run.parent.name]
    starts = tuple(_starts(root, dataset, record["spec"]["start"]))
    return Finished(run, root / store, scores[-1] if scores else None, starts, dataset)


def _starts(root: Path, dataset: str, key: str | None) -> Iterator[Path]:
    """The records of the pretrainings that a key leads to, the last one first, as far as they are there."""
    while key is not None:
        found = [path for phase in STARTS for path in Path(root, "results", phase, dataset).glob(f"*/*/{key}/{RUN}")]
        yield from found[:1]
        key = read_record(found[0])["spec"]["start"] if found else None


def _export(finished: Finished, out: Path) -> About:
    if finished.score is None:
        print(f"{finished.run.parent}: has no scores yet: the folder will lack them")
    card = load_cards([finished.dataset], CARDS)[finished.dataset]
    return export(finished.run, store=finished.store, card=card, score=finished.score, out=out, starts=finished.starts)
