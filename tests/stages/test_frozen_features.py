"""Heads on frozen features: computed once, shared by repeats and budgets, trained and tested as any fine-tuning is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_benchmark import find, run_job, small_plan, write_data

from glocalseg.config.model import ConfigError
from glocalseg.data.slices.store import open_store
from glocalseg.evaluation.predictions import PREDICTIONS, read_predictions
from glocalseg.models.about import ModelError
from glocalseg.models.export import export
from glocalseg.networks.features import FrozenFeatures
from glocalseg.networks.light_head import FEATURES, FeatureHead
from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.networks.weights import FILE
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.plan.narrow import narrowed
from glocalseg.records.sealed import CorruptedError, open_sealed, read_record, seal
from glocalseg.report.analysis.methods.fairness import departures
from glocalseg.stages.specs import FeaturesSpec, HeadSpec

if ensure_torchvision() == "absent":
    pytest.skip("the extra 'timm' is not installed", allow_module_level=True)
timm = pytest.importorskip("timm")
MODEL = "test_vit"
SIZE = (32, 32)


def line(weights: Path | None = None, name: str = "frozen", **more: Any) -> dict[str, Any]:
    own = {"network.weights": str(weights)} if weights else {}
    return {"name": name, "regime": "features", "set": {"network.encoder": f"timm:{MODEL}", **own, **more}}


def planned(*lines: dict[str, Any], **changes: Any) -> Plan:
    return small_plan(methods=[{}, *lines], **{"upper_bound": False, **changes})


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        save_file(timm.create_model(MODEL, pretrained=False).state_dict(), path)
    return path


def frozen(weights: Path | None, **changes: Any) -> FrozenFeatures:
    usual: dict[str, Any] = {"size": SIZE, "blocks": 2, "upsampling": 4.0, "seed": 0, "statistics": None}
    return FrozenFeatures(MODEL, weights=weights, **{**usual, **changes})


# ---------------------------------------------------------------- the network


def test_features_are_the_joined_maps_of_the_last_blocks(weights: Path) -> None:
    net = frozen(weights)
    assert net.tokens == (8, 8)  # 32 pixels, four times as large, in patches of 16
    whole: Any = timm.create_model(MODEL, pretrained=False, in_chans=1, img_size=(128, 128), num_classes=0)
    found = net(torch.rand(2, 1, *SIZE))
    assert found.shape == (2, 2 * whole.embed_dim, 8, 8) == (2, net.channels, 8, 8)
    assert not any(p.requires_grad for p in net.parameters())
    last = frozen(weights, blocks=1)
    image = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(image)[:, net.channels // 2 :], last(image))


def test_they_are_those_of_the_file_and_images_come_as_weights_expect(weights: Path) -> None:
    image = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(frozen(weights, seed=1)(image), frozen(weights, seed=2)(image))
    assert not torch.equal(frozen(None, seed=1)(image), frozen(None, seed=2)(image))
    assert torch.equal(frozen(None, seed=1)(image), frozen(None, seed=1)(image))
    shifted = frozen(weights, statistics=(0.5, 0.25))
    torch.testing.assert_close(shifted(image), frozen(weights)((image - 0.5) / 0.25))


def test_frames_that_no_patch_divides_take_the_nearest_number_of_patches() -> None:
    net = frozen(None, size=(50, 20), upsampling=1.0)
    assert net.tokens == (3, 1)
    assert net(torch.zeros(1, 1, 50, 20)).shape[2:] == (3, 1)


@pytest.mark.parametrize(
    ("model", "changes", "expected"),
    [
        ("no_such_model", {}, "network: encoder: expected a vision transformer of timm, found 'no_such_model'"),
        ("test_resnet", {}, "network: encoder: expected a vision transformer of timm, found 'test_resnet'"),
        (MODEL, {"blocks": 99}, r"regimes.features: blocks: expected at most \d+ for 'test_vit', found 99"),
    ],
)
def test_what_is_no_transformer_is_one_line(model: str, changes: dict[str, Any], expected: str) -> None:
    usual: dict[str, Any] = {"size": SIZE, "blocks": 2, "upsampling": 4.0, "weights": None, "seed": 0, "statistics": None}
    with pytest.raises(ConfigError, match=expected) as error:
        FrozenFeatures(model, **{**usual, **changes})
    assert "\n" not in str(error.value)


def test_a_head_reads_features_where_others_have_images() -> None:
    head = FeatureHead(6, classes=3, size=(32, 48))
    assert head(torch.rand(2, 1, 6, 4, 6)).shape == (2, 3, 32, 48)


# ---------------------------------------------------------------- the plan


def test_bought_in_features_are_one_job_for_all_repeats_budgets_and_heads(weights: Path) -> None:
    rate = line(weights, "fast", **{"finetune.learning_rate": 0.1})
    plan = planned(line(weights), rate, budgets=[1, 2], repeats=3)
    (job,) = plan.of("features")
    heads = [j for j in plan.of("finetune") if j.name in ("frozen", "fast")]
    assert {type(j.spec) for j in heads} == {HeadSpec}
    assert len(heads) == 2 * 2 * 3
    assert {(j.start, j.weights, j.spec.start) for j in heads} == {(job.record, None, job.spec.key)}  # type: ignore[union-attr]
    assert all(job.record in j.parents for j in heads)
    assert isinstance(job.spec, FeaturesSpec)
    assert (job.spec.blocks, job.spec.upsampling, job.spec.seed) == (4, 4.0, 0)
    order = list(plan.jobs)
    assert all(order.index(job.record) < order.index(j.record) for j in heads)


def test_a_report_holds_a_head_against_other_rows_and_finds_no_pool_of_its_features(weights: Path) -> None:
    plan = planned(line(weights))
    (dataset,) = plan.cards
    found = departures(plan, dataset)
    assert "network.encoder" in {d.setting for d in found}
    assert "pool" not in {d.setting for d in found}


def test_features_of_random_weights_are_a_repeats_own() -> None:
    plan = planned(line(), budgets=[1, 2], repeats=3)
    assert [job.seed for job in plan.of("features")] == [1, 2, 3]


def test_options_of_features_move_their_key_and_settings_of_heads_do_not(weights: Path) -> None:
    def key(**more: Any) -> str:
        (job,) = planned(line(weights, **more)).of("features")
        return job.spec.key

    assert len({key(), key(**{"regimes.features.blocks": 2}), key(**{"regimes.features.upsampling": 2})}) == 3
    assert key(**{"finetune.steps": 7}) == key() == key(**{"finetune.loss": "dice_ce"})


def test_the_part_of_a_plan_that_features_belong_to(weights: Path) -> None:
    plan = planned(line(weights), {"global": "gd"}, repeats=3)
    (job,) = plan.of("features")
    part = narrowed(plan.benchmark, job.record)
    assert part is not None
    assert [m.id for m in part.methods] == ["frozen"]
    assert len(part.all_repeats) == 3
    own = make_plan(part, plan.cards, lock_folder=Path("nowhere"), checked=True)
    assert own.jobs[job.record] == job
    head = find(planned(line(weights)), "finetune", "frozen")
    alone = narrowed(planned(line(weights)).benchmark, head.record)
    assert alone is not None
    assert make_plan(alone, plan.cards, lock_folder=Path("nowhere"), checked=True).jobs[head.record] == head
    random = planned(line(), repeats=3)
    for job in random.of("features"):
        part = narrowed(random.benchmark, job.record)
        assert part is not None
        assert job.record in make_plan(part, plan.cards, lock_folder=Path("nowhere"), checked=True).jobs


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"global": "gd"}, "methods: frozen: global: expected none with regime 'features'"),
        ({"set": {"finetune.steps": 3}}, "network.encoder: expected a vision transformer of timm"),
    ],
)
def test_methods_that_cannot_have_frozen_features(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        planned({**line(), **change})
    assert expected in str(error.value)


# ---------------------------------------------------------------- the stages


@pytest.fixture(scope="module")
def done(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    root = tmp_path_factory.mktemp("done")
    settings = {"steps": 60, "batch": 8, "validate_every": 20, "learning_rate": 0.01}
    plan = planned(line(weights, **{"regimes.features.blocks": 2}), finetune=settings)
    write_data(root, plan)
    for phase in ("features", "finetune", "score"):
        run_job(find(plan, phase, "frozen"), root)
    return plan, root


def test_features_are_half_precision_a_row_a_slice(done: tuple[Plan, Path], weights: Path) -> None:
    plan, root = done
    job = find(plan, "features", "frozen")
    found = np.load(root / job.record.parent / FEATURES)
    assert job.data is not None
    store = open_store(root / job.data)
    assert (found.dtype, len(found)) == (np.float16, len(store.images))
    assert list(open_sealed(root / job.record)["files"]) == [FEATURES]
    image = torch.from_numpy(np.array(store.images[5]))[None, None]
    torch.testing.assert_close(torch.from_numpy(found[5]).float(), frozen(weights)(image)[0], atol=2e-3, rtol=2e-3)


def test_a_head_learns_and_predicts_on_native_grids(done: tuple[Plan, Path]) -> None:
    plan, root = done
    folder = root / find(plan, "finetune", "frozen").record.parent
    assert set(load_file(folder / FILE)) == {"head.weight", "head.bias"}
    store = open_store(root / find(plan, "data", "").record)
    for volume, found in read_predictions(folder / PREDICTIONS).items():
        assert found.shape == store.native_label(volume).shape
    rows = (folder / "validation.csv").read_text().splitlines()[1:]
    means = [float(row.split(",")[2]) for row in rows if ",mean," in row]
    assert max(means) > 0.3
    assert read_record(folder / "run.json")["split"]["unlabelled"] == []


def test_the_same_bits_come_again(done: tuple[Plan, Path]) -> None:
    plan, root = done
    for phase, name in (("features", FEATURES), ("finetune", FILE)):
        job = find(plan, phase, "frozen")
        before = open_sealed(root / job.record)["files"][name]
        run_job(job, root)
        assert open_sealed(root / job.record)["files"][name] == before


def test_other_features_than_those_of_the_key_are_refused(done: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, _ = done
    write_data(tmp_path, plan)
    job, head = find(plan, "features", "frozen"), find(plan, "finetune", "frozen")
    folder = tmp_path / job.record.parent
    folder.mkdir(parents=True)
    np.save(folder / FEATURES, np.zeros((3, 4, 2, 2), np.float16))
    seal(tmp_path / job.record, {})
    with pytest.raises(CorruptedError, match=r"features.npy: expected features of \d+ slices, .*found shape \(3, 4, 2, 2\)"):
        run_job(head, tmp_path)
    np.save(folder / FEATURES, np.ones((3, 4, 2, 2), np.float16))
    with pytest.raises(CorruptedError, match=r"features.npy: expected sha256"):
        run_job(head, tmp_path)


def test_weights_that_are_gone_or_other_are_one_line(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(weights.read_bytes())
    plan = planned(line(own))
    write_data(tmp_path, plan)
    job = find(plan, "features", "frozen")
    own.unlink()
    with pytest.raises(CorruptedError, match=r"own.safetensors: expected weights with sha256 .*, found no such file"):
        run_job(job, tmp_path)
    own.write_bytes(b"other")
    with pytest.raises(CorruptedError, match=r"own.safetensors: expected sha256 .*, found"):
        run_job(job, tmp_path)


def test_a_head_alone_is_not_handed_on(done: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, root = done
    job = find(plan, "finetune", "frozen")
    assert job.data is not None
    with pytest.raises(
        ModelError, match=r"found a head alone: regime 'features' reads features of timm:test_vit, whose weights"
    ):
        export(root / job.record, store=root / job.data, card=plan.cards["made_up"], score=None, out=tmp_path / "out")
