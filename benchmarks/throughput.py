"""Images per second of each phase and of its no-data twin, in the same run.

The twin is the same network step, forward, backward and optimiser, on one fixed batch with a trivial loss: what it lacks is the
sampling, the augmentation and the loss, so the ratio of the two says what those cost. Steps of both alternate, so that a noisy
machine disturbs both alike; compare ratios, not rates, across machines. The data are random numbers in the layout of a data set.

    python benchmarks/throughput.py [--size 64] [--threads 2] [--rounds 30] [--precision float32 bfloat16] [--csv FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from glocalseg.config import Benchmark, Card, Frame, SplitRule, load_benchmark, load_card
from glocalseg.data.store import write_store
from glocalseg.plan import Job, Plan, make_plan
from glocalseg.stages.common import Task, open_inputs
from glocalseg.stages.finetune import make_task as finetune
from glocalseg.stages.pretrain_global import make_task as pretrain_global
from glocalseg.stages.pretrain_local import make_task as pretrain_local

CONFIG = Path(__file__).resolve().parents[1] / "config"
SUBJECTS, DEPTH = 40, 10
STAGES = {"pretrain_global": pretrain_global, "pretrain_local": pretrain_local, "finetune": finetune}


def main() -> None:
    """Print one line a phase and precision; write them as CSV when asked."""
    args = _arguments()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for precision in args.precision:
            for job, task in _tasks(args, precision, Path(folder)):
                full, twin = _seconds(task, args.size, args.rounds)
                row = {
                    "phase": job.phase,
                    "name": job.name,
                    "precision": precision,
                    "images_per_step": task.images_per_step,
                    "images_per_second": round(task.images_per_step / full, 1),
                    "no_data_twin": round(task.images_per_step / twin, 1),
                    "data_and_loss_share": round(1 - twin / full, 3),
                }
                rows.append(row)
                print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    table = pd.DataFrame(rows)
    if len(args.precision) > 1:
        wide = table.pivot(index=["phase", "name"], columns="precision", values="images_per_second")
        print(wide.assign(ratio=(wide[args.precision[1]] / wide[args.precision[0]]).round(2)).to_string())
    if args.csv:
        table.to_csv(args.csv, index=False, lineterminator="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=int, default=64, help="rows and columns of the frame")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=30, help="steps of each kind that are timed, after five to warm up")
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--csv", type=Path, help="write the table here")
    return parser.parse_args()


def _tasks(args: argparse.Namespace, precision: str, root: Path) -> Iterator[tuple[Job, Task]]:
    """Every phase and strategy of the quick benchmark, ready to step, on made-up slices; 128 images a pretraining step."""
    quick = load_benchmark(CONFIG / "quick.yaml")
    benchmark = quick.model_copy(
        update={
            "threads": args.threads,
            "network": quick.network.model_copy(update={"precision": precision}),
            "pretrain_global": quick.pretrain_global.model_copy(update={"images": 128}),
            "pretrain_local": quick.pretrain_local.model_copy(update={"images": 128}),
            "finetune": quick.finetune.model_copy(update={"batch": 16}),
        }
    )
    card = _card(args.size)
    plan = make_plan(benchmark, {card.name: card}, lock_folder=CONFIG / "datasets")
    _write_slices(root / plan.of("data")[0].record, args.size)
    for job in _one_of_each(benchmark, plan):
        inputs = open_inputs(replace(job, start=None), plan, root)
        yield job, STAGES[job.phase](inputs, plan, inputs.network(plan, running_averages=False))


def _card(size: int) -> Card:
    card = load_card(CONFIG / "datasets" / "phantom.yaml")
    splits = SplitRule(kind="rule", test=8, validation=2, seed=0)
    frame = Frame(spacing=card.frame.spacing, size=(size, size))
    return card.model_copy(update={"frame": frame, "subjects": SUBJECTS, "splits": splits})


def _one_of_each(benchmark: Benchmark, plan: Plan) -> Iterator[Job]:
    seen = set()
    for job in plan.jobs.values():
        key = (job.phase, job.name if job.phase != "finetune" else "")
        if job.phase in STAGES and key not in seen and job.seed == benchmark.seeds[0]:
            seen.add(key)
            yield job


def _write_slices(record: Path, size: int) -> None:
    """A slice store of random numbers with DEPTH slices a subject, four partitions."""
    if record.is_file():
        return
    rng = np.random.default_rng(0)
    n = SUBJECTS * DEPTH
    names = [f"subject{i:03d}" for i in range(SUBJECTS)]
    at = np.tile(np.arange(DEPTH), SUBJECTS)
    labels = rng.integers(0, 4, (n, size, size), dtype=np.uint8)
    slices = pd.DataFrame({"subject": np.repeat(names, DEPTH), "volume": np.repeat(names, DEPTH), "slice": at})
    slices = slices.assign(position=(at + 0.5) / DEPTH, partition=at * 4 // DEPTH)
    volumes = pd.DataFrame({"volume": names, "subject": names, "first_slice": np.arange(SUBJECTS) * DEPTH})
    same = {"depth": DEPTH, "height": size, "width": size, "resampled_height": size, "resampled_width": size}
    volumes = volumes.assign(**same, spacing_depth=1.0, spacing_height=1.0, spacing_width=1.0)
    volumes["native_offset"] = volumes["first_slice"] * size * size
    write_store(
        record,
        images=rng.random((n, size, size), dtype=np.float32),
        labels=labels,
        native_labels=labels.ravel(),
        slices=slices,
        volumes=volumes,
        manifest={"parts": {}},
    )


def _seconds(task: Task, size: int, rounds: int) -> tuple[float, float]:
    """Median seconds of a full step and of its twin."""
    parameters = [p for p in task.trained.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=1e-4, fused=True)
    device = parameters[0].device
    fixed = torch.rand(task.images_per_step, 1, size, size, device=device)

    def step(loss: Callable[[], Tensor]) -> float:
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    full, twin = [], []
    for i in range(rounds + 5):
        full.append(step(lambda i=i: task.loss(i)))  # type: ignore[misc]
        twin.append(step(lambda: task.forward(fixed).float().square().mean()))
    return median(full[5:]), median(twin[5:])


if __name__ == "__main__":
    main()
