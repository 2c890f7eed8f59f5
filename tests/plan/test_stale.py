"""Which results a change makes stale: counted on the keys, for a copy of the code in which things are changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from conftest import GLOBAL, LOCAL, REPOSITORY, Planner, lock_of, plain
from glocalrun.plans import plan_of
from glocalseg.config.benchmark import Benchmark
from glocalseg.config.model import ConfigError, read_yaml
from glocalseg.data.cards.card import load_card
from glocalseg.data.splits.given import SplitLists
from glocalseg.plan.check import check
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import UNVERIFIED, fetched_record, identity, make_plan, verified_record

CONFIGURATION = "hippocampus"


@pytest.fixture
def tree(tree: Path) -> Path:
    """The copy with a plain configuration."""
    return plain(tree)


def moved(before: Plan, after: Plan) -> set[tuple[str, str]]:
    """(phase, method or strategy) of every job whose record is another one; the jobs themselves must be the same."""
    old, new = identities(before), identities(after)
    assert old.keys() == new.keys()
    return {(job.phase, job.name) for key, job in old.items() if job.record != new[key].record}


def identities(plan: Plan) -> dict[tuple[object, ...], Job]:
    return {(j.phase, j.dataset, j.name, j.budget, j.repeat, j.seed): j for j in plan.jobs.values()}


def everything(plan: Plan) -> set[tuple[str, str]]:
    return {(job.phase, job.name) for job in plan.jobs.values()}


def of_phases(plan: Plan, *phases: str) -> set[tuple[str, str]]:
    return {(job.phase, job.name) for job in plan.jobs.values() if job.phase in phases}


def edit(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


# ---------------------------------------------------------------- what makes nothing stale


def test_a_copy_of_the_code_gives_the_plan_of_this_process(configured: Planner, planner: Planner) -> None:
    """So that what a change of the code moves may be held against ``configured``, which is quick."""
    assert planner(CONFIGURATION).jobs == configured(CONFIGURATION).jobs


def test_comments_docstrings_and_layout_change_no_path(tree: Path, configured: Planner, planner: Planner) -> None:
    before = configured(CONFIGURATION)
    for module in (tree / "src/glocalseg").rglob("*.py"):
        text = module.read_text()
        if text.startswith('"""'):
            end = text.index('"""', 3)
            text = text[:end] + "\n\nReworded.\n" + text[end:]  # after what a method says of itself, which a report shows
        module.write_text("# a new comment\n\n" + text + "\n\n# and one at the end\n")
    assert planner(CONFIGURATION).jobs.keys() == before.jobs.keys()


def test_dates_change_no_path(tree: Path, configured: Planner, planner: Planner) -> None:
    before = configured(CONFIGURATION)
    for path in tree.rglob("*"):
        path.touch()
    assert planner(CONFIGURATION).jobs.keys() == before.jobs.keys()


def test_the_mirror_and_words_about_the_data_change_no_run(tree: Path, configured: Planner) -> None:
    before = configured(CONFIGURATION)
    edit(tree / "config/hippocampus.yaml", "mirror: null", "mirror: https://elsewhere.example/archives")
    assert moved(before, configured(CONFIGURATION)) == set()
    edit(tree / "config/datasets/hippocampus.yaml", "licence: ", "licence: reworded ")
    assert moved(before, configured(CONFIGURATION)) == {("report", "hippocampus")}


