"""Configurations that are shipped, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from glocalseg.config.benchmark import Benchmark, Method, Repeat, load_benchmark, parse_benchmark
from glocalseg.config.model import ConfigError, read_yaml
from glocalseg.data.cards.card import load_card, load_cards

CONFIG = Path(__file__).resolve().parents[2] / "config"


def raw(**changes: Any) -> dict[str, Any]:
    """The quick configuration with some keys replaced."""
    return {**yaml.safe_load((CONFIG / "quick.yaml").read_text()), **changes}


def triple(**changes: int) -> dict[str, int]:
    """A repeat whose parts go together, with some of them replaced."""
    return {"draw": 1, "pretraining": 1, "finetuning": 1, **changes}


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_benchmarks_are_valid_and_named_as_their_file(path: Path) -> None:
    benchmark = load_benchmark(path)
    assert benchmark.name == path.stem
    assert set(load_cards(benchmark.datasets, CONFIG / "datasets")) == set(benchmark.datasets)


def test_the_quick_benchmark_is_what_a_newcomer_was_promised() -> None:
    quick = load_benchmark(CONFIG / "quick.yaml")
    assert len(quick.methods) >= 6
    assert len(quick.budgets) >= 2
    assert len(quick.all_repeats) >= 2
    assert quick.datasets == ["phantom"]


def test_the_paper_configuration_has_the_papers_values() -> None:
    paper = load_benchmark(CONFIG / "paper.yaml")
    for phase in (paper.pretrain_global, paper.pretrain_local, paper.finetune):
        assert (phase.steps, phase.learning_rate) == (10001, 1e-3)
    assert paper.pretrain_global.temperature == paper.pretrain_local.temperature == 0.1
    assert (paper.finetune.batch, paper.finetune.loss, paper.finetune.schedule) == (20, "dice", "constant")
    assert (paper.pretrain_local.blocks, paper.pretrain_local.region_size) == (3, 3)
    assert paper.budgets == [1, 2, 8]
    start = ["random", "gr", "gd_minus", "gd", "gd+lr", "gd+ld", "rotation", "inpainting", "context"]
    regimes = [f"random+{name}" for name in ("mixup", "self_training", "adversarial", "task_driven")]
    assert [m.id for m in paper.methods] == [*start, *regimes, "gd+lr+mixup", "gd+lr+self_training"]
    assert not any(m.set_ or m.control for m in paper.methods)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, "random"),
        ({"global": "gd"}, "gd"),
        ({"global": "gd", "local": "lr"}, "gd+lr"),
        ({"global": "gd", "local": "lr", "regime": "mixup"}, "gd+lr+mixup"),
        ({"regime": "mixup"}, "random+mixup"),
    ],
)
def test_how_methods_are_called(spec: dict[str, str], name: str) -> None:
    assert Method.model_validate(spec).id == name


def test_a_name_stands_in_tables_and_the_chain_in_paths() -> None:
    method = Method.model_validate({"global": "gd", "local": "lr", "name": "gd+lr-t05", "set": {"threads": 2}})
    assert (method.id, method.chain) == ("gd+lr-t05", "gd+lr")
    with pytest.raises(ValueError, match="settings or seeds of its own needs a name"):
        Method.model_validate({"global": "gd", "set": {"threads": 2}})


def test_more_repeats_keep_the_first_ones() -> None:
    few, more = (parse_benchmark(raw(repeats=number), where="some.yaml").all_repeats for number in (3, 5))
    assert more[:3] == few
    assert [repeat.name for repeat in more] == ["r1", "r2", "r3", "r4", "r5"]
    for part in ("draw", "pretraining", "finetuning"):
        assert len({getattr(repeat, part) for repeat in more}) == 5  # everything that varies is a repeat's own


def test_a_list_says_what_goes_together_and_calls_it_so() -> None:
    listed = [triple(), triple(draw=2), triple(draw=2, pretraining=2, finetuning=2), triple(pretraining=0, finetuning=3)]
    repeats = parse_benchmark(raw(repeats=listed), where="some.yaml").all_repeats
    assert [repeat.name for repeat in repeats] == ["r1", "c2-p1-f1", "r2", "c1-p0-f3"]
    assert repeats[2] == Repeat.joint(2)


def test_declared_comparisons_are_the_papers_as_far_as_the_methods_are_there() -> None:
    methods = [{}, {"global": "gr"}, {"global": "gd"}, {"global": "gd", "local": "lr"}]
    whole = parse_benchmark(raw(methods=methods), where="some.yaml")
    assert whole.primary == ("gd+lr", "random")
    assert whole.claims == (("gd", "gr"), ("gd+lr", "gd"))
    less = parse_benchmark(raw(methods=methods[:3]), where="some.yaml")
    assert (less.primary, less.claims) == (None, (("gd", "gr"),))
    given = {"primary": ["gd", "gr"], "claims": []}
    own = parse_benchmark(raw(methods=methods, statistics=given), where="some.yaml")
    assert (own.primary, own.claims) == (("gd", "gr"), ())


def quick_with(**method: Any) -> Benchmark:
    return parse_benchmark(raw(methods=[{}, {"global": "gd", "name": "other", "set": method["set_"]}]), where="some.yaml")


@pytest.mark.parametrize(
    ("path", "value", "of"),
    [
        ("pretrain_global.temperature", 0.5, lambda s: s.pretrain_global.temperature),
        ("pretrain_global.views.crop", 0.4, lambda s: s.pretrain_global.views.crop),
        ("pretrain_global.partitions", 6, lambda s: s.pretrain_global.partitions),
        ("pretrain_local.frozen_batchnorm", "paper", lambda s: s.pretrain_local.frozen_batchnorm),
        ("finetune.augment.elastic", 0.0, lambda s: s.finetune.augment.elastic),
        ("finetune.loss", "dice", lambda s: s.finetune.loss),
        ("network.channels", [4, 8], lambda s: s.network.channels),
        ("threads", 3, lambda s: s.threads),
        ("pool", "30%", lambda s: s.pool),
        ("strategies.gd.cross_views", "release", lambda s: s.strategies["gd"]["cross_views"]),
        ("regimes.mixup.alpha", 0.4, lambda s: s.regimes["mixup"]["alpha"]),
    ],
)
def test_a_line_sets_what_it_names_and_nothing_else(path: str, value: Any, of: Any) -> None:
    benchmark = quick_with(set_={path: value})
    assert of(benchmark.settings(benchmark.methods[1])) == value
    usual, own = (benchmark.settings(m).model_dump() for m in benchmark.methods)
    section = path.split(".")[0]
    assert {k: v for k, v in usual.items() if k != section} == {k: v for k, v in own.items() if k != section}
    assert usual != own
    assert benchmark.settings() == benchmark.settings(benchmark.methods[0])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("pretrain_globl.steps", 5, ["methods: other: set", "expected one of finetune, network", "'pretrain_globl'"]),
        ("pretrain_global.stepz", 5, ["methods: other: set", "pretrain_global.stepz", "an unknown key"]),
        ("pretrain_global.steps", "many", ["methods: other: set", "pretrain_global.steps", "'many'"]),
        ("pretrain_global.steps.first", 5, ["methods: other: set", "'steps'"]),
        ("budgets", [3], ["methods: other: set", "budgets", "an unknown key"]),
    ],
)
def test_a_wrong_setting_of_a_line_is_one_line_that_names_it(path: str, value: Any, words: list[str]) -> None:
    benchmark = quick_with(set_={path: value})
    with pytest.raises(ConfigError) as error:
        benchmark.settings(benchmark.methods[1])
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stepz": 3}, ["stepz", "an unknown key"]),
        ({1: "x"}, ["some.yaml: 1: expected text as a key, found 1"]),
        ({"network": None}, ["network: expected keys and values, found None"]),
        ({"methods": None}, ["methods: expected a list, found None"]),
        ({"budgets": [1, 1]}, ["budgets must be different"]),
        ({"budgets": [0]}, ["budgets.0", "a whole number from 1, or a percentage such as 10%", "found 0"]),
        ({"budgets": [1, "0%"]}, ["budgets.1", "more than 0% and at most 100%", "'0%'"]),
        ({"budgets": ["120%"]}, ["budgets.0", "more than 0% and at most 100%", "'120%'"]),
        ({"budgets": ["ten%"]}, ["budgets.0", "a percentage such as 10%", "'ten%'"]),
        ({"budgets": [1.5]}, ["budgets.0", "a whole number from 1", "1.5"]),
        ({"budgets": [True]}, ["budgets.0", "a whole number from 1", "True"]),
        ({"budgets": ["10%", "10%"]}, ["budgets must be different"]),
        ({"repeats": 0}, ["repeats", "expected at least 1", "0"]),
        ({"repeats": []}, ["repeats", "at least 1"]),
        ({"repeats": [triple(draw=0)]}, ["repeats", "0.draw", "expected at least 1", "0"]),
        ({"repeats": [triple(), triple(finetuning=-1)]}, ["repeats", "1.finetuning", "expected at least 0", "-1"]),
        (
            {"repeats": [{"draw": 1, "pretraining": 1}]},
            ["repeats", "0.finetuning", "expected a value for this key, found none"],
        ),
        ({"repeats": [triple(), triple(draw=2), triple()]}, ["repeats must be different", "'r1', 'c2-p1-f1', 'r1'"]),
        ({"draws": 5}, ["draws", "an unknown key"]),
        ({"seeds": [0]}, ["seeds", "an unknown key"]),
        (
            {"statistics": {"primary": ["gd+lr", "byol"]}},
            ["statistics.primary", "expected two of random, gr", "found 'byol'"],
        ),
        ({"statistics": {"claims": [["gd", "gr"], ["gd+ld", "gr"]]}}, ["statistics.claims", "expected two of", "'gd+ld'"]),
        ({"statistics": {"claims": [["gd", "gd"]]}}, ["statistics.claims", "expected two methods, found 'gd' twice"]),
        ({"statistics": {"primary": ["gd"]}}, ["statistics.primary", "at least 2"]),
        ({"statistics": {"margin": -0.01}}, ["statistics.margin", "expected at least 0", "-0.01"]),
        (
            {"finetune": {"steps": 5, "selection": "test"}},
            ["finetune.selection", "'validation', 'labelled' or 'none'", "'test'"],
        ),
        (
            {"methods": [{}, {"global": "gd", "other_seeds": True}]},
            ["methods.1", "settings or seeds of its own needs a name"],
        ),
        ({"pool": 30}, ["pool", "a percentage such as 10%", "30"]),
        ({"pool": "101%"}, ["pool", "at most 100%", "'101%'"]),
        ({"network": {"channels": [16]}}, ["network.channels", "at least 2"]),
        ({"methods": [{"local": "lr"}]}, ["methods.0", "starts from a global one"]),
        ({"repeats": "many"}, ["repeats", "'many'"]),
        ({"finetune": {"steps": 10, "loss": "hinge"}}, ["finetune.loss", "'dice'", "'hinge'"]),
        ({"pretrain_global": {"steps": 0, "images": 48}}, ["pretrain_global.steps", "expected at least 1", "0"]),
    ],
)
def test_a_wrong_value_is_one_line_with_file_key_and_value(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        parse_benchmark({**raw(), **changes}, where="some.yaml")
    assert str(error.value).startswith("some.yaml: ")
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_every_problem_has_its_line() -> None:
    with pytest.raises(ConfigError) as error:
        parse_benchmark(raw(stepz=3, budgets=[0]), where="some.yaml")
    assert sorted(line.split(": ")[1] for line in str(error.value).split("\n")) == ["budgets.0", "stepz"]


def test_a_benchmark_survives_being_written_and_read() -> None:
    for path in CONFIG.glob("*.yaml"):
        benchmark = load_benchmark(path)
        assert Benchmark.model_validate(benchmark.model_dump(mode="json", by_alias=True)) == benchmark


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found nothing there"):
        load_benchmark(tmp_path / "absent.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(ConfigError, match="keys and values, found list"):
        load_benchmark(tmp_path / "list.yaml")
    for text in ("a: [1\n", "? [1, 2]\n: 3\n", "a: 2026-02-30\n", "[" * 5000, "a: 1\nb: {c: 1, c: 2}\n"):
        (tmp_path / "broken.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"expected YAML, found: .") as error:
            load_benchmark(tmp_path / "broken.yaml")
        assert "\n" not in str(error.value)
    assert "the key 'c' twice in the section that begins on line 2" in str(error.value)
    (tmp_path / "merged.yaml").write_text("a: &a {c: 1}\nb: {<<: *a, c: 2}\n")
    assert read_yaml(tmp_path / "merged.yaml")["b"] == {"c": 2}  # a merged section's keys may be set otherwise


def test_a_card_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text((CONFIG / "datasets" / "acdc.yaml").read_text())
    with pytest.raises(ConfigError, match="expected 'other', as the file is called, found 'acdc'"):
        load_card(tmp_path / "other.yaml")


def test_an_unknown_data_set_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"expected one of acdc, .*prostate.* found 'brain'"):
        load_cards(["brain"], CONFIG / "datasets")
