"""The training phases in sequence on made-up data: the same bits each time, also after a kill."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_benchmark import DEPTH, SIDE, find, run_job, small_plan, write_data

from glocalseg.evaluation.metrics import METRICS
from glocalseg.evaluation.predictions import read_predictions
from glocalseg.networks.weights import FILE
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.sealed import CorruptedError, open_sealed
from glocalseg.stages.finetune import make_task
from glocalseg.stages.opening import open_inputs
from glocalseg.stages.specs import FinetuneSpec
from glocalseg.training.loop import Schedule

HERE = Path(__file__).parent


def same_weights(a: Path, b: Path) -> bool:
    x, y = load_file(a / FILE), load_file(b / FILE)
    return x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def done(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder in which every job of gd+lr has run."""
    root = tmp_path_factory.mktemp("first")
    write_data(root, plan)
    for job in jobs(plan):
        run_job(job, root)
    return root


def jobs(plan: Plan) -> list[Job]:
    return [
        find(plan, "pretrain_global", "gd"),
        find(plan, "pretrain_local", "gd+lr"),
        find(plan, "diagnose", "gd+lr"),
        find(plan, "finetune", "gd+lr", 2),
        find(plan, "score", "gd+lr", 2),
    ]


def test_running_twice_gives_equal_weights_and_scores(done: Path, plan: Plan, tmp_path: Path) -> None:
    write_data(tmp_path, plan)
    for job in jobs(plan):
        run_job(job, tmp_path)
    for job in jobs(plan):
        a, b = done / job.record.parent, tmp_path / job.record.parent
        names = set(open_sealed(a / "run.json")["files"])
        assert names == set(open_sealed(b / "run.json")["files"])
        assert not [n for n in names if n.startswith("resume")]
        if job.phase == "diagnose":
            assert (a / "diagnostics.json").read_bytes() == (b / "diagnostics.json").read_bytes()
            continue
        if job.phase == "score":
            assert (a / "scores.csv").read_bytes() == (b / "scores.csv").read_bytes()
            continue
        assert same_weights(a, b)
        if job.phase == "finetune":
            for name in ("validation.csv", "predictions.npz", "predictions-last.npz"):
                assert (a / name).read_bytes() == (b / name).read_bytes()


def test_the_last_weights_are_scored_beside_the_selected_ones(done: Path, plan: Plan) -> None:
    tuned, scored = (done / find(plan, phase, "gd+lr", 2).record.parent for phase in ("finetune", "score"))
    rows = pd.read_csv(scored / "scores.csv").set_index("weights")
    assert sorted(rows.index.unique()) == ["last", "selected"]
    assert len(rows.loc["last"]) == len(rows.loc["selected"])
    same = (tuned / "predictions.npz").read_bytes() == (tuned / "predictions-last.npz").read_bytes()
    assert same == (open_sealed(tuned / "run.json")["best"]["step"] == 30)
    assert same == (rows.loc["last", "value"].fillna(-1).tolist() == rows.loc["selected", "value"].fillna(-1).tolist())


@pytest.mark.parametrize("selection", ["labelled", "none"])
def test_weights_may_be_selected_without_a_label_that_is_not_trained_on(tmp_path: Path, selection: str) -> None:
    plan = small_plan(finetune={"selection": selection, "steps": 6, "validate_every": 2}, methods=[{}], upper_bound=False)
    write_data(tmp_path, plan)
    tuned, scored = (find(plan, phase, "random", 2) for phase in ("finetune", "score"))
    run_job(tuned, tmp_path)
    run_job(scored, tmp_path)
    folder = tmp_path / tuned.record.parent
    record, curve = open_sealed(folder / "run.json"), pd.read_csv(folder / "validation.csv")
    assert record["split"]["validation"] == []
    weights = set(pd.read_csv(tmp_path / scored.record.parent / "scores.csv")["weights"])
    if selection == "none":
        assert (record["best"], len(curve), weights) == (None, 0, {"selected"})
        last = train_again(tuned, tmp_path)
        assert all(torch.equal(value, last[name]) for name, value in load_file(folder / FILE).items())
    else:
        assert curve["step"].unique().tolist() == [2, 4, 6]
        assert record["best"]["dice"] == curve[curve["structure"] == "mean"]["dice"].max()
        assert weights == {"selected", "last"}


