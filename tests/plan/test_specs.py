"""Every setting, changed, changes the keys of exactly the jobs that read it, and of what starts from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.config.model import MACHINERY, ConfigError, Model, keyed, without
from glocalseg.config.settings import Settings
from glocalseg.data.cards.card import Card
from glocalseg.data.splits.given import LabelledDraw, SplitLists
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import make_plan
from glocalseg.stages.specs import DiagnoseSpec, FinetuneSpec, PretrainSpec

GLOBAL, LOCAL = ("gr", "gd", "pcl", "rotation"), ("lr", "ld")
METHODS: list[dict[str, str]] = [
    {}, *({"global": name} for name in GLOBAL), *({"global": "gd", "local": name} for name in LOCAL), {"regime": "mean_teacher"},
]  # fmt: skip
DRAW = LabelledDraw(train=["a"], validation=["v"])
LISTS = SplitLists(kind="lists", pretrain=["a", "b", "c"], test=["t"], budgets={1: [DRAW]}, all=DRAW)


def card(**changes: Any) -> Card:
    raw = {
        "name": "made_up", "title": "Made up", "modality": "MR", "subjects": 9, "licence": "none", "citation": ["none"],
        "source": {"kind": "folder", "path": "nowhere"}, "reader": "folders", "structures": {1: "disc", 2: "core"},
        "slice_axis": "S", "frame": {"spacing": [1.5, 1.5], "size": [32, 32]}, "subject": {"pattern": "(.*)"},
        "splits": {"kind": "rule", "test": 2, "validation": 2, "seed": 0},
    }  # fmt: skip
    return Card.model_validate({**raw, **changes})


def benchmark(**changes: Any) -> Benchmark:
    raw = {
        "name": "small", "title": "Small", "datasets": ["made_up"], "methods": METHODS, "budgets": [1], "repeats": 1,
        "upper_bound": False, "pretrain_global": {"steps": 5, "images": 24}, "pretrain_local": {"steps": 5, "images": 8},
        "finetune": {"steps": 5, "schedule": "cosine"},
    }  # fmt: skip
    return Benchmark.model_validate({**raw, **changes})


def planned(b: Benchmark | None = None, c: Card | None = None) -> Plan:
    return make_plan(b or benchmark(), {"made_up": c or card()}, lock_folder=Path("nowhere"))


def jobs(plan: Plan) -> dict[tuple[str, str], Job]:
    return {(job.phase, job.name): job for job in plan.jobs.values()}


def moved(after: Plan, before: Plan | None = None) -> set[str]:
    """Jobs with another key, as ``phase name``."""
    old, new = jobs(before or planned()), jobs(after)
    assert old.keys() == new.keys()
    return {" ".join(key) for key in old if old[key].spec.key != new[key].spec.key}


def everything(*but: str) -> set[str]:
    return {" ".join(key) for key in jobs(planned()) if key[0] not in but}


def tuned(*names: str) -> set[str]:
    """The runs of methods, with what is made of them."""
    return {f"{phase} {name}" for name in names for phase in ("finetune", "score")}


def from_global(*names: str) -> set[str]:
    """The global pretrainings of these names, and all that starts from one."""
    chains = [m for m in ("gr", "gd", "pcl", "rotation", "gd+lr", "gd+ld") if m.split("+")[0] in names]
    found = {f"{'pretrain_local' if '+' in m else 'pretrain_global'} {m}" for m in chains} | {
        f"diagnose {m}" for m in chains
    }
    return found | tuned(*chains) | REPORT


def from_local(*names: str) -> set[str]:
    chains = [f"gd+{name}" for name in names]
    return {f"{phase} {m}" for m in chains for phase in ("pretrain_local", "diagnose")} | tuned(*chains) | REPORT


REPORT = {"report small"}
DIAGNOSES = {f"diagnose {name}" for name in ("random", "gr", "gd", "pcl", "rotation", "gd+lr", "gd+ld")}
TUNED = tuned("random", "gr", "gd", "pcl", "rotation", "gd+lr", "gd+ld", "random+mean_teacher") | REPORT
ALL = everything("data")
PRETRAINED = from_global(*GLOBAL)
READS: dict[str, set[str]] = {  # what moves when a setting changes; by the longest beginning of its path
    "threads": ALL,
    "network": ALL,
    "pool": PRETRAINED | DIAGNOSES | tuned("random+mean_teacher"),
    "pretrain_global": PRETRAINED,
    "pretrain_global.temperature": from_global("gr", "gd", "pcl"),
    "pretrain_global.partitions": from_global("gd") | DIAGNOSES,
    "pretrain_global.partition_bounds": from_global("gd") | DIAGNOSES,
    "pretrain_local": from_local(*LOCAL),
    "pretrain_local.blocks": from_local(*LOCAL) | DIAGNOSES,
    "pretrain_local.partitions": from_local("ld"),
    "pretrain_local.partition_bounds": from_local("ld"),
    "pretrain_local.views.crop": REPORT,
    "pretrain_local.views.crop_start": REPORT,
    "finetune": TUNED,
}
OTHER: dict[str, Any] = {
    "pool": "30%",
    "network.encoder": None,  # another network altogether: tests/networks
    "network.weights": None,
    "network.input_statistics": None,
    "network.levels": 3,
    "network.precision": "bfloat16",
    "network.compiled": "never",
    "pretrain_local.blocks": 1,
    "pretrain_local.region_size": 1,
    "finetune.schedule": "constant",
    "finetune.loss": "dice_ce",
    "finetune.selection": "none",
}


def fields(model: BaseModel, path: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Every setting: its dotted path, its value, and whether it is in no key."""
    for name, field in type(model).model_fields.items():
        value, where = getattr(model, name), f"{path}{name}"
        if isinstance(value, Model):
            yield from fields(value, f"{where}.")
        elif name not in ("strategies", "regimes"):
            yield where, value, MACHINERY in field.metadata