def test_new_methods_move_nothing_of_what_there_is_but_the_report(tree: Path, configured: Planner, planner: Planner) -> None:
    """One of every kind, as files that were not there before, beside methods that they have everything in common with."""
    before = configured(CONFIGURATION)
    methods = tree / "src/glocalseg/methods"
    for like in (
        "pretraining/encoder/contrastive/gd",
        "pretraining/decoder/lr",
        "pretraining/network/context",
        "finetuning/regimes/labelled/mixup",
    ):
        text = (methods / f"{like}.py").read_text(encoding="utf-8")
        (methods / like).with_name("novel_" + like.rpartition("/")[2]).with_suffix(".py").write_text(text, encoding="utf-8")
    path = tree / "config/hippocampus.yaml"
    raw = read_yaml(path)
    rows = [{"global": "novel_gd"}, {"global": "novel_gd", "local": "novel_lr"}, {"global": "novel_context"}]
    path.write_text(yaml.safe_dump(raw | {"methods": [*raw["methods"], *rows, {"regime": "novel_mixup"}]}), encoding="utf-8")
    after = planner(CONFIGURATION)
    assert before.jobs.keys() - after.jobs.keys() == {before.report.record}
    added = {after.jobs[record].name for record in after.jobs.keys() - before.jobs.keys() - {after.report.record}}
    assert added == {"novel_gd", "novel_gd+novel_lr", "novel_context", "random+novel_mixup"}


# ---------------------------------------------------------------- what makes exactly its dependents stale


def test_one_strategys_file_moves_only_what_uses_it(tree: Path, configured: Planner, planner: Planner) -> None:
    before = configured(CONFIGURATION)
    append(tree / "src/glocalseg/methods/pretraining/decoder/lr.py", "\nCHANGED = 1\n")
    uses = {("pretrain_local", "gd+lr"), ("diagnose", "gd+lr"), ("finetune", "gd+lr"), ("score", "gd+lr")}
    uses |= {("report", "hippocampus")}
    assert moved(before, planner(CONFIGURATION)) == uses


def test_a_global_strategys_file_moves_the_local_ones_on_top_of_it(
    tree: Path, configured: Planner, planner: Planner
) -> None:
    before = configured(CONFIGURATION)
    append(tree / "src/glocalseg/methods/pretraining/encoder/contrastive/pcl.py", "\nCHANGED = 1\n")
    assert {name for _, name in moved(before, planner(CONFIGURATION))} == {"pcl", "hippocampus"}


def test_a_parameter_moves_its_phase_and_what_starts_from_it(tree: Path, configured: Planner) -> None:
    before = configured(CONFIGURATION)
    configuration = tree / "config/hippocampus.yaml"
    text = configuration.read_text()

    configuration.write_text(re.sub(r"(finetune:\n  steps: )\d+", r"\g<1>7", text))
    assert moved(before, configured(CONFIGURATION)) == of_phases(before, "finetune", "score", "report")

    configuration.write_text(re.sub(r"(pretrain_local:\n  steps: )\d+", r"\g<1>7", text))
    local = {key for key in everything(before) if "+" in key[1]} | {("report", "hippocampus")}
    assert moved(before, configured(CONFIGURATION)) == local

    configuration.write_text(re.sub(r"(pretrain_global:\n  steps: )\d+", r"\g<1>7", text))
    pretrained = {key for key in everything(before) if key[1] != "random" and key[0] != "data"}
    assert moved(before, configured(CONFIGURATION)) == pretrained


def test_another_archive_of_the_same_cases_moves_the_report_alone(tree: Path, configured: Planner) -> None:
    before = configured(CONFIGURATION)
    card = tree / "config/datasets/hippocampus.yaml"
    card.write_text(re.sub(r"md5: [0-9a-f]{32}", "md5: " + "a" * 32, card.read_text()))
    after = configured(CONFIGURATION)
    assert moved(before, after) == {("report", "hippocampus")}
    one, other = (fetched_record(plan.cards["hippocampus"]) for plan in (before, after))
    assert one.parent != other.parent, "each archive is unpacked into a folder of its own"


@pytest.mark.parametrize("part", ["subject", "image", "label"])
def test_the_contents_of_one_case_are_in_the_keys_of_everything(tree: Path, configured: Planner, part: str) -> None:
    before = configured(CONFIGURATION)
    lock = lock_of(tree, "hippocampus")
    known = json.loads(lock.read_text(encoding="utf-8"))
    first = known["cases"][min(known["cases"])]
    first[part] = known["cases"][max(known["cases"])][part]
    lock.write_text(json.dumps(known), encoding="utf-8")
    assert moved(before, configured(CONFIGURATION)) == everything(before)


