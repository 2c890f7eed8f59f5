"""Cards of bought-in weights, and how a benchmark uses them: each mistake is one line, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up_weights import raw_card, write_card
from safetensors.torch import save_file

from glocalseg.config.benchmark import Benchmark, load_benchmark
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import Card, load_cards
from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.plan.bought import UNFETCHED
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.digest import sha256_file
from glocalseg.weights.card import WeightsCard, load_weights_card
from glocalseg.weights.lock import known_sha256, lock_of, write_weights_lock

CONFIG = Path(__file__).resolve().parents[2] / "config"
SHIPPED = sorted(path.stem for path in (CONFIG / "weights").glob("*.yaml"))
URL = "https://example.org/model.safetensors"
OF_ANOTHER = "network.encoder: expected timm:test_resnet, which the weights 'small' are of, found "
CARD = {
    "name": "made_up", "title": "Made up", "modality": "MR", "subjects": 9, "licence": "none", "citation": ["none"],
    "source": {"kind": "folder", "path": "nowhere"}, "reader": "folders", "structures": {1: "disc", 2: "core"},
    "slice_axis": "S", "frame": {"spacing": [1.5, 1.5], "size": [64, 64]}, "subject": {"pattern": "(.*)"},
    "splits": {"kind": "rule", "test": 2, "validation": 2, "seed": 0},
}  # fmt: skip


def planned(folder: Path, *lines: dict[str, Any], **changes: Any) -> Plan:
    """The plan of a benchmark with cards of weights in ``folder/weights``."""
    b = Benchmark.model_validate({
        "name": "small", "title": "Small", "datasets": ["made_up"], "methods": [{}, *lines], "budgets": [1], "repeats": 2,
        "upper_bound": False, "network": {"encoder": "timm:test_resnet"}, "pretrain_global": {"steps": 5, "images": 24},
        "pretrain_local": {"steps": 5, "images": 8}, "finetune": {"steps": 5}, **changes,
    })  # fmt: skip
    return make_plan(b, {"made_up": Card.model_validate(CARD)}, lock_folder=folder / "datasets")


def line(weights: str, **more: Any) -> dict[str, Any]:
    return {"name": "bought", "set": {"network.weights": weights, **more}}


def said(folder: Path, *lines: dict[str, Any], **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        planned(folder, *lines, **changes)
    return str(error.value).split("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_card(tmp_path / "weights", raw_card(URL))
    return tmp_path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_agree_with_what_timm_knows_of_these_weights(name: str) -> None:
    if ensure_torchvision() == "absent":
        pytest.skip("the extra 'timm' is not installed")
    timm = pytest.importorskip("timm")
    card = load_weights_card(name, CONFIG / "weights")
    known = timm.models.get_pretrained_cfg(card.model)
    assert (tuple(card.input.mean), tuple(card.input.std)) == (known.mean, known.std)
    assert known.license.split("-")[0] in card.licence.lower()
    assert card.source.url is None or f"/{known.hf_hub_id}/" in card.source.url
    assert card.sha256 is None  # nobody has said one: none may be made up


def test_the_shipped_benchmark_names_each_start_beside_random_weights_of_the_same_network() -> None:
    b = load_benchmark(CONFIG / "encoders.yaml")
    plan = make_plan(b, load_cards(b.datasets, CONFIG / "datasets"), lock_folder=CONFIG / "datasets")
    encoders = {job.spec.network.encoder for job in plan.of("finetune") if "random" not in job.name}  # type: ignore[union-attr]
    assert encoders == {own.card.encoder for own in plan.bought.values()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"licence": None}, r"small.yaml: licence: expected text, found None"),
        ({"licence": ""}, r"small.yaml: licence: .*, found ''"),
        ({"may_have_seen": ""}, r"small.yaml: may_have_seen: "),
        ({"citation": []}, r"small.yaml: citation: "),
        ({"sha256": "abc"}, r"small.yaml: sha256: .*, found 'abc'"),
        ({"input": {"mean": [0.5], "std": [0.2, 0.2]}}, "mean and std need as many channels, found 1 and 2"),
        ({"input": {"mean": [0.5], "std": [0]}}, r"input.std.0: .*, found 0"),
        (
            {"source": {"url": "https://example.org/model.pth"}},
            r"ends in the name of a .safetensors file, or file, found 'model.pth'",
        ),
        ({"source": {"file": "../x.safetensors", "steps": ["get it"]}}, "found '../x.safetensors'"),
        ({"source": {"file": "x.safetensors"}}, "weights without a url need steps"),
        ({"model": "no/name"}, r"small.yaml: model: .*, found 'no/name'"),
        ({"lisence": "x"}, "lisence: expected one of name, title"),
    ],
)
def test_a_mistake_in_a_card_is_one_line(folder: Path, changes: dict[str, Any], expected: str) -> None:
    raw = raw_card(URL, **changes)
    (folder / "weights/small.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(ConfigError, match=expected) as error:
        load_weights_card("small", folder / "weights")
    assert "\n" not in str(error.value)


def test_a_card_without_a_licence_is_refused_by_the_plan(folder: Path) -> None:
    raw = raw_card(URL)
    del raw["licence"]
    (folder / "weights/small.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    (found,) = said(folder, line("small"))
    assert found.endswith("small.yaml: licence: expected a value for this key, found none")


def test_a_card_that_is_not_there(folder: Path) -> None:
    (found,) = said(folder, line("smal"))
    assert found.startswith("methods: bought: set: network.weights: expected one of small (in ")
    assert found.endswith("or the path of a file, found 'smal'")


def test_a_card_under_another_name(folder: Path) -> None:
    (folder / "weights/other.yaml").write_bytes((folder / "weights/small.yaml").read_bytes())
    (found,) = said(folder, line("other"))
    assert found.endswith("other.yaml: name: expected 'other', as the file is called, found 'small'")


@pytest.mark.parametrize(
    ("lines", "changes", "expected"),
    [
        ([line("small", **{"network.encoder": "timm:resnet18"})], {}, OF_ANOTHER + "timm:resnet18"),
        ([line("small", **{"network.encoder": "unet"})], {}, OF_ANOTHER + "unet"),
        ([line("small", **{"network.input_statistics": [0.1, 0.2]})], {}, "because the card 'small' says them"),
        ([line("gone/x.safetensors")], {}, "network.weights: expected a safetensors file, found nothing at gone/x.safetensors"),
        ([], {"network": {"encoder": "timm:test_resnet", "weights": "small"}}, "expected in the set of a method"),
        ([{"global": "gd", **line("small", **{"regimes.supervised.encoder_rate": 0})}], {}, "expected more than 0"),
        ([{"name": "x", "set": {"regimes.supervised.encoder_rate": 1.5}}], {}, "regimes.supervised: encoder_rate: "),
    ],
)  # fmt: skip
def test_weights_that_do_not_go_with_a_method(
    folder: Path, lines: list[dict[str, Any]], changes: dict[str, Any], expected: str
) -> None:
    (found,) = said(folder, *lines, **changes)
    assert expected in found


def test_input_statistics_of_the_unet_are_refused(folder: Path) -> None:
    (found,) = said(folder, network={"channels": [4, 8], "input_statistics": [0.4, 0.2]})
    assert found.startswith("network.input_statistics: expected none, because they are of a timm encoder")


# ---------------------------------------------------------------- keys


def keys(plan: Plan) -> dict[str, str]:
    return {f"{job.name} {job.repeat.name}": job.spec.key for job in plan.of("finetune") if job.repeat}


def test_keys_hold_the_bytes_and_what_they_expect_of_an_image_and_nothing_else_of_a_card(folder: Path) -> None:
    cards = folder / "weights"
    card = load_weights_card("small", cards)

    def now(**changes: Any) -> dict[str, str]:
        write_card(cards, raw_card(URL, **changes))
        return keys(planned(folder, line("small")))

    before = now()
    assert planned(folder, line("small")).bought["small"].sha256 is None
    write_weights_lock(card, cards, sha256="a" * 64, size=1)
    first = now()
    others = [name for name in before if not name.startswith("bought")]
    assert all(before[name] == first[name] for name in others)
    assert all(before[name] != first[name] for name in before.keys() - set(others))
    assert (
        now(title="Otherwise", licence="MIT", may_have_seen="Everything.", source={"url": f"{URL}/x.safetensors"}) == first
    )
    assert now(input={"mean": [0.4], "std": [0.3]})["bought r1"] == first["bought r1"]  # the same means over channels
    assert now(input={"mean": [0.5], "std": [0.3]})["bought r1"] != first["bought r1"]
    write_weights_lock(card, cards, sha256="b" * 64, size=1)
    assert now()["bought r1"] != first["bought r1"]


def test_a_report_is_of_the_card_too(folder: Path) -> None:
    first = planned(folder, line("small")).report.record
    write_card(folder / "weights", raw_card(URL, licence="MIT"))
    assert planned(folder, line("small")).report.record != first


def test_a_job_starts_from_the_file_and_waits_for_its_record(folder: Path) -> None:
    plan = planned(folder, line("small"), {"global": "gd"})
    for job in plan.jobs.values():
        own = job.name == "bought" and job.phase != "score"
        assert (job.bought == Path("data/weights/small/fetched.json")) == own
        assert (job.weights == Path("data/weights/small/model.safetensors")) == own
        if own and job.phase in ("finetune", "pretrain_global"):
            assert job.spec.network.weights == UNFETCHED  # type: ignore[union-attr]


def test_a_path_works_without_a_card_and_keeps_its_keys(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "own.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    plan = planned(tmp_path, line(str(path)))
    (job, _) = [job for job in plan.of("finetune") if job.name == "bought"]
    assert job.spec.network.weights == sha256_file(path)  # type: ignore[union-attr]
    assert "input_statistics" not in job.spec.dump()["network"]  # no result from before this field has another key
    assert plan.bought == {}


@pytest.mark.parametrize("text", ["", "{}", '{"sha256": 5}', '{"sha256": "xyz"}', "[" * 2000])
def test_a_broken_lock_file_is_one_line(folder: Path, text: str) -> None:
    lock_of("small", folder / "weights").write_text(text, encoding="utf-8")
    (found,) = said(folder, line("small"))
    assert "small.lock.json: expected JSON with 'sha256', as the first fetch writes it, found" in found


def test_a_cards_checksum_comes_before_a_lock_file(folder: Path) -> None:
    card = WeightsCard.model_validate(raw_card(URL, sha256="c" * 64))
    write_weights_lock(card, folder / "weights", sha256="a" * 64, size=1)
    assert known_sha256(card, folder / "weights") == "c" * 64
