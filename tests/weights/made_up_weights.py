"""Small weights that a test makes, and a card of them: timm's own test networks, drawn from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save

from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.weights.card import WeightsCard

MODEL = "test_resnet"


def made_up_weights(model: str = MODEL, seed: int = 0) -> bytes:
    """A safetensors file with weights of a whole timm model."""
    if ensure_torchvision() == "absent":
        pytest.skip("the extra 'timm' is not installed")
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return save(timm.create_model(model, pretrained=False).state_dict())


def raw_card(url: str | None, **changes: Any) -> dict[str, Any]:
    """A card as a person writes it."""
    base = {
        "name": "small", "title": "Small weights", "summary": "Drawn from a seed.", "model": MODEL,
        "source": {"url": url}, "licence": "CC0-1.0", "input": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
        "may_have_seen": "They have seen nothing.", "citation": ["Nobody, Weights of nothing, 2020"],
    }  # fmt: skip
    return {**base, **changes}


def write_card(folder: Path, raw: dict[str, Any]) -> WeightsCard:
    """Write a card below a folder of cards."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{raw['name']}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return WeightsCard.model_validate(raw)