def test_facts_in_a_lock_file_and_its_form_are_in_no_key(tree: Path, configured: Planner) -> None:
    before = configured(CONFIGURATION)
    lock = lock_of(tree, "hippocampus")
    known = json.loads(lock.read_text(encoding="utf-8"))
    for case in known["cases"].values():
        case["spacing"] = [2.0, 2.0, 2.0]
    known["cases"] = dict(reversed(known["cases"].items()))
    lock.write_text(json.dumps(known, indent=3), encoding="utf-8")
    assert configured(CONFIGURATION).jobs.keys() == before.jobs.keys()


def test_without_a_lock_file_of_this_reading_the_keys_are_provisional(tree: Path, configured: Planner) -> None:
    before = configured(CONFIGURATION)
    lock, card = lock_of(tree, "hippocampus"), tree / "config/datasets/hippocampus.yaml"
    assert identity(before.cards["hippocampus"], lock.parent) != UNVERIFIED
    text = card.read_text(encoding="utf-8")
    card.write_text(f"{text}\nchannel: 1\n", encoding="utf-8")
    read_otherwise = configured(CONFIGURATION)
    assert identity(read_otherwise.cards["hippocampus"], lock.parent) == UNVERIFIED
    assert moved(before, read_otherwise) == everything(before)
    card.write_text(text, encoding="utf-8")
    assert configured(CONFIGURATION).jobs.keys() == before.jobs.keys()
    lock.unlink()
    absent = configured(CONFIGURATION)
    assert identity(absent.cards["hippocampus"], lock.parent) == UNVERIFIED
    assert {p for p in absent.jobs if "report" not in str(p)} == {p for p in read_otherwise.jobs if "report" not in str(p)}


def test_code_of_the_report_moves_only_the_report(tree: Path, configured: Planner, planner: Planner) -> None:
    before = configured(CONFIGURATION)
    append(tree / "src/glocalseg/report/build.py", "\nCHANGED = 1\n")
    assert moved(before, planner(CONFIGURATION)) == {("report", "hippocampus")}
    template = next(p for p in sorted((tree / "src/glocalseg/report/page/templates").iterdir()) if p.is_file())
    after_code = planner(CONFIGURATION)
    template.write_text(template.read_text() + "\n")
    assert moved(after_code, planner(CONFIGURATION)) == {("report", "hippocampus")}


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("subjects: 170", "subjects: 171", True),
        ("slice_axis: A", "slice_axis: P", True),
        ("seed: ", "seed: 1", True),  # another one, which begins with a 1
        ("title: ", "title: Otherwise ", False),
    ],
)
def test_what_of_a_card_verification_looks_at_is_verified_again(
    tree: Path, configured: Planner, old: str, new: str, again: bool
) -> None:
    before = configured(CONFIGURATION).cards["hippocampus"]
    edit(tree / "config/datasets/hippocampus.yaml", old, new)
    after = configured(CONFIGURATION).cards["hippocampus"]
    assert (verified_record(before) != verified_record(after)) == again
    assert fetched_record(before) == fetched_record(after)
    assert verified_record(before).parent.parent == fetched_record(before).parent


# ---------------------------------------------------------------- what benchmarks share


