"""What each strategy draws, pulls and pushes, against docs/method.md 4.4, 5.2 and 10, in sets written by hand."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch

from glocalseg.config.model import ConfigError, parse
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.batches.pool import EMPTY, Pool, Views
from glocalseg.methods.pretraining.contrast.local import LocalContrast
from glocalseg.methods.pretraining.contrast.loss import info_nce
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast

S = 4


def pool_of(depths: list[int], *, partitions: int = S, tail: int = 0) -> Pool:
    """Volumes of these depths, partitions of equal share; the last ``tail`` slices of each are in none."""
    volume, partition, position = [], [], []
    for v, q in enumerate(depths):
        for i in range(q):
            volume.append(v)
            partition.append(-1 if i >= q - tail else min(i * partitions // (q - tail), partitions - 1))
            position.append((i + 0.5) / q)
    n = len(volume)
    columns = (torch.arange(n), torch.tensor(volume), torch.tensor(partition), torch.tensor(position))
    return Pool(*columns, partitions=partitions, volumes=len(depths))


POOL = pool_of([8, 11, 9, 12, 10, 8, 13])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strategy(name: str, **options: Any) -> Any:
    return parse(strategies()[name].option_class(), options, f"strategies.{name}")


def slow_pairs(views: Views, rule: Any) -> torch.Tensor:
    """(N, N) bool of a rule on dictionaries, one per view."""
    rows = [
        {"i": i, "slice": s, "view": v, "volume": o, "partition": p, "position": q}
        for i, (s, v, o, p, q) in enumerate(
            zip(
                views.slice.tolist(), views.view.tolist(), views.volume.tolist(), views.partition.tolist(),
                views.position.tolist(), strict=True,
            )
        )
    ]  # fmt: skip
    return torch.tensor([[bool(a["i"] != b["i"] and rule(a, b)) for b in rows] for a in rows])


def test_gd_minus_has_36_images_72_terms_and_27_negatives() -> None:
    s = strategy("gd_minus")
    views = s.draw(POOL, 36, generator())
    assert len(views) == 36
    assert Counter(views.view.tolist()) == {0: 12, 1: 12, 2: 12}
    assert len(views.volume.unique()) == 3
    assert len(views.slice.unique()) == 12
    positives, negatives = s.positives(views), s.negatives(views)
    assert positives.sum() == 72
    assert (negatives.sum(dim=1) == 27).all()
    assert torch.equal(positives, slow_pairs(views, lambda a, b: a["slice"] == b["slice"]))
    assert torch.equal(negatives, slow_pairs(views, lambda a, b: a["partition"] != b["partition"]))
    loss = info_nce(torch.ones(36, 36), positives, negatives, temperature=0.1)
    assert loss.item() == pytest.approx(math.log(28), rel=1e-5)


def test_gd_as_the_paper_describes_it() -> None:
    s = strategy("gd")
    views = s.draw(POOL, 48, generator())
    assert len(views) == 48
    assert (views.slice != EMPTY).all()
    assert Counter(views.view.tolist()) == {0: 16, 1: 16, 2: 16}
    assert len(views.volume.unique()) == 4
    positives, negatives = s.positives(views), s.negatives(views)
    assert (negatives.sum(dim=1) == 36).all()
    across = positives & (views.volume[:, None] != views.volume[None])
    assert across.sum() == 4 * 4 * 3  # partitions x ordered pairs of 4 volumes, originals only
    assert (positives & ~across).sum() == 16 * 6
    expected = slow_pairs(
        views,
        lambda a, b: (
            a["slice"] == b["slice"]
            or (a["partition"] == b["partition"] and a["volume"] != b["volume"] and a["view"] == b["view"] == 0)
        ),
    )
    assert torch.equal(positives, expected)
    assert not (positives & negatives).any()


def test_gd_as_released() -> None:
    s = strategy("gd", zero_group="release", views="release", cross_views="release")
    views = s.draw(POOL, 48, generator())
    assert len(views) == 48
    assert Counter(views.view.tolist()) == {0: 24, 1: 24}
    assert len(views.volume.unique()) == 6
    empty = views.slice == EMPTY
    assert empty.sum() == 16  # docs/method.md 4.4: 32 real, 16 zero
    assert len(views.volume[empty].unique()) == 2
    assert (s.negatives(views).sum(dim=1) == 36).all()
    assert (s.negatives(views) & empty[None]).sum(dim=1).tolist() == [12] * 48
    expected = slow_pairs(
        views,
        lambda a, b: a["partition"] == b["partition"] and (a["volume"] == b["volume"] or a["view"] == b["view"]),
    )
    assert torch.equal(s.positives(views), expected)


def test_a_release_batch_of_two_volumes_would_be_empty_and_is_refused() -> None:
    """D1 empties the last two volumes of a batch, so that it takes three."""
    release = strategy("gd", zero_group="release")
    with pytest.raises(
        ConfigError, match=r"strategies.gd.zero_group: .* pretrain_global.images of at least 36, .* found 35"
    ):
        release.draw(POOL, 35, generator())
    assert (release.draw(POOL, 36, generator()).slice != EMPTY).sum() == 12
    shorter = strategy("gd", zero_group="release", views="release")
    with pytest.raises(ConfigError, match="of at least 24, three volumes, found 23"):
        shorter.draw(POOL, 23, generator())
    assert (shorter.draw(POOL, 24, generator()).slice != EMPTY).sum() == 8


@pytest.mark.parametrize(("option", "changed"), [("zero_group", "slice"), ("views", "view"), ("cross_views", "mask")])
def test_each_switch_of_gd_changes_its_own_matter_alone(option: str, changed: str) -> None:
    paper, release = strategy("gd"), strategy("gd", **{option: "release"})
    a, b = paper.draw(POOL, 48, generator()), release.draw(POOL, 48, generator())
    if changed == "slice":
        real = b.slice != EMPTY
        assert real.sum() == 24
        assert torch.equal(a.slice[real], b.slice[real])
    if changed == "view":
        assert len(a.volume.unique()) == 4
        assert len(b.volume.unique()) == 6
        assert b.view.max() == 1
        return
    for field in ("view", "volume", "partition", "position"):
        assert torch.equal(getattr(a, field), getattr(b, field))
    more = release.positives(a) & ~paper.positives(a)
    assert not (paper.positives(a) & ~release.positives(a)).any()
    assert bool(more.any()) == (changed == "mask")
    rows, columns = more.nonzero(as_tuple=True)
    assert (a.view[rows] == a.view[columns]).all()
    assert (a.view[rows] > 0).all()


def test_gr_pulls_the_two_views_and_pushes_everything_else() -> None:
    s = strategy("gr")
    big = pool_of([500])
    views = s.draw(big, 24, generator(1))
    assert len(views) == 24
    assert len(views.slice.unique()) == 12  # else the counts below are others
    assert Counter(views.view.tolist()) == {1: 12, 2: 12}
    positives, negatives = s.positives(views), s.negatives(views)
    assert (positives.sum(dim=1) == 1).all()
    assert (negatives.sum(dim=1) == 22).all()
    assert torch.equal(positives | negatives, ~torch.eye(24, dtype=torch.bool))
    loss = info_nce(torch.ones(24, 24), positives, negatives, temperature=0.1)
    assert loss.item() == pytest.approx(math.log(23), rel=1e-5)


def test_a_slice_that_was_drawn_twice_is_not_its_own_negative() -> None:
    s = strategy("gr")
    views = s.draw(pool_of([4]), 24, generator())
    assert len(views.slice.unique()) < 12
    assert not (s.negatives(views) & (views.slice[:, None] == views.slice[None])).any()
    assert not s.positives(views).diagonal().any()


def test_pcl_pulls_near_positions_of_any_volume() -> None:
    s = strategy("pcl", threshold=0.15)
    views = s.draw(POOL, 30, generator())
    positives, negatives = s.positives(views), s.negatives(views)
    assert torch.equal(positives, slow_pairs(views, lambda a, b: abs(a["position"] - b["position"]) < 0.15))
    assert torch.equal(negatives, slow_pairs(views, lambda a, b: abs(a["position"] - b["position"]) >= 0.15))
    assert (positives & (views.volume[:, None] != views.volume[None])).any()


def test_lr_pairs_the_views_of_a_slice_in_both_directions() -> None:
    s = strategy("lr")
    views = s.draw(pool_of([500]), 20, generator(1))
    assert len(views) == 20
    assert len(views.slice.unique()) == 10
    positives = s.positives(views)
    assert positives.sum() == 20
    expected = slow_pairs(views, lambda a, b: a["slice"] == b["slice"] and a["view"] != b["view"])
    assert torch.equal(positives, expected)
    assert (s.repelled().sum(dim=1).unique() == torch.tensor([0, 5])).all()


def test_ld_has_three_partners_for_every_first_view() -> None:
    s = strategy("ld")
    views = s.draw(POOL, 24, generator())
    assert len(views) == 24
    assert len(views.volume.unique()) == 3
    positives = s.positives(views)
    assert positives.sum() == 36
    expected = slow_pairs(
        views,
        lambda a, b: (
            a["view"] == 1
            and (
                (b["view"] == 2 and a["slice"] == b["slice"])
                or (b["view"] == 1 and a["partition"] == b["partition"] and a["volume"] != b["volume"])
            )
        ),
    )
    assert torch.equal(positives, expected)
    assert (s.repelled().sum(dim=1).unique() == torch.tensor([0, 4])).all()


@pytest.mark.parametrize("name", ["lr", "ld"])
def test_local_regions_can_be_nine(name: str) -> None:
    assert strategy(name, regions=9).repelled().any(dim=1).sum() == 9


@pytest.mark.parametrize("partitions", [3, 4, 6])
@pytest.mark.parametrize("name", ["gd_minus", "gd", "ld"])
def test_one_slice_of_every_partition_of_distinct_volumes(name: str, partitions: int) -> None:
    pool = pool_of([12, 9, 15, 10, 12, 8], partitions=partitions, tail=2)
    for seed in range(20):
        views = strategy(name).draw(pool, 12 * partitions, generator(seed))
        first = views.view == views.view.min()
        pairs = Counter(zip(views.volume[first].tolist(), views.partition[first].tolist(), strict=True))
        assert set(pairs.values()) == {1}
        assert {p for _, p in pairs} == set(range(partitions))
        assert torch.equal(pool.partition[views.slice], views.partition)
        assert torch.equal(pool.volume[views.slice], views.volume)
        assert torch.equal(pool.position[views.slice], views.position)


def test_every_slice_of_a_partition_is_drawn_equally_often_and_those_of_none_never() -> None:
    pool = pool_of([6, 9], partitions=2, tail=1)  # D7, release: slices 5 and 14 belong to no partition
    counts: Counter[int] = Counter()
    for seed in range(3000):
        counts.update(strategy("gd_minus").draw(pool, 12, generator(seed)).slice[:4].tolist())
    assert sum(counts.values()) == 4 * 3000
    for volume, partition in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows = ((pool.volume == volume) & (pool.partition == partition)).nonzero().squeeze(1).tolist()
        expected = 3000 / len(rows)
        assert all(abs(counts[r] - expected) < 5 * expected**0.5 for r in rows)
    assert 5 not in counts
    assert 14 not in counts


def test_random_strategies_also_draw_slices_of_no_partition() -> None:
    pool = pool_of([6, 9], partitions=2, tail=1)
    seen = {r for seed in range(30) for r in strategy("gr").draw(pool, 24, generator(seed)).slice.tolist()}
    assert seen == set(range(15))


@pytest.mark.parametrize("name", ["gr", "gd_minus", "gd", "pcl", "lr", "ld"])
def test_a_draw_depends_on_its_generator_alone(name: str) -> None:
    a, b = (strategy(name).draw(POOL, 48, generator(5)) for _ in range(2))
    c = strategy(name).draw(POOL, 48, generator(6))
    assert torch.equal(a.slice, b.slice)
    assert not torch.equal(a.slice, c.slice)


def test_too_few_volumes_is_a_named_error() -> None:
    with pytest.raises(ConfigError, match=r"at most 2 volumes.*found 3"):
        strategy("gd_minus").draw(pool_of([8, 8]), 36, generator())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gd", {"zero": "paper"}, r"strategies.gd: zero: expected one of .*, found an unknown key"),
        ("gd", {"views": "both"}, r"strategies.gd: views: expected 'paper' or 'release', found 'both'"),
        ("pcl", {"threshold": "near"}, r"strategies.pcl: threshold: expected a number, found 'near'"),
        ("pcl", {"threshold": 1.5}, r"strategies.pcl: threshold: expected less than 1, found 1.5"),
        ("gr", {"x": 1}, r"strategies.gr: x: expected no such key"),
        ("lr", {"regions": 10}, r"strategies.lr: regions: expected 9 or 13, found 10"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        strategy(name, **options)


def test_the_two_levels_are_two_kinds() -> None:
    kinds = {name: entry.option_class() for name, entry in strategies().items()}
    assert {n for n, c in kinds.items() if issubclass(c, GlobalContrast)} == {"gr", "gd_minus", "gd", "pcl"}
    assert {n for n, c in kinds.items() if issubclass(c, LocalContrast)} == {"lr", "ld"}
