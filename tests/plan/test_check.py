"""What a dry run says of a benchmark and its cards, all at once, a line each, with the value that would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_specs import LISTS, benchmark, card

from glocalseg.config.benchmark import Benchmark, load_benchmark
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import Card, load_card, load_cards
from glocalseg.plan.bought import bought_of
from glocalseg.plan.check import check
from glocalseg.plan.make import make_plan

CONFIG = Path(__file__).resolve().parents[2] / "config"
METHODS: list[dict[str, Any]] = [{}, {"global": "gd"}]


def said(b: Benchmark, c: Card) -> list[str]:
    """The problems, a line each; none if nothing is wrong."""
    try:
        check(b, {c.name: c})
    except ConfigError as error:
        return str(error).split("\n")
    return []


def framed(rows: int, columns: int) -> Card:
    return card(frame={"spacing": [1.5, 1.5], "size": [rows, columns]})


def test_a_line_shows_the_beginning_of_a_long_name() -> None:
    [line] = said(benchmark(methods=[{}, {"global": "x" * 5000}]), card())
    assert line.startswith("methods: global: expected one of ")
    assert len(line) < 500


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_benchmarks_have_nothing_wrong(path: Path) -> None:
    b = load_benchmark(path)
    check(b, load_cards(b.datasets, CONFIG / "datasets"), bought_of(b, CONFIG / "weights"))


@pytest.mark.parametrize(
    ("size", "levels", "rows", "columns"),
    [
        ((150, 150), 6, "128 or 160", "128 or 160"),
        ((100, 90), 5, "96 or 112", "80 or 96"),
        ((33, 47), 4, "32 or 40", "40 or 48"),
        ((192, 180), 6, "192", "160 or 192"),
    ],
)
def test_a_frame_that_would_shrink_the_network_is_named_with_sizes_that_would_not(
    size: tuple[int, int], levels: int, rows: str, columns: str
) -> None:
    [line] = said(benchmark(), framed(*size))
    assert line == (
        f"made_up: frame.size: expected a size for a U-Net of {levels} levels, such as {rows} rows and {columns} columns, found "
        f"{size[0]} x {size[1]} (network.levels in the benchmark may ask for fewer)"
    )


@pytest.mark.parametrize("size", [(192, 192), (160, 160), (144, 96), (96, 128), (48, 48), (32, 32), (16, 16)])
def test_frames_that_keep_their_levels(size: tuple[int, int]) -> None:
    expected = [] if size != (144, 96) else ["made_up: frame.size"]
    assert [
        line[:19] for line in said(benchmark(), framed(*size))
    ] == expected  # 144 / 32 is not whole, and 96 has room for six


def test_levels_that_are_asked_for_need_only_fit() -> None:
    assert said(benchmark(network={"levels": 2}), framed(150, 150)) == []
    [line] = said(benchmark(network={"levels": 3}), framed(150, 150))
    assert "a U-Net of 3 levels, such as 148 or 152 rows" in line
    [line] = said(benchmark(network={"levels": 7}), framed(192, 192))
    assert line == "network.levels: expected at most 6, the number of channels, found 7"


def test_a_method_with_another_network_is_named() -> None:
    line = {"global": "gd", "name": "deep", "set": {"network.levels": 4}}
    [found] = said(benchmark(network={"levels": 2}, methods=[*METHODS, line]), framed(150, 150))
    assert found.startswith("made_up: frame.size: expected a size for a U-Net of 4 levels, such as 144 or 152 rows")
    assert "(methods: deep: set: network.levels in the benchmark" in found


def test_a_strategy_that_trains_the_unet_alone_is_refused_beside_another_encoder() -> None:
    methods = [{}, {"global": "spark"}, {"global": "gd"}]
    [line] = said(benchmark(methods=methods, network={"encoder": "timm:resnet18"}), framed(160, 160))
    assert line == "network.encoder: expected unet, which spark needs, found 'timm:resnet18' for 'spark'"
    assert said(benchmark(methods=methods), framed(160, 160)) == []


def test_an_encoder_of_timm_halves_five_times() -> None:
    network = {"encoder": "timm:resnet18"}
    assert said(benchmark(network=network), framed(160, 96)) == []
    [line] = said(benchmark(network=network), framed(150, 150))
    assert "for timm:resnet18, which halves it 5 times, such as 128 or 160 rows" in line
    assert said(benchmark(network={**network, "levels": 2}), framed(148, 148)) == []


def test_blocks_that_the_network_does_not_have() -> None:
    local = {"steps": 5, "images": 8, "blocks": 4}
    assert said(benchmark(pretrain_local={**local, "blocks": 3}), framed(32, 32)) == []
    [line] = said(benchmark(pretrain_local=local), framed(32, 32))
    assert line == "pretrain_local.blocks: expected at most 3 for a U-Net of 4 levels (made_up), found 4"


@pytest.mark.parametrize(
    ("budgets", "splits", "found"),
    [
        ([6], None, "at most 5, the training list of 'made_up', found 6"),
        ([1, 2], LISTS, "at most 1, the training list of 'made_up', found 2"),
    ],
)
def test_budgets_that_a_card_cannot_give(budgets: list[Any], splits: Any, found: str) -> None:
    assert said(benchmark(budgets=budgets), card(**({"splits": splits} if splits else {}))) == [f"budgets: expected {found}"]


def test_a_percentage_of_lists_is_one_of_the_training_list() -> None:
    for percentage in ("10%", "100%"):
        assert said(benchmark(budgets=[percentage]), card(splits=LISTS)) == []


def test_more_test_and_validation_subjects_than_there_are() -> None:
    [line] = said(benchmark(budgets=[1, 2]), card(subjects=4))
    assert line == "made_up: splits: expected fewer test and validation subjects than the card's 4, found 2 + 2"


def test_all_problems_come_at_once() -> None:
    b = benchmark(budgets=[6, 7], methods=[*METHODS, {"global": "gx"}], strategies={"gd": {"view": 1}})
    lines = said(b, framed(150, 150))
    assert [line.split(": ")[0] for line in lines] == ["methods", "strategies.gd", "budgets", "budgets", "made_up"]


# ---------------------------------------------------------------- a card's own mistakes, by the ways a person meets them


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": {"pattern": "(sub[-_"}}, ["subject.pattern", "regular expression", "unterminated character set"]),
        ({"subject": {"pattern": "sub.*"}}, ["subject.pattern", "a group in parentheses"]),
        ({"percentiles": [1, 200]}, ["percentiles", "between 0 and 100"]),
        ({"percentiles": [99, 1]}, ["percentiles", "must rise"]),
        ({"percentiles": [float("nan"), 99]}, ["percentiles", "finite number"]),
        ({"window": [300, -100]}, ["window", "lower intensity first"]),
        ({"structures": {1: "kidney", 2: "kidney"}}, ["structures", "different names"]),
        ({"structures": {1: "NA"}}, ["structures", "cell of a table", "'NA'"]),
        ({"frame": {"spacing": [1, 1], "size": [8, 8]}}, ["frame", "at least 16"]),
    ],
)
def test_a_mistake_in_a_card_is_one_line_with_file_and_key(
    tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    raw = yaml.safe_load((CONFIG / "datasets/heart.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "heart.yaml"
    path.write_text(yaml.safe_dump({**raw, **changes}), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_card(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "name", ["mean", "All", "", " liver", "liver ", "a,b", "a\tb", "a\nb", 'a"b', "NA", "nan", "None", "n/a", "null"]
)
def test_structures_that_a_table_cannot_name_are_refused(name: str) -> None:
    raw = yaml.safe_load((CONFIG / "datasets/heart.yaml").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match="cell of a table") as error:
        Card.model_validate({**raw, "structures": {1: name}})
    assert repr(name) in str(error.value).replace("\\\\", "\\")


@pytest.mark.parametrize("name", ["left ventricle (LV)", "007", "1e5", "Höhle", "nanotube", "inf", "meaningful"])
def test_structures_that_a_table_can_name(name: str) -> None:
    assert card(structures={1: name}).structures == {1: name}


def test_what_is_wrong_is_found_by_a_plan() -> None:
    with pytest.raises(ConfigError, match="U-Net of 6 levels"):
        make_plan(benchmark(), {"made_up": framed(150, 150)}, lock_folder=Path("nowhere"))
