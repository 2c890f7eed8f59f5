"""What configurations say beside a row of the pairs across volumes in G^D, against the pairs that its strategy makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from glocalrun.plans import plan_of
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.batches.pool import EMPTY, Pool
from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition
from glocalseg.stages.specs import PretrainSpec

CONFIG = Path(__file__).parents[2] / "config"
SAID = re.compile(r"\b(\d+)% of pairs across volumes")


def said(file: Path) -> dict[str, int]:
    """Percent by the name of the row."""
    rows = re.split(r"\n  - ", file.read_text(encoding="utf-8"))[1:]
    named = {(re.search(r"name: (\w+)", row) or re.search(r"global: (\w+)", row)): SAID.search(row) for row in rows}
    return {name[1]: int(share[1]) for name, share in named.items() if name and share}


def percent_across(spec: PretrainSpec) -> int:
    """Of the pairs of images that attract each other; zeros, which hold no image, are in no pair."""
    partitions, volumes, depth = spec.config.partitions, 40, 24
    at = torch.arange(depth).repeat(volumes)
    pool = Pool(
        row=torch.arange(volumes * depth),
        volume=torch.arange(volumes).repeat_interleave(depth),
        partition=at * partitions // depth,
        position=at / depth,
        partitions=partitions,
        volumes=volumes,
    )
    strategy = strategies()[spec.strategy].option_class().model_validate(spec.options)
    assert isinstance(strategy, Partition)
    views = strategy.draw(pool, spec.config.images, torch.Generator().manual_seed(0))
    pairs = strategy.positives(views)
    real = views.slice != EMPTY
    pairs &= real[:, None] & real
    return round(100 * (pairs & (views.volume[:, None] != views.volume)).sum().item() / pairs.sum().item())


@pytest.mark.parametrize(("file", "rows"), [("ablations.yaml", 7), ("quirks.yaml", 5)])
def test_the_share_of_pairs_across_volumes_is_what_stands_beside_the_row(file: str, rows: int) -> None:
    found = said(CONFIG / file)
    assert len(found) == rows
    specs = {job.name: job.spec for job in plan_of(CONFIG / file).of("pretrain_global")}
    for name, wanted in found.items():
        spec = specs[name]
        assert isinstance(spec, PretrainSpec)
        assert percent_across(spec) == wanted, name
