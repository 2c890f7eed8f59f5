"""The example of docs/adding-a-strategy.md is a strategy that works, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import glocalseg.methods.pretraining.encoder as strategies
from glocalseg.config.model import ConfigError
from glocalseg.methods.pretraining.base import Pool, load_strategy
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce

GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-strategy.md"


@pytest.fixture
def neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The guide's file in a folder that belongs to the strategies."""
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    (tmp_path / "neighbour.py").write_text(code)
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])
    return "neighbour"


def test_the_example_draws_and_has_a_finite_loss(neighbour: str) -> None:
    volumes, depth = 4, 8
    at = torch.arange(depth).repeat(volumes)
    pool = Pool(
        row=torch.arange(volumes * depth),
        volume=torch.arange(volumes).repeat_interleave(depth),
        partition=at * 4 // depth,
        position=(at + 0.5) / depth,
        partitions=4,
        volumes=volumes,
    )
    strategy = load_strategy(neighbour, {"reach": 0.2}, level="global")
    views = strategy.draw(pool, 24, torch.Generator().manual_seed(0))
    positives, negatives = strategy.positives(views), strategy.negatives(views)
    assert len(views) == 24
    assert not (positives & negatives).any()
    assert not positives.diagonal().any()
    assert positives.any(dim=1).all()
    similarity = cosine_similarity(torch.randn(24, 8, generator=torch.Generator().manual_seed(1)))
    assert torch.isfinite(info_nce(similarity, positives, negatives, temperature=0.1))


def test_an_unknown_option_of_the_example_is_refused(neighbour: str) -> None:
    with pytest.raises(ConfigError, match="expected one of reach, found 'range'"):
        load_strategy(neighbour, {"range": 0.2}, level="global")