def test_two_benchmarks_share_their_common_runs(tree: Path, configured: Planner) -> None:
    raw = read_yaml(tree / "config/hippocampus.yaml")
    raw |= {"name": "other", "budgets": [2, 4], "methods": [line for line in raw["methods"] if line != {"global": "pcl"}]}
    (tree / "config/other.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    one, two = configured(CONFIGURATION), configured("other")
    shared = {(j.phase, j.name, j.budget) for r, j in one.jobs.items() if r in two.jobs}
    expected = {
        (j.phase, j.name, j.budget)
        for j in one.jobs.values()
        if j.phase != "report" and j.name != "pcl" and j.budget in (None, 2, "all")
    }
    assert shared == expected


@pytest.mark.parametrize("other", ["methods", "quirks", "ablations"])
def test_the_shipped_benchmarks_share_what_the_published_one_has_in_common_with_them(other: str) -> None:
    shipped, further = (plan_of(REPOSITORY / f"config/{name}.yaml") for name in ("hippocampus", other))
    asked = {(job.name, job.budget, job.repeat) for job in further.of("finetune")}
    common = {job.record for job in shipped.of("finetune") if (job.name, job.budget, job.repeat) in asked}
    assert len(common) >= 8 * 3
    assert common <= further.jobs.keys()


def test_the_published_comparison_is_a_part_of_the_comparison_of_all_methods() -> None:
    part, whole = (plan_of(REPOSITORY / f"config/{name}.yaml") for name in ("few_labels", "methods"))
    assert len(part.of("finetune")) >= 8 * 30
    assert {j.record for j in part.jobs.values() if j.phase != "report"} <= whole.jobs.keys()


# ---------------------------------------------------------------- the grid


def test_the_grid_is_the_product_of_what_was_asked_for(configured: Planner) -> None:
    plan = configured(CONFIGURATION)
    b = plan.benchmark
    repeats = len(b.all_repeats)
    assert len(plan.of("finetune")) == len(plan.of("score")) == (7 * len(b.budgets) + 1) * repeats  # and the upper bound
    assert len(plan.of("pretrain_global")) == len(GLOBAL) * repeats
    assert len(plan.of("pretrain_local")) == len(LOCAL) * repeats
    assert len(plan.of("diagnose")) == 7 * repeats


def test_parents_come_before_their_children(configured: Planner) -> None:
    seen: set[Path] = set()
    for job in configured("paper").jobs.values():
        assert set(job.parents) <= seen
        seen.add(job.record)


def test_every_budget_of_the_paper_has_every_repeat(configured: Planner) -> None:
    plan = configured("paper")
    runs = [(j.dataset, j.budget, j.repeat) for j in plan.of("finetune") if j.name == "random"]
    repeats = plan.benchmark.all_repeats
    for dataset in plan.benchmark.datasets:
        for budget in plan.benchmark.budgets:  # of which the cards list five choices, four or three
            assert [r for d, b, r in runs if (d, b) == (dataset, budget)] == list(repeats)


def test_problems_are_named_one_a_line(tree: Path, configured: Planner) -> None:
    plan = configured(CONFIGURATION)
    raw = plan.benchmark.model_dump(by_alias=True)
    raw["methods"] = [{"global": "gx"}, {"global": "gd", "local": "lx"}, {"regime": "magic"}]
    raw["budgets"] = [1, 10_000]
    with pytest.raises(ConfigError) as error:
        check(Benchmark.model_validate(raw), plan.cards)
    lines = str(error.value).split("\n")
    assert len(lines) == 4
    for line, word in zip(lines, ("'gx'", "'lx'", "'magic'", "10000"), strict=True):
        assert word in line
        assert "expected" in line


def test_a_budget_that_the_paper_does_not_list_is_drawn_from_its_pool(tree: Path) -> None:
    cards = tree / "config" / "datasets"
    card = load_card(cards / "mmwhs.yaml")

    def of(budget: int) -> Plan:
        benchmark = Benchmark.model_validate(
            {
                "name": "x", "title": "x", "datasets": ["mmwhs"], "methods": [{}], "budgets": [budget], "repeats": 2,
                "upper_bound": False, "pretrain_global": {"steps": 1, "images": 8},
                "pretrain_local": {"steps": 1, "images": 8}, "finetune": {"steps": 1},
            }
        )  # fmt: skip
        return make_plan(benchmark, {"mmwhs": card}, lock_folder=cards)

    trained = [set(job.spec.split.train) for job in of(3).of("finetune")]  # type: ignore[union-attr]
    assert [len(names) for names in trained] == [3, 3]
    assert trained[0] != trained[1]
    assert isinstance(card.splits, SplitLists)
    assert all(names <= set(card.splits.all.train) for names in trained)
    with pytest.raises(ConfigError, match=r"budgets: expected at most 8, the training list of 'mmwhs', found 9"):
        of(9)
