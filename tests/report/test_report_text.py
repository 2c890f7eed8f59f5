"""What the page says of methods and settings: from the methods' own files, and true whatever the methods are."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from fabricated_runs import Line, Size, make_benchmark

from glocalseg.config.benchmark import Benchmark
from glocalseg.methods import catalogue
from glocalseg.methods.catalogue import Entry
from glocalseg.report.text.about import methods as text_methods
from glocalseg.report.text.about import settings as text_settings
from glocalseg.report.text.about.methods import methods, sources, what_differs
from glocalseg.report.text.about.settings import REGIONS, settings, switches
from glocalseg.report.text.fact import Fact, listed
from glocalseg.report.text.names import plain

T05: Line = {"global": "gd", "local": "lr", "name": "gd+lr-t05", "set": {"pretrain_global.temperature": 0.5}}


def benchmark(*lines: Line, names: tuple[str, ...] = ("random", "gd", "gd+lr"), **more: Any) -> Benchmark:
    made = make_benchmark(Size(methods=names, lines=lines))
    return Benchmark.model_validate({**made.model_dump(by_alias=True), **more})


def said(facts: list[Fact]) -> dict[str, str]:
    return {plain(fact.label): plain(fact.value) for fact in facts}


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A strategy that reads neither temperature nor partitions nor a crop, and a regime of its own kind."""
    gd = catalogue.strategies()["gd"]
    entry = dataclasses.replace(
        gd, name="turned", symbol="Turned", sentence="a slice tells how it was turned.", source="A. Nobody, 2018.",
        unread=("temperature", "partitions", "partition_bounds", "views.crop", "views.scalars"),
    )  # fmt: skip
    blend = dataclasses.replace(
        entry, name="blended", symbol="Blended", sentence="slices are shown blended.", part="", unread=()
    )
    known = {**catalogue.strategies(), "turned": entry}
    ways = {**catalogue.regimes(), "blended": blend}
    for module in (text_methods, text_settings):
        monkeypatch.setattr(module, "strategies", lambda: known)
    monkeypatch.setattr(text_methods, "regimes", lambda: ways)
    return entry


def test_methods_are_described_by_their_own_files():
    entries = catalogue.strategies()
    found = said(methods(benchmark()))
    assert list(found) == ["Random init", "G^D", "G^D + L^R"]
    assert found["Random init"] == "Random weights; no pretraining."
    assert found["G^D"].lower() == plain(entries["gd"].sentence).lower()
    assert found["G^D + L^R"] == f"G^D: {plain(entries['gd'].sentence)} L^R: {plain(entries['lr'].sentence)}"


def test_a_method_with_a_name_says_what_it_is_and_what_it_sets():
    found = said(methods(benchmark(T05)))["gd+lr-t05"]
    assert found.startswith("G^D + L^R with pretrain_global.temperature 0.5. G^D: ")


def test_a_regime_is_described_beside_the_weights_it_starts_from(blind: Entry):
    found = said(methods(benchmark({"regime": "blended"}, {"global": "turned"})))
    assert found["random+blended"] == "Random weights; no pretraining. Blended: slices are shown blended."
    assert found["turned"] == "A slice tells how it was turned."


def test_sources_are_named_once_each(blind: Entry):
    found = said(sources(benchmark({"global": "turned"}, {"regime": "blended"})))
    assert found["Turned and Blended"] == "A. Nobody, 2018."
    assert any("Chaitanya" in source for source in found.values())


def test_what_methods_have_in_common_is_true_for_the_methods_at_hand(blind: Entry):
    start = "Every method fine-tunes the same network on the same labelled volumes"
    assert what_differs(benchmark()) == f"{start} with the same settings; only the weights that it starts from differ."
    assert what_differs(benchmark(T05)) == (
        f"{start} with the same settings. What differs: the weights that it starts from and settings that single methods "
        "change, named with each."
    )
    regime = what_differs(benchmark({"regime": "blended"}))
    assert "with the same settings" not in regime
    assert "what it does with the slices (Blended)" in regime
    other = what_differs(benchmark({"name": "deep", "set": {"network.levels": 3, "finetune.steps": 9}}))
    assert other.startswith("Every method fine-tunes a network on the same labelled volumes. What differs: ")
    alone = what_differs(benchmark(names=("random",)))
    assert alone == f"{start} with the same settings."


def test_settings_that_no_strategy_reads_are_not_shown(blind: Entry):
    found = said(settings(benchmark({"global": "turned"}, names=("random",))))["Global pretraining"]
    assert "temperature" not in found
    assert "partitions" not in found
    assert "60 steps of 16 images" in found
    both = said(settings(benchmark({"global": "turned"}, names=("random", "gd"))))["Global pretraining"]
    assert "temperature 0.1 (not Turned)" in both
    assert "4 partitions of a volume (not Turned)" in both
    assert not {"Global pretraining", "Local pretraining"} & set(said(settings(benchmark(names=("random",)))))


def test_number_of_regions_is_that_of_the_options():
    assert f"{REGIONS} regions of 3 × 3" in said(settings(benchmark()))["Local pretraining"]
    nine = benchmark(strategies={"lr": {"regions": 9}})
    assert "9 regions of 3 × 3" in said(settings(nine))["Local pretraining"]


def test_who_sets_something_otherwise_is_said():
    found = said(settings(benchmark(T05)))
    assert found["Global pretraining"].endswith("; gd+lr-t05 sets some of it otherwise")
    assert "otherwise" not in found["Fine-tuning"]


def test_switches_say_who_took_which_side_and_only_those_that_are_read(blind: Entry):
    release: Line = {
        "global": "gd", "name": "as-released", "set": {"pretrain_global.partition_bounds": "release"}
    }  # fmt: skip
    found = said(switches(benchmark(release)))
    assert found["D7: borders of partitions"] == (
        "paper: proportional, every slice is used (G^D and G^D + L^R); release: slices left over at the end of a volume are "
        "never used (as-released)"
    )
    assert found["D21: frozen encoder's batch norm"] == "release: statistics of the batch"
    assert found["Options of single strategies"] == "G^D views = release; otherwise as the paper"
    few = said(switches(benchmark({"global": "turned"}, names=("random",))))
    assert not any(label.startswith(("D6", "D7", "D9", "D21")) for label in few)
    assert "D11: intensity changes in fine-tuning" in few


def test_lists_in_words():
    assert [listed(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