@pytest.mark.parametrize("regime", ["self_training", "pseudo_contrast"])
def test_a_regime_with_rounds_has_a_schedule_for_each(tmp_path: Path, regime: str) -> None:
    """Labels are found by weights whose learning rate has come down."""
    settings = {"steps": 16, "validate_every": 16, "schedule": "cosine", "warmup": 0.5}
    plan = small_plan(finetune=settings, methods=[{"regime": regime}], upper_bound=False)
    write_data(tmp_path, plan)
    log = pd.read_csv(run_job(find(plan, "finetune", f"random+{regime}", 2), tmp_path) / "log.csv")
    part = [Schedule(0.01, 4, cosine=True, warmup=0.5)(step) for step in range(4)]
    assert log["learning_rate"].tolist() == pytest.approx(4 * part)
    assert log["foreground"][:4].eq(0).all()  # found in the fifth step for the first time
    assert log["empty"].tolist()[3] == 1 > log["empty"].tolist()[4]


def train_again(job: Job, root: Path) -> dict[str, torch.Tensor]:
    """The weights after the last step of a fine-tuning, trained once more by a loop of its own."""
    spec = job.spec
    assert isinstance(spec, FinetuneSpec)
    inputs = open_inputs(spec, spec.split, job.place(root), steps=spec.config.steps)
    net = inputs.network(spec, running_averages=False)
    task = make_task(spec, inputs, net)
    optimiser = torch.optim.Adam(net.parameters(), lr=spec.config.learning_rate, fused=True)
    for step in range(spec.config.steps):
        optimiser.zero_grad()
        sum(task.losses(step).values()).backward()
        optimiser.step()
    return net.state_dict()


def test_a_training_imports_nothing_that_takes_long(done: Path, plan: Plan, tmp_path: Path) -> None:
    """Pandas, scikit-learn, timm and SciPy's statistics take seconds, thousands of times."""
    write_data(tmp_path, plan)
    trained = [
        find(plan, "pretrain_global", "gd"),
        find(plan, "pretrain_local", "gd+lr"),
        find(plan, "finetune", "gd+lr", 2),
    ]
    (tmp_path / "jobs.pickle").write_bytes(pickle.dumps([(job.spec, job.place(tmp_path)) for job in trained]))
    code = (
        "import pickle, sys\n"
        "import glocalrun.program\n"
        "from glocalseg.stages.finetune import finetune\n"
        "from glocalseg.stages.pretrain import pretrain\n"
        "for make, job in zip((pretrain, pretrain, finetune), pickle.load(open(sys.argv[1], 'rb'))):\n"
        "    make(*job)\n"
        "slow = ('pandas', 'sklearn', 'timm', 'scipy.stats', 'seaborn', 'matplotlib')\n"
        "print([name for name in slow if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "jobs.pickle"], capture_output=True, text=True, check=True, timeout=300
    )
    assert ran.stdout.strip().endswith("[]")
    for job in trained:
        assert same_weights(done / job.record.parent, tmp_path / job.record.parent)


def test_a_pretraining_hands_on_what_it_trained(done: Path, plan: Plan) -> None:
    first = load_file(done / find(plan, "pretrain_global", "gd").record.parent / FILE)
    second = load_file(done / find(plan, "pretrain_local", "gd+lr").record.parent / FILE)
    assert all(name.startswith("encoder.") for name in first)
    assert {name.split(".")[0] for name in second} == {"encoder", "decoder"}
    assert {name.split(".")[2] for name in second if name.startswith("decoder")} == {"0"}  # 3 blocks, l = 1
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for name, tensor in first.items():
        frozen = torch.equal(second[name], tensor)
        assert frozen != name.endswith(statistics)  # D21: the frozen encoder's averages move on


def test_the_records_say_what_the_report_needs(done: Path, plan: Plan) -> None:
    job = find(plan, "finetune", "gd+lr", 2)
    folder = done / job.record.parent
    record = open_sealed(folder / "run.json")
    assert record["label"] == "made_up gd+lr n2 r1"
    assert record["spec"] == json.loads(json.dumps(job.spec.dump()))
    assert record["spec"]["key"] == folder.name
    lists = record["split"]
    assert [len(lists[k]) for k in ("train", "validation", "test", "unlabelled")] == [2, 2, 2, 0]
    assert set(record["subjects"]) == {v for names in lists.values() for v in names}
    assert record["device"]["precision"] == "float32"
    assert record["timing"]["images_per_second"] > 0
    scored = open_sealed(done / find(plan, "score", "gd+lr", 2).record)
    assert scored["spec"]["start"] == folder.name
    scores = pd.read_csv(done / find(plan, "score", "gd+lr", 2).record.parent / "scores.csv")
    assert len(scores) == 2 * 2 * 2 * len(METRICS)  # of selected and last weights
    assert set(scores["volume"]) == set(lists["test"])
    assert set(scores["metric"]) == set(METRICS)
    validation = pd.read_csv(folder / "validation.csv")
    assert sorted(validation["step"].unique()) == [10, 20, 30]
    means = validation[validation["structure"] == "mean"].set_index("step")["dice"]
    assert record["best"] == {"step": int(means.idxmax()), "dice": pytest.approx(means.max())}
    predictions = read_predictions(folder / "predictions.npz")
    assert {p.shape for p in predictions.values()} == {(DEPTH, SIDE, SIDE)}
    assert predictions[lists["test"][0]].dtype == np.uint8
    for name in ("pretrain_global", "pretrain_local"):
        (job,) = plan.of(name)  # type: ignore[arg-type]
        pool = open_sealed(done / job.record)["pool"]
        assert set(lists["train"]) <= set(pool)
        assert not set(pool) & set(lists["test"] + lists["validation"])