def changed(path: str, value: Any) -> Any:
    """Another value that a setting may have."""
    if path in OTHER:
        return OTHER[path]
    if value in ("paper", "release"):
        return "release" if value == "paper" else "paper"
    if isinstance(value, bool):
        return not value
    if isinstance(value, list | tuple):
        return [value[0] / 2, *value[1:]] if isinstance(value[0], float) and value[0] else [*value[:-1], value[-1] + 1]
    return value + 1 if isinstance(value, int) else value / 2


SETTINGS = [(path, value, free) for path, value, free in fields(benchmark().settings()) if OTHER.get(path, 0) is not None]


@pytest.mark.parametrize(("path", "value", "free"), SETTINGS, ids=[path for path, *_ in SETTINGS])
def test_a_setting_moves_what_reads_it_and_nothing_else(path: str, value: Any, free: bool) -> None:
    b = benchmark()
    line = Method.model_validate({"global": "gd", "name": "x", "set": {path: changed(path, value)}})
    own = b.settings(line)
    after = planned(b.model_copy(update={name: getattr(own, name) for name in Settings.model_fields}))
    expected = REPORT if free else READS[max((p for p in READS if path == p or path.startswith(f"{p}.")), key=len)]
    assert moved(after) == expected


def test_the_table_above_names_settings_that_there_are() -> None:
    there = {path for path, *_ in fields(benchmark().settings())}
    assert all(any(path == p or path.startswith(f"{p}.") for path in there) for p in READS)
    assert set(OTHER) <= there


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"strategies": {"gd": {"cross_views": "release"}}}, from_global("gd")),
        ({"strategies": {"gd": {"cross_views": "paper"}}}, REPORT),  # the default
        ({"strategies": {"lr": {"regions": 9}}}, from_local("lr")),
        ({"regimes": {"mean_teacher": {"noise": 0.2}}}, tuned("random+mean_teacher") | REPORT),
        ({"regimes": {"mean_teacher": {"noise": 0.1}}}, REPORT),
        ({"statistics": {"margin": 0.02}}, REPORT),
        ({"statistics": {"confidence": 0.9, "seed": 1}}, REPORT),
        ({"statistics": {"primary": ["gd", "gr"]}}, REPORT),
        ({"statistics": {"claims": [["pcl", "gd"]]}}, REPORT),
        ({"statistics": {"claims": []}}, REPORT),
        ({"methods": [{**line, "control": True} for line in METHODS]}, REPORT),
        ({"title": "Otherwise"}, REPORT),
        ({"hardware": {"gpus": []}}, set()),
        ({"mirror": "/elsewhere"}, set()),
        ({"repeats": [{"draw": 1, "pretraining": 1, "finetuning": 1}]}, REPORT),  # which is repeat 1
        ({"repeats": [{"draw": 2, "pretraining": 1, "finetuning": 1}]}, TUNED),
        ({"repeats": [{"draw": 1, "pretraining": 2, "finetuning": 1}]}, PRETRAINED),
        ({"repeats": [{"draw": 1, "pretraining": 1, "finetuning": 2}]}, TUNED | {"diagnose random"}),
        ({"repeats": [{"draw": 2, "pretraining": 2, "finetuning": 2}]}, ALL),
    ],
)
def test_options_and_what_shapes_no_run(changes: dict[str, Any], expected: set[str]) -> None:
    assert moved(planned(benchmark(**changes))) == expected


