"""A row with bought-in weights in the whole graph: fetched first, locked; other bytes and no server stop it in one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from snakemake_call import snakemake
from test_small_dag import BENCHMARK, one, prepare_tree

from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.records.digest import sha256_file
from glocalseg.records.sealed import open_sealed
from loopback import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CALL = ("--profile", "local", "--cores", "2", "--configfile", "config/bought.yaml")
SETTINGS = {
    **BENCHMARK, "name": "bought", "network": {"encoder": "timm:test_resnet", "batchnorm_momentum": 0.1},
    "methods": [
        {},
        {"name": "bought", "set": {"network.weights": "small", "regimes.supervised.encoder_rate": 0.1}},
        {"name": "frozen", "regime": "features", "set": {"network.encoder": "timm:test_vit", "network.weights": "vit"}},
    ],
}  # fmt: skip
CARD = {
    "name": "small", "title": "Small weights", "summary": "Drawn from a seed.", "model": "test_resnet", "licence": "CC0-1.0",
    "input": {"mean": [0.5], "std": [0.2]}, "may_have_seen": "They have seen nothing.", "citation": ["Nobody, 2020"],
}  # fmt: skip
FETCHED, LOCK = "data/weights/small/fetched.json", "config/weights/small.lock.json"


def weights(seed: int, model: str = "test_resnet") -> bytes:
    """A file of weights of a whole timm model."""
    if ensure_torchvision() == "absent":
        pytest.skip("the extra 'timm' is not installed")
    import timm
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return save(timm.create_model(model, pretrained=False).state_dict())


def prepare(tmp_path: Path, url: str) -> Path:
    tree = prepare_tree(tmp_path / "tree")
    (tree / "config/bought.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    brought = {**CARD, "name": "vit", "model": "test_vit", "source": {"file": "vit.safetensors", "steps": ["Get it."]}}
    for raw in ({**CARD, "source": {"url": url}}, brought):
        (tree / f"config/weights/{raw['name']}.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    incoming = tree / "data/incoming/weights/vit"
    incoming.mkdir(parents=True)
    (incoming / "vit.safetensors").write_bytes(weights(0, "test_vit"))
    return tree


def test_weights_are_fetched_once_locked_and_named_on_the_page(server: Server, tmp_path: Path) -> None:
    server.content, url = weights(0), f"{server.url}/model.safetensors"
    tree = prepare(tmp_path, url)
    dry = snakemake(tree, *CALL, "-n")
    assert dry.returncode == 0, dry.stdout
    assert "small, vit: these weights were never fetched: the keys of what starts from them are provisional" in dry.stdout
    assert server.requests == []
    done = snakemake(tree, *CALL, timeout=1500)
    assert done.returncode == 0, done.stdout
    assert "Fetched for the first time: commit config/weights/small.lock.json, config/weights/vit.lock.json" in done.stdout
    assert len(server.requests) == 1
    sha256 = json.loads((tree / LOCK).read_text())["sha256"]
    assert open_sealed(tree / FETCHED)["files"] == {"model.safetensors": sha256}
    specs = [
        open_sealed(path)["spec"]["network"]
        for path in sorted(tree.glob("results/finetune/small_phantom/random/n1/r1/*/run.json"))
    ]
    assert sorted(str(spec["weights"]) for spec in specs) == sorted(["None", sha256])
    assert [spec["input_statistics"] for spec in specs if spec["weights"]] == [[0.5, 0.2]]
    features = one(tree, "results/features/small_phantom/random+features/seed0/*/run.json")
    head = one(tree, "results/finetune/small_phantom/random+features/n1/r1/*/run.json")
    assert open_sealed(head)["spec"]["start"] == features.parent.name
    page = (tree / "results/bought/report/index.html").read_text()
    assert "bought-in weights, CC0-1.0" in page
    assert "They have seen nothing." in page
    assert "Nothing to be done" in snakemake(tree, *CALL).stdout

    # fetched again where they are missing, for a run that is missing, and held to the lock file
    shutil.rmtree(tree / "data/weights")
    assert "Nothing to be done" in snakemake(tree, *CALL).stdout
    (bought,) = [
        path.parent for path in tree.glob("results/finetune/small_phantom/random/n1/r1/*/run.json")
        if open_sealed(path)["spec"]["network"]["weights"]
    ]  # fmt: skip
    before = sha256_file(bought / "weights.safetensors")
    shutil.rmtree(bought)
    server.content = weights(1)
    refused = snakemake(tree, *CALL, timeout=600)
    assert refused.returncode != 0
    assert re.search(
        rf"FetchError: {re.escape(url)}: expected sha256 {sha256}, as small.lock.json says .*, found ", refused.stdout
    )
    assert "Traceback" not in refused.stdout
    server.content = weights(0)
    again = snakemake(tree, *CALL, timeout=900)
    assert again.returncode == 0, again.stdout
    assert sha256_file(bought / "weights.safetensors") == before


def test_a_server_that_refuses_stops_the_call_before_anything_trains(server: Server, tmp_path: Path) -> None:
    server.statuses = [404]
    tree = prepare(tmp_path, f"{server.url}/model.safetensors")
    done = snakemake(tree, *CALL, timeout=600)
    assert done.returncode != 0
    assert f"FetchError: {server.url}/model.safetensors: expected HTTP 200 or 206, found 404 Not Found" in done.stdout
    assert "small: not fetched, for the reasons above" in done.stdout
    assert not (tree / "results/finetune").exists()
    assert "Traceback" not in done.stdout
