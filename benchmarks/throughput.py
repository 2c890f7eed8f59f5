"""Images per second of each phase, beside its twin without data and the floor of its network, in the same run.

The twin is the same network step, forward, backward and optimiser, on one fixed batch with a trivial loss: what it lacks is the
sampling, the augmentation and the loss. The floor lacks the optimiser as well. So the ratios of a step to these two say what the
rest costs. Steps of the three alternate, so that a noisy machine disturbs all alike; compare ratios, not rates, across
machines. The data are random numbers in the layout of a data set.

    python benchmarks/throughput.py [--config config/paper.yaml] [--size 64] [--threads 2] [--rounds 30] [--warmup 5]
        [--precision float32 bfloat16] [--compiled auto never always] [--csv FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from glocalseg.config.benchmark import Benchmark, load_benchmark
from glocalseg.data.cards.card import Card, load_card
from glocalseg.data.cards.reading import Frame
from glocalseg.data.slices.store import write_store
from glocalseg.data.splits.given import SplitRule
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import make_plan
from glocalseg.plan.phases import PHASES
from glocalseg.stages import finetune, pretrain
from glocalseg.stages.opening import open_inputs
from glocalseg.stages.specs import UntrainedSpec
from glocalseg.training.device import Device
from glocalseg.training.task import Task

CONFIG = Path(__file__).resolve().parents[1] / "config"
SUBJECTS, DEPTH = 40, 10
COMPILED_WARMUP = 10  # the compiler, the warm-up and the recording of the CUDA graphs, and their first replays


@dataclass(frozen=True)
class Seconds:
    """Median seconds of a full step, of its twin without data, and of its network's forward and backward alone."""

    step: float
    twin: float
    floor: float


def main() -> None:
    """Print one line a phase, precision and way to compile; write them as CSV when asked."""
    args = _arguments()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for precision, compiled in product(args.precision, args.compiled):
            for job, task, device in _tasks(args, precision, compiled, Path(folder)):
                if not rows:
                    print(_header(args, device), flush=True)
                taken = _seconds(task, device, args)
                measured = _measured(job, task, device, taken, compiled)
                print("  ".join(f"{k} {v}" for k, v in measured.items()), flush=True)
                rows.append(measured | _made_on(args, device))
    table = pd.DataFrame(rows)
    for asked in ("precision", "compiled"):
        if len(choices := getattr(args, asked)) > 1:
            rest = [c for c in ("phase", "name", "precision", "compiled") if c != asked]
            wide = table.pivot(index=rest, columns=asked, values="images_per_second")
            print(wide.assign(ratio=(wide[choices[1]] / wide[choices[0]]).round(2)).to_string())
    if args.csv:
        table.to_csv(args.csv, index=False, lineterminator="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--config", type=Path, help="the benchmark whose network, batch and views are timed; quick, 128 images"
    )
    parser.add_argument("--size", type=int, default=64, help="rows and columns of the frame")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=30, help="steps of each kind that are timed")
    parser.add_argument("--warmup", type=int, default=5, help=f"steps of each kind before; {COMPILED_WARMUP} where compiled")
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--compiled", nargs="+", default=["auto"], choices=["auto", "never", "always"])
    parser.add_argument("--csv", type=Path, help="write the table here")
    return parser.parse_args()


