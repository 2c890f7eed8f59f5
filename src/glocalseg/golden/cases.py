"""The golden run: small jobs of every entry of code, with its default settings and with every other one.

Specifications are made here from the methods and settings that there are: a new strategy, regime or setting is run unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from glocalseg.config.model import Model, Quirk, without
from glocalseg.config.settings import FinetuneConfig, LocalConfig, NetworkConfig, PretrainConfig
from glocalseg.data.cards.reading import Preparation, Reading
from glocalseg.data.files.cases import require_cases
from glocalseg.data.phantom.generate import generate
from glocalseg.data.slices.prepare import prepare
from glocalseg.data.splits.given import Budget, LabelledDraw, Role, SplitLists, SplitRule
from glocalseg.data.splits.lists import split_spec
from glocalseg.golden.inputs import KEY, Inputs
from glocalseg.golden.layouts import LAYOUTS
from glocalseg.golden.variations import ALL, variations
from glocalseg.methods.catalogue import Entry, regimes, strategies, untrained
from glocalseg.plan.entries import TIMM
from glocalseg.records.digest import digest
from glocalseg.stages.diagnose import diagnose
from glocalseg.stages.finetune import finetune
from glocalseg.stages.frozen.features import extract
from glocalseg.stages.frozen.head import tune_head
from glocalseg.stages.pretrain import pretrain
from glocalseg.stages.score import score
from glocalseg.stages.specs import DiagnoseSpec, FeaturesSpec, FinetuneSpec, HeadSpec, PretrainSpec, ScoreSpec, UntrainedSpec
from glocalseg.stages.untrained import label

Case = tuple[str, Callable[[Path], None]]  # a name, and what fills a folder
Settings = dict[str, Model]
DEFAULT = "default"
MODEL, TRANSFORMER = "timm:test_resnet", "timm:test_vit"
LAYOUT = "msd"
PLAIN = NetworkConfig(channels=[4, 8, 8], batchnorm_momentum=0.1, precision="float32", compiled="never")
UNVARIED = ("encoder", "weights", "compiled")  # timm has entries of its own; a compiler would take minutes
PRETRAIN = {"steps": 3, "images": 36}
FINETUNE = FinetuneConfig(steps=4, batch=6, validate_every=2)
POOL: tuple[Role, ...] = ("pretrain",)
RULE = SplitRule(kind="rule", test=2, validation=2, seed=0)
LISTS = SplitLists(
    kind="lists", pretrain=["s0", "s3", "s5"], test=["s1"], budgets={2: [LabelledDraw(train=["s0", "s2"], validation=["s4"])]},
    all=LabelledDraw(train=["s0", "s2", "s3"], validation=["s4", "s6"]),
)  # fmt: skip


def cases(entry: str, inputs: Inputs) -> Iterator[Case]:
    """The cases of an entry, ``default`` first; none where nothing is known to run it on. Raises KeyError for no entry."""
    name, timm, _ = entry.partition(TIMM)
    phase, _, kind = name.partition("/")
    network = PLAIN.model_copy(update={"encoder": MODEL}) if timm else PLAIN
    match phase:
        case "data":
            return _data()
        case "phantom":
            return _phantom()
        case "pretrain":
            return _pretrainings(inputs, strategies()[kind], network)
        case "diagnose":
            return _diagnoses(inputs, network)
        case "finetune":
            return _finetunings(inputs, regimes()[kind], network)
        case "features":
            return _features(inputs)
        case "untrained":
            return _unlearned(inputs, untrained()[kind])
        case "score":
            return iter([(DEFAULT, partial(_score, inputs))])
    raise KeyError(entry)


# ---------------------------------------------------------------- jobs on a slice store


def _settings(
    network: NetworkConfig, options: Model, config: Model, leave: tuple[str, ...] = ()
) -> Iterator[tuple[str, Settings]]:
    """Default settings, those that differ in one field, and those that differ in all; with an encoder of timm only a few."""
    base = {"options": options, "config": config, "network": network}
    yield DEFAULT, base
    together, names = dict(base), []
    for part, model in base.items():
        for name, changed in variations(model, leave=UNVARIED if part == "network" else leave):
            if name.startswith(ALL):
                together[part] = changed
                names.append(f"{part}.{name}")
            elif network.encoder == "unet" or name.startswith("levels"):
                yield f"{part}.{name}", {**base, part: changed}
    yield f"{ALL}-{digest(names)[:8]}", {**together, "network": network}
    if network.encoder != "unet":
        yield "network.weights", {**base, "network": network.model_copy(update={"weights": KEY})}
        yield "network.input_statistics", {**base, "network": network.model_copy(update={"input_statistics": (0.4, 0.2)})}


def _pretrainings(inputs: Inputs, entry: Entry, network: NetworkConfig) -> Iterator[Case]:
    local = entry.part == "decoder"
    config = (LocalConfig if local else PretrainConfig).model_validate(PRETRAIN)
    for name, settings in _settings(network, entry.option_class()(), config, leave=entry.unread):
        spec = PretrainSpec(
            **_common(settings, start=local),
            level="local" if local else "global",
            strategy=entry.name,
            options=settings["options"].model_dump(exclude_defaults=True),
            config=without(settings["config"], entry.unread),  # type: ignore[arg-type]
            split=split_spec(RULE, POOL),
        )
        yield name, partial(inputs.run, pretrain, spec)


def _finetunings(inputs: Inputs, entry: Entry, network: NetworkConfig) -> Iterator[Case]:
    def case(
        settings: Settings, rule: SplitRule | SplitLists = RULE, budget: Budget = 2, *, start: bool = False
    ) -> Callable[[Path], None]:
        selected = settings["config"].selection == "validation"  # type: ignore[attr-defined]
        asked: dict[Role, bool] = {"train": True, "validation": selected, "test": True, "pretrain": entry.unlabelled}
        spec = (HeadSpec if entry.frozen else FinetuneSpec)(
            **_common(settings, start=start or entry.frozen),
            regime=entry.name,
            options=settings["options"].model_dump(exclude_defaults=True),
            config=settings["config"],  # type: ignore[arg-type]
            split=split_spec(rule, [role for role, read in asked.items() if read], budget, 1),
        )
        return partial(inputs.run, tune_head if entry.frozen else finetune, spec)

    for name, settings in _settings(network, entry.option_class()(), FINETUNE):
        yield name, case(settings)
        if name == DEFAULT:
            yield "start", case(settings, start=True)
            yield "budget=all", case(settings, budget="all")
            yield "split.lists", case(settings, LISTS)
            yield "split.test_volumes=one", case(settings, RULE.model_copy(update={"test_volumes": "one"}))


def _features(inputs: Inputs) -> Iterator[Case]:
    """Of random and of bought-in weights, with other options, and with what weights expect of an image."""
    network, usual = PLAIN.model_copy(update={"encoder": TRANSFORMER}), regimes()["features"].option_class()()
    ways = [(name, network, options) for name, options in [(DEFAULT, usual), *variations(usual)]]
    ways += [
        ("network.weights", network.model_copy(update={"weights": KEY}), usual),
        ("network.input_statistics", network.model_copy(update={"input_statistics": (0.4, 0.2)}), usual),
    ]
    for name, own, options in ways:
        spec = FeaturesSpec(code=KEY, data=KEY, network=own, threads=1, seed=3, start=None, **options.model_dump())
        yield name, partial(inputs.run, extract, spec)


def _unlearned(inputs: Inputs, entry: Entry) -> Iterator[Case]:
    roles: tuple[Role, ...] = ("train", "test")

    def case(options: Model, rule: SplitRule | SplitLists = RULE, budget: Budget = 2) -> Callable[[Path], None]:
        given, split = options.model_dump(exclude_defaults=True), split_spec(rule, roles, budget, 1)
        return partial(inputs.run, label, UntrainedSpec(code=KEY, data=KEY, regime=entry.name, options=given, split=split))

    usual = entry.option_class()()
    yield DEFAULT, case(usual)
    yield "budget=all", case(usual, budget="all")
    yield "split.lists", case(usual, LISTS)
    yield "split.test_volumes=one", case(usual, RULE.model_copy(update={"test_volumes": "one"}))
    for name, options in variations(usual):
        yield f"options.{name}", case(options)


def _diagnoses(inputs: Inputs, network: NetworkConfig) -> Iterator[Case]:
    class Partitions(Model):
        """What of the settings of pretraining a diagnosis reads."""

        blocks: int | None = None
        partitions: int = 4
        partition_bounds: Quirk = "paper"

    for name, settings in _settings(network, Partitions(), Model()):
        for start in (False, True):
            spec = DiagnoseSpec(
                **_common(settings, start=start),
                **settings["options"].model_dump(),
                split=split_spec(RULE, ("pretrain", "validation"), "all", 1),
            )
            yield f"{name},start" if start else name, partial(inputs.run, diagnose, spec)


def _common(settings: Settings, *, start: bool) -> dict[str, Any]:
    fixed = {"code": KEY, "data": KEY, "threads": 1, "seed": 3}
    return {**fixed, "network": settings["network"], "start": KEY if start else None}


def _score(inputs: Inputs, folder: Path) -> None:
    inputs.run(score, ScoreSpec(code=KEY, data=KEY, start=KEY), folder)


# ---------------------------------------------------------------- data


def _data() -> Iterator[Case]:
    """A data set of three volumes, one of them without a label, prepared in every way."""
    reading = {"reader": LAYOUT, "subject": {"pattern": r"^case_(\d+)"}, "labels": "some"}
    base = {"structures": {1: "one", 2: "two"}, "slice_axis": "S", "frame": {"spacing": (1.3, 1.3), "size": (16, 24)}}
    usual = Preparation.model_validate(base)
    ways = [(DEFAULT, usual), *variations(usual, leave=("frame.size",))]
    ways += [("frame.size", Preparation.model_validate({**base, "frame": {"spacing": (1.3, 1.3), "size": (32, 16)}}))]
    more = {"window": (20.0, 150.0), "padding": 0.0}
    ways += [(name, usual.model_copy(update={name: value})) for name, value in more.items()]
    for name, preparation in ways:
        yield name, partial(_prepare, Reading.model_validate(reading), preparation, (1, 2), 1)
    mapped = Preparation.model_validate({**base, "label_values": {205: 1, 420: 2, 500: 2}, "stray_values": [421]})
    second = Reading.model_validate({**reading, "channel": 1})
    yield "label_values", partial(_prepare, second, mapped, (205, 420, 421, 500), 2)


def _prepare(reading: Reading, preparation: Preparation, values: tuple[int, ...], channels: int, folder: Path) -> None:
    root = folder / "files"
    LAYOUTS[LAYOUT](root, values, channels)
    prepare(reading, preparation, require_cases(reading, root), folder / "manifest.json", payload={}, workers=1)


def _phantom() -> Iterator[Case]:
    for matrix, seed in ((32, 1), (48, 2)):
        yield DEFAULT if seed == 1 else f"matrix={matrix}", partial(generate, subjects=5, seed=seed, matrix=matrix)
