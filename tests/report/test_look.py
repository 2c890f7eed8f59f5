"""The pages that show data before and after training: slices the right way up, what is lost, who is where, what is odd."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from glocalseg.config.benchmark import Benchmark
from glocalseg.data.cards.card import Card
from glocalseg.data.slices.geometry import fit
from glocalseg.data.slices.partition import partition_labels
from glocalseg.data.slices.store import SliceStore, open_store, positions, write_store
from glocalseg.data.slices.store import Volume as Stored
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.sealed import CorruptedError
from glocalseg.report.look import strips
from glocalseg.report.look.axis import Axis, axis_of, palette, span
from glocalseg.report.look.dataset import common, decimals, partition_rows, standing_out
from glocalseg.report.look.lists import lists_of, roles
from glocalseg.report.look.measured.losses import areas
from glocalseg.report.look.measured.measure import Measures, measure
from glocalseg.report.look.measured.odd import ENOUGH, Quantity, bounds, odd, quantities
from glocalseg.report.look.page import data_pages, write_look
from glocalseg.report.look.volumes import Volume, flagged
from glocalseg.report.text.colours import structure_colour

GRID, FRAME, SPACING = (8, 20, 24), (16, 24), (3.0, 1.5, 1.0)  # native: depth, height, width; the frame cuts two rows a side
ODD = 'a0 <b>"&é'  # a volume's name
VOLUMES = [ODD, *(f"a{i}" for i in range(1, 9)), "u0", "u1"]


def make_card(**changes: Any) -> Card:
    return Card.model_validate({
        "name": "toy", "title": "Toy & Co", "modality": "MR", "subjects": 11, "licence": "CC0", "citation": ["Nobody"],
        "reader": "folders", "labels": "some",
        "source": {"kind": "archive", "url": "https://example.org/toy.tar", "size": 1, "sha256": "a" * 64},
        "structures": {1: "core", 2: "rim"}, "slice_axis": "S", "frame": {"spacing": SPACING[1:], "size": FRAME},
        "subject": {"pattern": "(.*)"}, "splits": {"kind": "rule", "test": 3, "validation": 2, "seed": 1}, **changes,
    })  # fmt: skip


def make_benchmark(**changes: Any) -> Benchmark:
    return Benchmark.model_validate({
        "name": "toy", "title": "A <look>", "datasets": ["toy"], "methods": [{}, {"global": "gd"}], "budgets": [1, 2],
        "repeats": 2, "pretrain_global": {"steps": 2, "images": 8, "partitions": 4},
        "pretrain_local": {"steps": 2, "images": 8},
        "finetune": {"steps": 2, "loss": "dice"}, **changes,
    })  # fmt: skip


def native_label(volume: str) -> NDArray[np.uint8]:
    """A core in the middle; its rim reaches rows that the frame cuts off in one volume, and one more has no structure."""
    label = np.zeros(GRID, np.uint8)
    if volume.startswith("u") or volume == "a7":
        return label
    label[2:6, 8:12, 10:14] = 1
    rows = slice(0, 5) if volume == "a8" else slice(3, 8)
    label[2:6, rows, 10:14] = 2
    return label


def make(root: Path, benchmark: Benchmark | None = None, card: Card | None = None) -> Plan:
    """A plan with its slice store below ``root``: the patient's right front corner is bright in every image."""
    card = card or make_card()
    plan = make_plan(benchmark or make_benchmark(), {"toy": card}, lock_folder=root)
    depth, height, width = GRID
    native = [native_label(v) for v in VOLUMES]
    image = np.zeros((depth, *FRAME), np.float32)
    image[:, -3:, -3:] = 5.0  # the ends of both axes, which count towards right and front; beyond 1
    count = len(VOLUMES)
    volumes = pd.DataFrame({
        "volume": VOLUMES, "subject": VOLUMES, "first_slice": np.arange(count) * depth, "depth": depth, "height": height,
        "width": width, "spacing_depth": SPACING[0], "spacing_height": SPACING[1], "spacing_width": SPACING[2],
        "resampled_height": height, "resampled_width": width, "native_offset": np.arange(count) * depth * height * width,
        "labelled": [not v.startswith("u") for v in VOLUMES],
    })  # fmt: skip
    slices = pd.DataFrame({
        "subject": np.repeat(VOLUMES, depth), "volume": np.repeat(VOLUMES, depth), "slice": np.tile(np.arange(depth), count),
        "position": np.tile(positions(depth), count),
    })  # fmt: skip
    (job,) = plan.of("data")
    write_store(
        root / job.record, images=np.tile(image, (count, 1, 1)), labels=np.concatenate([fit(n, FRAME) for n in native]),
        native_labels=np.concatenate([n.ravel() for n in native]), slices=slices, volumes=volumes,
        preparation=card.preparation, manifest={"spec": job.spec.dump(), "verified": {
            "notes": ["imagesTr/._a0.nii.gz: not used"], "losses": {}, "subjects": 11, "volumes": 11, "labelled": 9,
        }},
    )  # fmt: skip
    return plan