def _header(args: argparse.Namespace, device: Device) -> str:
    """What the numbers are made on."""
    lines = _made_on(args, device) | {"torch": torch.__version__}
    if device.device.type == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
        except (OSError, subprocess.CalledProcessError, IndexError):
            driver = "unknown"
        lines |= {"driver": driver, "CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    return "\n".join(f"# {k}: {v}" for k, v in lines.items())


def _made_on(args: argparse.Namespace, device: Device) -> dict[str, Any]:
    config = args.config.stem if args.config else "quick with 128 images a pretraining step"
    return {"device": device.describe()["name"], "threads": args.threads, "config": config, "size": args.size}


def _measured(job: Job, task: Task, device: Device, taken: Seconds, compiled: str) -> dict[str, Any]:
    images = task.images_per_step
    return {
        "phase": job.phase,
        "name": job.name,
        "precision": device.precision,
        "images_per_step": images,
        "images_per_second": round(images / taken.step, 1),
        "no_data_twin": round(images / taken.twin, 1),
        "data_and_loss_share": round(1 - taken.twin / taken.step, 3),
        "floor": round(images / taken.floor, 1),
        "step_to_twin": round(taken.step / taken.twin, 3),
        "step_to_floor": round(taken.step / taken.floor, 3),
        "compiled": compiled,
        "by": device.backend or "eager",
    }


def _tasks(args: argparse.Namespace, precision: str, compiled: str, root: Path) -> Iterator[tuple[Job, Task, Device]]:
    """Every phase and strategy of the benchmark, ready to step, on made-up slices."""
    benchmark = _benchmark(args, precision, compiled)
    card = _card(args.size)
    plan = make_plan(benchmark, {card.name: card}, lock_folder=CONFIG / "datasets")
    _write_slices(root / plan.of("data")[0].record, card)
    for job in _one_of_each(plan):
        spec: Any = job.spec.model_copy(update={"start": None})  # from random weights: what a step costs is the same
        steps = finetune.steps_of(spec) if job.phase == "finetune" else spec.config.steps
        inputs = open_inputs(spec, spec.split, replace(job, start=None).place(root), steps=steps)
        stage = finetune if job.phase == "finetune" else pretrain
        yield job, stage.make_task(spec, inputs, inputs.network(spec, running_averages=False)), inputs.device


def _benchmark(args: argparse.Namespace, precision: str, compiled: str) -> Benchmark:
    """The benchmark as asked for, on the made-up data; without one the quick one with 128 images a pretraining step."""
    found = load_benchmark(args.config or CONFIG / "quick.yaml")
    network = found.network.model_copy(update={"precision": precision, "compiled": compiled})
    changed: dict[str, Any] = {"threads": args.threads, "network": network, "datasets": ["phantom"]}
    if args.config is None:
        wide = {"images": 128}
        changed["pretrain_global"] = found.pretrain_global.model_copy(update=wide)
        changed["pretrain_local"] = found.pretrain_local.model_copy(update=wide)
        changed["finetune"] = found.finetune.model_copy(update={"batch": 16})
    return found.model_copy(update=changed)


def _card(size: int) -> Card:
    card = load_card(CONFIG / "datasets" / "phantom.yaml")
    splits = SplitRule(kind="rule", test=8, validation=2, seed=0)
    frame = Frame(spacing=card.frame.spacing, size=(size, size))
    return card.model_copy(update={"frame": frame, "subjects": SUBJECTS, "splits": splits})


def _one_of_each(plan: Plan) -> Iterator[Job]:
    """The first training of each phase and strategy, or regime."""
    seen = set()
    for job in plan.jobs.values():
        if not PHASES[job.phase].trains or isinstance(job.spec, UntrainedSpec):
            continue
        spec: Any = job.spec
        key = (job.phase, job.chain.rpartition("+")[2] if job.phase != "finetune" else getattr(spec, "regime", ""))
        if key not in seen:
            seen.add(key)
            yield job


def _write_slices(record: Path, card: Card) -> None:
    """A slice store of random numbers with DEPTH slices a subject."""
    if record.is_file():
        return
    size = card.frame.size[0]
    rng = np.random.default_rng(0)
    n = SUBJECTS * DEPTH
    names = [f"subject{i:03d}" for i in range(SUBJECTS)]
    at = np.tile(np.arange(DEPTH), SUBJECTS)
    labels = rng.integers(0, card.classes, (n, size, size), dtype=np.uint8)
    slices = pd.DataFrame({"subject": np.repeat(names, DEPTH), "volume": np.repeat(names, DEPTH), "slice": at})
    slices = slices.assign(position=(at + 0.5) / DEPTH)
    volumes = pd.DataFrame({"volume": names, "subject": names, "first_slice": np.arange(SUBJECTS) * DEPTH})
    same = {"depth": DEPTH, "height": size, "width": size, "resampled_height": size, "resampled_width": size}
    volumes = volumes.assign(**same, spacing_depth=1.0, spacing_height=1.0, spacing_width=1.0, labelled=True)
    volumes["native_offset"] = volumes["first_slice"] * size * size
    write_store(
        record,
        images=rng.random((n, size, size), dtype=np.float32),
        labels=labels,
        native_labels=labels.ravel(),
        slices=slices,
        volumes=volumes,
        preparation=card.preparation,
        manifest={},
    )


def _seconds(task: Task, device: Device, args: argparse.Namespace) -> Seconds:
    optimisers = [torch.optim.Adam(own, lr=1e-4, fused=True) for own in task.parameters().values()]
    fixed = torch.rand(task.images_per_step, 1, args.size, args.size, device=device.device)

    def trivial() -> Tensor:
        device.begin_step()
        return task.forward(fixed).float().square().mean()

    def whole(step: int) -> Tensor:
        return torch.stack(list(task.losses(step).values())).sum()

    def seconds(loss: Callable[[], Tensor], *, update: bool = True, after: Callable[[], None] | None = None) -> float:
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        began = time.perf_counter()
        loss().backward()
        if update:
            for optimiser in optimisers:
                optimiser.step()
        if after is not None:
            after()
        if device.device.type == "cuda":
            torch.cuda.synchronize(device.device)
        return time.perf_counter() - began

    warmup = max(args.warmup, COMPILED_WARMUP) if device.backend else args.warmup
    taken: dict[str, list[float]] = {"step": [], "twin": [], "floor": []}
    for i in range(warmup + args.rounds):
        taken["step"].append(seconds(partial(whole, i), after=partial(task.after_step, i)))
        taken["twin"].append(seconds(trivial))
        taken["floor"].append(seconds(trivial, update=False))
    return Seconds(**{name: median(values[warmup:]) for name, values in taken.items()})


if __name__ == "__main__":
    main()