@pytest.mark.parametrize("selection", ["labelled", "none"])
def test_which_weights_are_selected_moves_the_fine_tunings_and_reads_no_validation_list(selection: str) -> None:
    b = benchmark()
    after = planned(b.model_copy(update={"finetune": b.finetune.model_copy(update={"selection": selection})}))
    assert moved(after) == TUNED
    roles = {job.spec.split.roles for job in after.of("finetune") if job.name == "gd"}  # type: ignore[union-attr]
    assert roles == {("train", "test")}  # so another validation list would change nothing
    one = benchmark(methods=[{}, {"global": "gd"}, {"name": "x", "global": "gd", "set": {"finetune.selection": selection}}])
    found = jobs(planned(one))
    assert found["finetune", "x"].spec.key == jobs(after)["finetune", "gd"].spec.key
    assert found["finetune", "gd"].spec.key in keys()


# ---------------------------------------------------------------- repeats


def by_repeat(plan: Plan) -> dict[str, dict[tuple[str, str], Job]]:
    """Fine-tunings and scores by the name of their repeat."""
    found: dict[str, dict[tuple[str, str], Job]] = {}
    for job in plan.jobs.values():
        if job.repeat is not None:
            found.setdefault(job.repeat.name, {})[job.phase, f"{job.name} {job.budget}"] = job
    return found


def test_more_repeats_add_jobs_and_change_none() -> None:
    few, more = (planned(benchmark(repeats=number, budgets=[1, 2], upper_bound=True)) for number in (3, 5))
    kept = [record for record, job in few.jobs.items() if job.phase != "report"]
    assert set(kept) < set(more.jobs)
    assert all(few.jobs[record] == more.jobs[record] for record in kept)
    added = [job for record, job in more.jobs.items() if record not in few.jobs and job.phase != "report"]
    assert {job.repeat.name for job in added if job.repeat} == {"r4", "r5"}
    assert {job.seed for job in added if not job.repeat} == {4, 5}
    assert {phase: len(more.of(phase)) / 5 for phase in ("finetune", "pretrain_global", "pretrain_local", "diagnose")} == {
        "finetune": len(METHODS) * 2 + 1, "pretrain_global": 4, "pretrain_local": 2, "diagnose": 7,
    }  # fmt: skip


def test_everything_that_varies_is_a_repeats_own_and_the_same_for_every_method_and_budget() -> None:
    plan = planned(benchmark(repeats=3, budgets=[1, 2], upper_bound=True))
    for number, (name, own) in enumerate(by_repeat(plan).items(), 1):
        assert name == f"r{number}"
        specs = [job.spec for (phase, _), job in own.items() if phase == "finetune"]
        assert {spec.seed for spec in specs} == {number}  # type: ignore[union-attr]
        assert {spec.split.draw for spec in specs} == {number, None}  # type: ignore[union-attr]
        starts = [plan.jobs[job.start] for (phase, _), job in own.items() if phase == "finetune" and job.start]
        assert {job.seed for job in starts} == {number}
        assert {plan.jobs[job.start].seed for job in starts if job.start} == {number}


def test_a_listed_repeat_whose_parts_go_together_is_the_one_that_its_number_gives() -> None:
    ten = by_repeat(planned(benchmark(repeats=10)))
    alone = planned(benchmark(repeats=[{"draw": 2, "pretraining": 2, "finetuning": 2}]))
    assert list(by_repeat(alone)) == ["r2"]
    assert by_repeat(alone)["r2"] == ten["r2"]


def test_listed_triples_share_the_pretrainings_that_they_have_in_common() -> None:
    square = [{"draw": d, "pretraining": p, "finetuning": (d + p) % 3} for d in (1, 2, 3) for p in (0, 1, 2)]
    plan = planned(benchmark(methods=[{}, {"global": "gd"}], repeats=square))
    assert len(plan.of("finetune")) == 2 * 9
    assert [job.seed for job in plan.of("pretrain_global")] == [0, 1, 2]
    assert [job.seed for job in plan.of("diagnose") if job.name == "random"] == [1, 2, 0]  # of the fine-tunings
    for job in plan.of("finetune"):
        assert job.repeat is not None
        assert job.record.parts[-3] == job.repeat.name == job.label.split()[-1]
        assert job.start is None or plan.jobs[job.start].seed == job.repeat.pretraining
    assert "c2-p1-f0" in by_repeat(plan)