class Page(HTMLParser):
    """What a page loads, and in which order its volumes come; whether it is well formed enough to count its articles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.alts: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if given.get("id") else []
        self.loads += [str(given[name]) for name in ("src", "srcset") if name in given]
        self.alts += [str(given.get("alt", ""))] if tag == "img" else []
        self.links += [str(given["href"])] if "href" in given else []

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["h3"] and data.strip():
            self.titles.append(data.strip())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, str]:
    root = tmp_path_factory.mktemp("look")
    plan = make(root)
    return plan, root, write_look(plan, root).read_text(encoding="utf-8")


# ---------------------------------------------------------------- slices


def test_a_slice_is_shown_with_the_patients_right_on_the_left_and_front_on_top() -> None:
    image = np.zeros((16, 24), np.float32)
    image[-4:, -4:] = 1.0
    shown = strips.tile(image, np.zeros((16, 24), np.uint8), spacing=(1.0, 1.0), side=96)
    assert shown.shape == (96, 64, 3)  # rows of the array lie across
    assert shown[:8, :8].min() > 200
    assert shown[20:].max() < 60
    assert shown[:, 20:].max() < 60
    assert strips.sides("S") == strips.Sides("R", "L", "A", "P")
    assert strips.sides("I") == strips.sides("S")
    assert strips.sides("P") == strips.Sides("R", "L", "S", "I")
    assert strips.sides("L") == strips.Sides("A", "P", "S", "I")


def test_pixels_that_are_no_squares_are_shown_as_they_are() -> None:
    shown = strips.tile(np.zeros((10, 10), np.float32), np.zeros((10, 10), np.uint8), spacing=(2.0, 1.0), side=100)
    assert shown.shape == (50, 100, 3)


def test_an_outline_has_the_structures_colour_and_leaves_its_inside() -> None:
    label = np.zeros((16, 16), np.uint8)
    label[4:12, 4:12] = 2
    shown = strips.tile(np.zeros((16, 16), np.float32), label, spacing=(1.0, 1.0), side=64)
    coloured = (shown == np.array([int(structure_colour(2)[i : i + 2], 16) for i in (1, 3, 5)])).all(axis=2)
    expected = np.zeros((64, 64), bool)
    expected[16:48, 16:48] = True
    expected[17:47, 17:47] = False
    assert np.array_equal(coloured, expected)


def test_a_pixel_of_a_structure_is_still_seen_where_slices_are_made_smaller() -> None:
    mask = np.zeros((300, 300), bool)
    mask[150, 150] = True
    assert strips.enlarged(mask, (100, 100)).sum() == 1


def test_a_strip_without_numbers_and_beyond_the_range_is_black_and_white() -> None:
    images = np.stack([np.full((8, 8), np.nan, np.float32), np.full((8, 8), 9, np.float32), np.full((8, 8), -3, np.float32)])
    shown = np.asarray(Image.open(io.BytesIO(strips.strip(images, np.zeros((3, 8, 8), np.uint8), spacing=(1, 1), side=32))))
    assert shown.shape == (32, 3 * 32 + 2 * strips.GAP, 3)
    assert shown[:, :30].max() < 12
    assert shown[4:28, 38:62].min() > 243
    assert shown[:, 70:].max() < 12


@pytest.mark.parametrize(("depth", "expected"), [(3, [0, 1, 2]), (8, list(range(8))), (40, [2, 7, 12, 17, 22, 27, 32, 37])])
def test_slices_are_spread_evenly(depth: int, expected: list[int]) -> None:
    assert strips.evenly(depth) == expected


# ---------------------------------------------------------------- what is lost


def test_areas_are_counted_on_the_native_grid_after_resampling_and_on_the_frame(made: tuple[Plan, Path, str]) -> None:
    store = open_store(made[1] / made[0].of("data")[0].record)
    pixel = SPACING[1] * SPACING[2]
    cut = areas(store, "a8")["rim"]  # rows 0 to 4, of which the frame leaves 2 to 4
    assert (cut.native, cut.resampled, cut.framed) == (80 * pixel, 80 * pixel, 48 * pixel)
    assert cut.cut == pytest.approx(0.4)
    assert areas(store, "a8")["core"].cut == 0
    assert areas(store, "a7") == {}
    assert areas(store, "u0") == {}


# ---------------------------------------------------------------- lists and partitions


def test_repeats_that_label_the_same_volumes_are_named(tmp_path: Path) -> None:
    plan = make(tmp_path, make_benchmark(budgets=[1], repeats=40))
    store = open_store(tmp_path / plan.of("data")[0].record)
    rows = [row for row in lists_of(plan, "toy", store.volumes).labelled if row.budget == "1"]
    assert [row.repeats for row in rows] == [(f"r{number}",) for number in range(1, 41)]
    first: dict[frozenset[str], str] = {}
    for row in rows:
        before = first.setdefault(frozenset(row.train), row.repeats[0])
        assert row.same == (before if before != row.repeats[0] else None)
    assert any(row.same for row in rows)
    assert "the same as r" in write_look(plan, tmp_path).read_text(encoding="utf-8")


def test_repeats_that_share_their_volumes_share_a_row(tmp_path: Path) -> None:
    triples = [{"draw": draw, "pretraining": p, "finetuning": 1} for draw in (2, 3) for p in (1, 2)]
    plan = make(tmp_path, make_benchmark(budgets=[1], repeats=triples))
    rows = lists_of(plan, "toy", open_store(tmp_path / plan.of("data")[0].record).volumes).labelled
    assert [(row.budget, row.repeats) for row in rows] == [
        ("1", ("c2-p1-f1", "c2-p2-f1")), ("1", ("c3-p1-f1", "c3-p2-f1")), ("all", ()),
    ]  # fmt: skip
    assert rows[0].train != rows[1].train
    assert not any(row.listed for row in rows)


def test_choices_that_a_card_lists_are_marked(tmp_path: Path) -> None:
    listed = [{"train": [name], "validation": ["a1"]} for name in ("a3", "a2")]
    whole = {"train": ["a2", "a3", "a4"], "validation": ["a1"]}
    splits = {"kind": "lists", "pretrain": ["a2", "a3", "a4"], "test": ["a5", "a6"], "budgets": {1: listed}, "all": whole}
    plan = make(tmp_path, make_benchmark(budgets=[1], repeats=3), make_card(splits=splits))
    rows = lists_of(plan, "toy", open_store(tmp_path / plan.of("data")[0].record).volumes).labelled
    assert [(row.repeats, row.train, row.listed) for row in rows] == [
        (("r1",), ("a3",), True), (("r2",), ("a2",), True), (("r3",), ("a4",), False), ((), ("a2", "a3", "a4"), True),
    ]  # fmt: skip
    text = write_look(plan, tmp_path).read_text(encoding="utf-8")
    assert text.count('<span class="chip">listed</span>') == 3
    assert "the others are drawn from the same pool" in text


def test_roles_are_those_that_the_jobs_read(made: tuple[Plan, Path, str]) -> None:
    store = open_store(made[1] / made[0].of("data")[0].record)
    lists = lists_of(made[0], "toy", store.volumes)
    assert [pool.readers for pool in lists.pools] == [("G^{D}",)]
    said = roles(lists)
    assert sorted(v for v, own in said.items() if "test" in own) == sorted(lists.test)
    volume = lists.labelled[0].train[0]
    own = next(r for r in said[volume] if r.startswith("labelled"))
    there = [row for row in lists.labelled if volume in row.train and row.budget != "all"]
    expected = {budget: [r for row in there if row.budget == budget for r in row.repeats] for budget in ("1", "2")}
    assert own == "labelled: " + ", ".join(f"{budget} ({', '.join(names)})" for budget, names in expected.items() if names)
    assert not any(set(row.train) & set(lists.test) for row in lists.labelled)


def test_a_pool_that_nobody_reads_is_shown_as_one(tmp_path: Path) -> None:
    plan = make(tmp_path, make_benchmark(methods=[{}]))
    lists = lists_of(plan, "toy", open_store(tmp_path / plan.of("data")[0].record).volumes)
    assert [pool.readers for pool in lists.pools] == [()]
    assert lists.pools[0].volumes
    assert "which no method of this benchmark reads" in write_look(plan, tmp_path).read_text(encoding="utf-8")


def test_partitions_are_those_of_global_pretraining() -> None:
    axis = Axis(4, "release", ())
    assert axis.of(10).tolist() == partition_labels(10, 4, "release").tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1, -1]
    assert axis.bar(10).count("var(--partition-none) 80.00% 100.00%") == 1
    assert (axis.of(3) == -1).all()
    assert [row[2] for row in axis.rows(pd.Series([8, 12]))] == ["2 to 3"] * 4
    own = axis_of(make_benchmark(methods=[{}, {"global": "gd", "name": "six", "set": {"pretrain_global.partitions": 6}}]))
    assert (own.partitions, own.others) == (4, ("six: 6 (paper)",))


def test_ranges_are_short() -> None:
    assert [span(1, 1), span(1.33712, 1.774), span(7, 128), span(0.9999, 1.0)] == ["1", "1.34 to 1.77", "7 to 128", "1"]


# ---------------------------------------------------------------- the page


def test_page_is_one_file_whose_links_lead_somewhere(made: tuple[Plan, Path, str]) -> None:
    page = Page(made[2])
    assert page.loads
    assert all(load.startswith(("data:image/webp;base64,", "data:image/svg+xml;base64,")) for load in page.loads)
    assert not {"link", "iframe"} & set(page.tags)
    assert "url(" not in made[2]
    assert "@import" not in made[2]
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(page.alts)


def test_the_most_cut_off_volume_comes_first_and_then_those_with_another_flag(made: tuple[Plan, Path, str]) -> None:
    shown = [title for title in Page(made[2]).titles if title in VOLUMES]
    assert shown[:2] == ["a8", "a7"]
    assert shown[2:] == sorted(set(VOLUMES) - {"a7", "a8"})
    assert "the frame cuts off 40.0% of rim" in made[2]
    assert "its label holds no structure" in made[2]


def test_page_says_what_is_odd_about_the_benchmark(made: tuple[Plan, Path, str]) -> None:
    plan, root, text = made
    title = "What is odd about this benchmark with this data"
    assert (title in text) == bool(plan.notes)
    odd = replace(plan, notes=("toy: budget 1, draw 1: no label of 'rim' <",))
    said = write_look(odd, root).read_text(encoding="utf-8")
    write_look(plan, root)
    assert title in said
    assert "no label of &#39;rim&#39; &lt;</li>" in said


def test_page_says_what_was_verified_who_has_no_label_and_what_is_lost(made: tuple[Plan, Path, str]) -> None:
    text = made[2]
    assert "imagesTr/._a0.nii.gz: not used" in text
    assert "11, 2 of them without a label" in text
    (pool,) = lists_of(made[0], "toy", open_store(made[1] / made[0].of("data")[0].record).volumes).pools
    bare = sum(v.startswith("u") for v in pool.volumes)
    assert f"of {len(pool.volumes)} subjects" + (f", {bare} of them without a label" if bare else "") in text
    assert text.count('<span class="chip bare">no label</span>') == 2
    assert "u0, slices 1, 2, 3 and 4 of 8, no label" in Page(text).alts
    assert re.search(
        r"rim</th><td class=\"missing\">8 of 9</td><td>5.0%</td><td>0.0%</td><td class=\"missing\">5.0%</td><td>40.0% of a8<",
        text,
    )


def test_names_are_text_whatever_they_hold(made: tuple[Plan, Path, str]) -> None:
    assert '<b>"' not in made[2]
    assert ODD in Page(made[2]).titles
    assert "A &lt;look&gt;" in made[2]


def test_the_pictures_of_the_page_are_upright(made: tuple[Plan, Path, str]) -> None:
    source = Page(made[2]).loads[0].split(",")[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("L"))
    assert shown[2:8, 2:8].min() > 200
    assert shown[-8:, 2:8].max() < 60


def test_a_page_shows_no_more_than_its_limit_and_lists_the_others(tmp_path: Path) -> None:
    plan = make(tmp_path)
    text = write_look(plan, tmp_path, volumes=4).read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("article") == 4
    assert [t for t in page.titles if t in VOLUMES][:2] == ["a8", "a7"]
    assert "4 volumes of 11 (to keep this page small)" in text
    assert text.count("<tr id=") == 11
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    small = Page(write_look(plan, tmp_path, size=1).read_text(encoding="utf-8"))
    assert small.tags.count("article") == 1


def test_volumes_with_fewer_slices_than_partitions_are_named(tmp_path: Path) -> None:
    plan = make(tmp_path, make_benchmark(pretrain_global={"steps": 2, "images": 10, "partitions": 10}))
    assert "8 slices are fewer than the 10 partitions" in write_look(plan, tmp_path).read_text(encoding="utf-8")


# ---------------------------------------------------------------- what is measured, and what is odd


def quantity(values: list[float], *, ratio: bool = True) -> Quantity:
    return Quantity("length", "mm", ratio, {f"v{i}": value for i, value in enumerate(values)})


def test_a_value_far_from_the_median_is_odd_by_the_median_absolute_deviation() -> None:
    values = [0.40, 0.42, 0.44, 0.46, 0.48, 0.50, 0.52, 0.54, 0.90]
    (one,) = odd(quantity(values, ratio=False))  # median 0.48, deviations 0.08 .. 0.00 .. 0.06, 0.42: their median is 0.04
    assert (one.volume, one.median) == ("v8", 0.48)
    assert one.deviations == pytest.approx(0.42 / (1.4826 * 0.04))
    assert one.sentence == "length is 0.9 mm, 7.1 deviations above the median of 0.48 mm"


def test_half_and_twice_as_long_are_equally_odd() -> None:
    around = [95.0, 97.0, 99.0, 100.0, 101.0, 103.0, 105.0]
    low, high = odd(quantity([*around, 50.0, 200.0]))
    assert {low.volume, high.volume} == {"v7", "v8"}
    assert low.deviations == pytest.approx(-high.deviations)


def test_what_is_within_a_tenth_of_the_median_is_never_odd_however_alike_the_others_are() -> None:
    assert odd(quantity([1.0] * 20 + [1.09])) == []
    assert [one.volume for one in odd(quantity([1.0] * 20 + [1.12]))] == ["v20"]
    assert odd(quantity([0.5] * 20 + [0.59], ratio=False)) == []
    assert len(odd(quantity([0.5] * 20 + [0.61], ratio=False))) == 1


def test_where_more_than_half_are_equal_a_second_protocol_is_not_odd_but_a_single_volume_is() -> None:
    assert odd(quantity([1.0] * 12 + [1.5] * 8)) == []
    assert len(odd(quantity([1.0] * 20 + [1.5]))) == 1


def test_few_volumes_are_not_judged() -> None:
    assert odd(quantity([1.0] * (ENOUGH - 2) + [9.0])) == []
    assert bounds(quantity([1.0] * (ENOUGH - 2) + [9.0])) is None
    assert len(odd(quantity([1.0] * (ENOUGH - 1) + [9.0]))) == 1


def make_store(labels: NDArray[np.uint8], images: NDArray[np.float32], native: tuple[int, int]) -> SliceStore:
    """One volume, whose slices of ``native`` pixels of 2 mm lie 3 mm apart and are not resampled."""
    depth = len(labels)
    stored = Stored("v", "p", 0, depth, *native, 3.0, 2.0, 2.0, *native, 0, True)
    inside = np.zeros((depth, *native), np.uint8)
    inside[:, : labels.shape[1], : labels.shape[2]] = labels[:, : native[0], : native[1]]
    preparation = {"frame": {"size": labels.shape[1:]}, "structures": {1: "core", 2: "rim"}}
    return SliceStore(images, labels, inside.ravel(), {"v": stored}, {"preparation": preparation})


def test_intensities_leave_out_the_border_that_the_frame_adds() -> None:
    labels = np.zeros((4, 12, 12), np.uint8)
    images = np.zeros((4, 12, 12), np.float32)
    images[:, 2:10, 4:8] = 0.5  # where slices of 8 x 4 pixels lie on the frame
    images[1, 5, 5] = np.nan
    found = measure(make_store(labels, images, (8, 4)), "v")
    assert found.intensities == (0.5,) * 5
    assert found.inside == {}
    assert found.middle == 2


def test_a_structure_is_measured_in_millilitres_and_shown_where_half_of_it_is_passed() -> None:
    labels = np.zeros((10, 8, 8), np.uint8)
    labels[1:4, :2, :2] = 1  # 12 voxels
    labels[6:9, 2:4, 2:5] = 2  # 18 voxels, the larger one
    images = np.where(labels == 2, 0.75, 0.25).astype(np.float32)
    found = measure(make_store(labels, images, (8, 8)), "v")
    assert found.ml == pytest.approx({"core": 12 * 12 / 1000, "rim": 18 * 12 / 1000})  # voxels of 12 mm³
    assert found.inside == {"core": 0.25, "rim": 0.75}
    assert found.middle == 7
    assert found.along["core"].tolist() == [0, 4, 4, 4, 0, 0, 0, 0, 0, 0]


def measured_volumes(made: tuple[Plan, Path, str]) -> dict[str, Measures]:
    store = open_store(made[1] / made[0].of("data")[0].record)
    return {volume: measure(store, volume) for volume in store.known}


def test_an_odd_volume_comes_first_and_is_said(made: tuple[Plan, Path, str]) -> None:
    axis = axis_of(made[0].benchmark)
    usual = {name: one for name, one in measured_volumes(made).items() if name in {"a1", "a2", "a3", "a4", "a5", "a6"}}
    usual |= {f"{name}b": one for name, one in usual.items()}
    odd_one = replace(usual["a6"], ml=usual["a6"].ml | {"rim": 3 * usual["a6"].ml["rim"]})
    measured = usual | {"a6": odd_one}
    strange = [one for q in quantities(measured, ["core", "rim"]) for one in odd(q)]
    found = flagged(measured, strange, axis, {"a6": ("test",)})
    assert [v.name for v in found][:2] == ["a6", "a1"]
    assert found[0].flags == (strange[0].sentence,)
    assert strange[0].sentence.startswith("volume of rim is 1.08 ml, ")
    assert standing_out(found, strange) == [
        "1 of 12 volumes is unlike the others; 1 of them is tested on.", "What is odd: volume of rim in 1 (above).",
    ]  # fmt: skip


def test_sentences_tell_a_cut_volume_from_an_odd_one_and_from_nothing(made: tuple[Plan, Path, str]) -> None:
    axis, measured = axis_of(made[0].benchmark), measured_volumes(made)
    found = flagged(measured, [], axis, {})
    assert standing_out(found, [])[0] == (
        "2 of 11 volumes stand out (the frame cuts a structure of 1); none of them is tested on."
    )
    fine: list[Volume] = [v for v in found if not v.flags]
    assert len(fine) >= ENOUGH
    assert standing_out(fine, [])[0].endswith("in every volume, and no volume is unlike the others.")
    assert "With fewer than 8 volumes" in standing_out(fine[:3], [])[0]


def test_partitions_say_which_share_of_a_structure_they_hold(made: tuple[Plan, Path, str]) -> None:
    axis = axis_of(made[0].benchmark)  # four partitions of two slices; structures lie in slices 2 to 5
    found = flagged(measured_volumes(made), [], axis, {})
    assert [row.shares for row in partition_rows(axis, found, ["core", "none"])] == [
        ("0%", "–"), ("50%", "–"), ("50%", "–"), ("0%", "–"),
    ]  # fmt: skip


def test_names_are_short_and_volumes_have_three_digits(made: tuple[Plan, Path, str]) -> None:
    assert common(["case_012", "case_013"]) == "case_"
    assert common(["a1", "a2"]) == common(["case_1"]) == common(["a_", "a_1"]) == ""
    found = flagged(measured_volumes(made), [], axis_of(made[0].benchmark), {})
    assert decimals(found, "rim") == 3  # 0.36 ml


# ---------------------------------------------------------------- beside a report


def test_data_pages_are_the_same_bytes_every_time_and_hold_everything(made: tuple[Plan, Path, str]) -> None:
    plan, root, look = made
    first, second = data_pages(plan, root)["toy"], data_pages(plan, root)["toy"]
    assert first == second
    page = Page(first["report/data-toy.html"].decode())
    figures = {path.removeprefix("figures/") for path in first if path.startswith("figures/")}
    linked = {link.removeprefix("../figures/") for link in page.links if link.startswith("../figures/")}
    assert linked == figures
    assert linked
    own = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert own <= set(page.ids)
    assert set(page.links) - {f"#{name}" for name in own} - {f"../figures/{name}" for name in linked} == {"index.html"}
    assert set(page.ids) == set(Page(look).ids)  # the same sections before and after training
    assert all(load.startswith("data:image/") for load in page.loads)


def test_every_volume_has_a_thumbnail_and_a_row_that_lead_to_its_slices(made: tuple[Plan, Path, str]) -> None:
    text = data_pages(made[0], made[1], volumes=3)["toy"]["report/data-toy.html"].decode()
    shown = re.findall(r'<li[^>]*><a href="#([^"]+)" title="[^"]*"><img src="data:image/webp', text)
    assert len(shown) == len(set(shown)) == len(VOLUMES)
    assert shown[:3] == ["toy-0", "toy-1", "toy-2"]
    assert all(target.startswith("toy-v") for target in shown[3:])
    rows = re.findall(r'<tr id="(toy-v\d+)"><th scope="row">(<a href="#toy-\d">)?', text)
    assert len(rows) == len(VOLUMES)
    assert sum(bool(link) for _, link in rows) == 3


def test_thumbnails_that_would_make_the_page_large_are_left_to_the_table(tmp_path: Path) -> None:
    text = write_look(make(tmp_path), tmp_path, small=1).read_text(encoding="utf-8")
    assert text.count("data:image/webp") - 2 * Page(text).tags.count("article") == 1
    assert "1 volume of 11 (to keep this page small; the table below has all)" in text
    assert text.count("<tr id=") == 11


def test_the_table_sorts_by_numbers(made: tuple[Plan, Path, str]) -> None:
    table = made[2][made[2].index('<table class="sortable') :].split("</table>")[0]
    cut = re.findall(r'<td data-key="([^"]*)">(40\.0%|0\.0%|–)</td><td class="text">', table)
    assert cut[0] == ("0.4", "40.0%")
    assert sorted(text for _, text in cut) == ["0.0%"] * 7 + ["40.0%"] + ["–"] * 3
    assert "with-script" in made[2]  # the script that sorts


def test_a_store_that_is_not_all_there_has_no_page_and_a_changed_one_is_told(tmp_path: Path) -> None:
    plan = make(tmp_path)
    record = tmp_path / plan.of("data")[0].record
    labels = record.parent / "labels.npy"
    content = labels.read_bytes()
    labels.unlink()
    assert data_pages(plan, tmp_path) == {}
    labels.write_bytes(content[:-1] + b"\x01")
    with pytest.raises(CorruptedError):
        data_pages(plan, tmp_path)
    record.unlink()
    assert data_pages(plan, tmp_path) == {}


def test_colours_of_partitions_are_named_for_light_and_dark_pages() -> None:
    light, dark = palette().split("@media")
    assert re.findall("--partition-[^:]+", light) == re.findall("--partition-[^:]+", dark)
    assert light.split("{")[1] != dark.split("{")[2]
    assert Axis(4, "paper", ()).colour(3).removeprefix("var(").removesuffix(")") + ":" in light
