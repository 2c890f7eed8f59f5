"""The part of a benchmark that one record belongs to, so that a job plans itself and not thousands of others."""

from __future__ import annotations

import re
from pathlib import Path

from glocalseg.config.benchmark import Benchmark
from glocalseg.plan.phases import PHASES


def narrowed(benchmark: Benchmark, record: Path) -> Benchmark | None:
    """The benchmark with the data set, methods, budget and repeats of a record; None for a record of the whole, or of none.

    What its plan says of that record is what the whole plan says.

    Args:
        record: of a training, a diagnosis or scores, relative to the repository's root.
    """
    found = next((found for pattern in _PATTERNS if (found := pattern.fullmatch(record.as_posix()))), None)
    if found is None:
        return None
    fields = found.groupdict()
    chain = fields["chain"]
    if "seed" in fields:
        seed = int(fields["seed"])
        methods = [m for m in benchmark.methods if f"{m.chain}+".startswith(f"{chain}+")]
        shared = record.parts[1] == "features"  # by all repeats, where the weights are bought in
        repeats = (
            list(benchmark.all_repeats)
            if shared
            else [r for r in benchmark.all_repeats if seed == r.finetuning or any(seed == m.seeds(r)[0] for m in methods)]
        )
        budgets, upper_bound = [], False
    else:
        methods = [m for m in benchmark.methods if m.chain == chain]
        repeats = [r for r in benchmark.all_repeats if r.name == fields["repeat"]]
        upper_bound = fields["budget"] == "all"
        budgets = [] if upper_bound else [int(fields["budget"])]
    part = {"methods": methods, "repeats": repeats, "budgets": budgets, "upper_bound": benchmark.upper_bound and upper_bound}
    return benchmark.model_copy(update={**part, "datasets": [d for d in benchmark.datasets if d == fields["dataset"]]})


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


_PATTERNS = [_pattern(phase.pattern) for name, phase in PHASES.items() if name not in ("data", "report")]