def test_repeats_of_a_card_with_lists_begin_with_the_listed_choices() -> None:
    names = ["a", "b", "c", "d"]
    listed = [LabelledDraw(train=[name], validation=["v"]) for name in ("c", "a")]
    whole = LabelledDraw(train=names, validation=["w"])
    lists = LISTS.model_copy(update={"pretrain": names, "budgets": {1: listed}, "all": whole})
    found = by_repeat(planned(benchmark(methods=[{}], repeats=4), card(splits=lists)))
    splits = [own["finetune", "random 1"].spec.split for own in found.values()]  # type: ignore[union-attr]
    assert [split.train for split in splits[:2]] == [("c",), ("a",)]
    assert {split.train for split in splits[2:]} == {("b",), ("d",)}  # of the same pool, and no list has them
    assert [split.validation for split in splits] == [("v",), ("v",), ("w",), ("w",)]


def test_a_row_with_other_seeds_labels_the_same_volumes_and_shares_no_seed() -> None:
    line = {"global": "gd", "local": "lr", "name": "again", "other_seeds": True}
    plan = planned(benchmark(methods=[{}, {"global": "gd", "local": "lr"}, line], repeats=3, budgets=[1, 2]))
    seeds = {name: [] for name in ("gd+lr", "again")}  # type: dict[str, list[int]]
    for own in by_repeat(plan).values():
        for budget in (1, 2):
            usual, again = (own["finetune", f"{name} {budget}"] for name in seeds)
            assert usual.spec.split == again.spec.split  # type: ignore[union-attr]
            assert usual.chain == again.chain
            for name, job in (("gd+lr", usual), ("again", again)):
                local = plan.jobs[job.start]  # type: ignore[index]
                seeds[name] += [job.spec.seed, local.spec.seed, plan.jobs[local.start].spec.seed]  # type: ignore[union-attr, index]
    assert set(seeds["gd+lr"]) == {1, 2, 3}
    assert len(set(seeds["again"])) == 3
    assert not set(seeds["again"]) & set(seeds["gd+lr"])
    alone = planned(benchmark(methods=[{}, {"global": "gd", "local": "lr"}], repeats=3, budgets=[1, 2]))
    assert {r for r, job in alone.jobs.items() if job.phase != "report"} < set(plan.jobs)  # the others stay as they are


def test_random_weights_with_other_seeds_are_other_weights() -> None:
    plan = planned(benchmark(methods=[{}, {"name": "random-again", "other_seeds": True, "control": True}], repeats=2))
    for own in by_repeat(plan).values():
        usual, again = own["finetune", "random 1"].spec, own["finetune", "random-again 1"].spec
        assert usual.split == again.split  # type: ignore[union-attr]
        assert usual.seed != again.seed  # type: ignore[union-attr]


def test_a_control_that_sets_nothing_is_the_method_itself() -> None:
    line = {"global": "gd", "name": "held-against", "control": True}
    with pytest.raises(ConfigError, match=r"found 'gd' and 'held-against' with one and the same specification"):
        planned(benchmark(methods=[{}, {"global": "gd"}, line]))


# ---------------------------------------------------------------- cards, names and variants


def keys() -> set[str]:
    return {job.spec.key for job in planned().jobs.values()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"percentiles": [2, 98]}, everything()),
        ({"reader": {"kind": "folders", "labels": "other"}}, REPORT),  # what is read is in the lock file: test_stale.py
        ({"channel": 1}, REPORT),
        ({"title": "Otherwise", "licence": "x", "modality": "CT", "citation": ["y"]}, REPORT),
        ({"splits": {"kind": "rule", "test": 2, "validation": 2, "seed": 1}}, ALL),
        ({"splits": {"kind": "rule", "test": 2, "validation": 2, "seed": 0, "test_volumes": "one"}}, TUNED),
    ],
)
def test_a_card_moves_what_reads_it(changes: dict[str, Any], expected: set[str]) -> None:
    assert moved(planned(c=card(**changes))) == expected


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"pretrain": ["a", "b", "d"]}, PRETRAINED | DIAGNOSES | tuned("random+mean_teacher")),
        ({"all": LabelledDraw(train=["a"], validation=["w"])}, DIAGNOSES | REPORT),
        ({"test": ["u"]}, TUNED),
        ({"budgets": {1: [LabelledDraw(train=["b"], validation=["v"])]}}, TUNED),
    ],
)
def test_lists_move_what_reads_them(lists: dict[str, Any], expected: set[str]) -> None:
    before = planned(c=card(splits=LISTS))
    assert moved(planned(c=card(splits=LISTS.model_copy(update=lists))), before) == expected