def test_thirty_steps_learn_something(done: Path, plan: Plan) -> None:
    best = open_sealed(done / find(plan, "finetune", "gd+lr", 2).record)["best"]
    assert best["dice"] > 0.5


def test_diagnostics_look_at_no_test_subject(done: Path, plan: Plan) -> None:
    folder = done / find(plan, "diagnose", "gd+lr").record.parent
    found = json.loads((folder / "diagnostics.json").read_text())
    assert found["same_place_chance"] == 1 / 64  # one block: an 8 x 8 map
    assert 0 <= found["same_place"] <= 1
    assert found["position_r2"] <= 1
    assert (found["probe_slices"], found["held_out_slices"]) == (5 * DEPTH, 2 * DEPTH)
    embeddings = np.load(folder / "embeddings.npz")
    test = open_sealed(done / find(plan, "finetune", "gd+lr", 2).record)["split"]["test"]
    assert not set(embeddings["volume"]) & set(test)
    assert embeddings["features"].shape == (7 * DEPTH, 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "name", "budget"),
    [("pretrain_global", "gd", None), ("pretrain_local", "gd+lr", None), ("finetune", "gd+lr", 2)],
)
def test_a_killed_job_goes_on_to_the_same_bits(
    done: Path, plan: Plan, tmp_path: Path, phase: str, name: str, budget: int | None
) -> None:
    """SIGKILL a step after the first checkpoint: what is left must be enough, and must be used."""
    job = find(plan, phase, name, budget)
    for record in (job.data, job.start):
        if record is not None:
            (tmp_path / record.parent.parent).mkdir(parents=True, exist_ok=True)
            (tmp_path / record.parent).symlink_to(done / record.parent)
    program = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import os, signal\nfrom pathlib import Path\nfrom small_benchmark import find, run_job, small_plan\n"
        "from glocalseg.training import meter\n"
        f"job = find(small_plan(), {phase!r}, {name!r}, {budget!r}); root = Path({str(tmp_path)!r})\n"
        "saved = root / job.record.parent / 'resume.json'\n"
        "meter.Meter.tick = lambda *_: os.kill(os.getpid(), signal.SIGKILL) if saved.exists() else None\n"
        "run_job(job, root)\n"
    )
    folder = tmp_path / job.record.parent
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    step = json.loads((folder / "resume.json").read_text())["step"]
    assert step == {"pretrain_global": 2, "pretrain_local": 2, "finetune": 4}[phase]
    assert not (folder / "run.json").exists()
    run_job(job, tmp_path)
    assert same_weights(folder, done / job.record.parent)
    logs = [pd.read_csv(f / "log.csv").drop(columns="images_per_second") for f in (folder, done / job.record.parent)]
    pd.testing.assert_frame_equal(*logs)
    if phase == "finetune":
        for name in ("validation.csv", "predictions.npz"):
            assert (folder / name).read_bytes() == (done / job.record.parent / name).read_bytes()


def test_a_changed_start_is_refused(done: Path, plan: Plan, tmp_path: Path) -> None:
    job = find(plan, "pretrain_local", "gd+lr")
    assert job.data is not None
    assert job.start is not None
    (tmp_path / job.data.parent.parent).mkdir(parents=True)
    (tmp_path / job.data.parent).symlink_to(done / job.data.parent)
    (tmp_path / job.start.parent).mkdir(parents=True)
    for path in (done / job.start.parent).iterdir():
        (tmp_path / job.start.parent / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / job.start.parent / FILE
    bytes_ = bytearray(weights.read_bytes())
    bytes_[-1] ^= 1
    weights.write_bytes(bytes_)
    with pytest.raises(CorruptedError, match=FILE):
        run_job(job, tmp_path)
    assert not (tmp_path / job.record).exists()


def test_the_start_of_a_finetuning_is_there(plan: Plan, tmp_path: Path) -> None:
    write_data(tmp_path, plan)
    with pytest.raises(CorruptedError, match=r"run.json: expected a finished run"):
        run_job(find(plan, "finetune", "gd", 2), tmp_path)
    assert os.listdir(tmp_path) == ["data"]