def test_a_name_moves_the_report_alone() -> None:
    one, other = (
        planned(benchmark(methods=[{}, {"global": "gd", "name": name, "set": {"pretrain_global.steps": 9}}]))
        for name in ("x1", "x2")
    )
    assert [r for r in one.jobs if "report" not in str(r)] == [r for r in other.jobs if "report" not in str(r)]


def test_a_variant_shares_what_it_does_not_touch() -> None:
    line = {"global": "gd", "local": "lr", "name": "gd+lr-t05", "set": {"pretrain_local.temperature": 0.5}}
    plan = planned(benchmark(methods=[{}, {"global": "gd", "local": "lr"}, line]))
    assert [job.name for job in plan.of("pretrain_global")] == ["gd"]
    assert [job.name for job in plan.of("pretrain_local")] == ["gd+lr", "gd+lr-t05"]
    assert len({job.start for job in plan.of("pretrain_local")}) == 1
    assert {job.chain for job in plan.of("finetune")} == {"random", "gd+lr"}


@pytest.mark.parametrize(
    ("line", "like"),
    [
        ({"global": "gd", "set": {"pretrain_local.temperature": 0.5}}, "gd"),  # it has no local phase
        ({"set": {"pool": "30%"}}, "random"),  # it reads no pool
        ({"regime": "mixup", "set": {"pool": "30%"}}, "random+mixup"),
    ],
)
def test_methods_that_are_one_and_the_same_are_refused(line: dict[str, Any], like: str) -> None:
    methods = [{}, {"global": "gd"}, {"regime": "mixup"}, {"name": "same", **line}]
    with pytest.raises(ConfigError, match=rf"found '{re.escape(like)}' and 'same' with one and the same specification"):
        planned(benchmark(methods=methods))


def test_a_share_of_the_pool_makes_another_method_of_what_reads_it() -> None:
    share = {"set": {"pool": "30%"}}
    methods = [{}, {"global": "gd"}, {"regime": "mean_teacher"}, {"global": "gd", "name": "gd-30", **share},
               {"regime": "mean_teacher", "name": "teacher-30", **share}]  # fmt: skip
    found = jobs(planned(benchmark(methods=methods)))
    for name in ("gd", "random+mean_teacher"):
        assert found["finetune", name].spec.key in keys()  # those without it are as if it were in no line
    assert found["pretrain_global", "gd-30"].spec.split.share == 0.3  # type: ignore[union-attr]
    assert found["finetune", "gd-30"].spec.split.share is None  # type: ignore[union-attr]
    assert found["finetune", "teacher-30"].spec.split.share == 0.3  # type: ignore[union-attr]


def test_what_is_taken_away_can_not_be_read() -> None:
    spec = jobs(planned())["pretrain_local", "gd+lr"].spec
    assert isinstance(spec, PretrainSpec)
    for read in (lambda: spec.config.partitions, lambda: spec.config.views.crop):
        with pytest.raises(AttributeError):
            read()
    assert "partitions" not in spec.dump()["config"]
    assert spec.config.temperature == 0.1


def test_without_leaves_its_model_alone() -> None:
    settings = benchmark().settings()
    less = without(settings.pretrain_global, ["views.crop", "steps"])
    assert "crop" not in keyed(less)["views"]
    assert "steps" not in keyed(less)
    assert settings.pretrain_global.steps == 5
    assert settings.pretrain_global.views.crop > 0


@pytest.mark.parametrize("kind", [PretrainSpec, DiagnoseSpec, FinetuneSpec])
def test_every_field_of_a_specification_is_in_its_key(kind: type) -> None:
    spec = next(job.spec for job in planned().jobs.values() if isinstance(job.spec, kind))
    for name in type(spec).model_fields:
        other = spec.model_copy(update={name: "another value"})
        other.__dict__.pop("key", None)  # of the original, if it was asked for
        assert other.key != spec.key, name
