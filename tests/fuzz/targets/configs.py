"""Cards and benchmarks as YAML through ``load_card`` and ``make_plan``: refused, or a plan that can be made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from corruptions import Rng, corrupted, pick, places, turned_over
from worker import WrongError

from glocalseg.config.benchmark import Benchmark, load_benchmark
from glocalseg.data.cards.card import load_card, load_cards
from glocalseg.plan.make import make_plan

REPOSITORY = Path(__file__).resolve().parents[3]
DRAWN = ("quick", "hippocampus", "paper")  # benchmarks in config/
BOMB = "".join(  # nine times nine times ... of a word
    f"{name}: &{name} [{','.join([f'*{inner}'] * 9) if inner else 'x'}]\n"
    for inner, name in zip(["", *"abcdefg"], "abcdefgh", strict=True)
)
TEXTS = (
    BOMB,
    "a: &a\n  b: *a\n",
    "&a [*a]\n",
    "a: &a {<<: *a}\n",
    "<<: 1\n",
    "[" * 2000,
    "{a: " * 500,
    "- " * 3000,
    "!!python/object/apply:os.system [x]",
    "!!binary x",
    "!!timestamp 2020-99-99",
    "a: 2020-99-99",
    "%YAML 9.9\n---\n",
    "---\na: 1\n---\nb: 2\n",
    "? [a, b]\n: 1\n",
    "? {a: b}\n: 1\n",
    "1: 2\n",
    "null: 1\n",
    "true: 1\n",
    "",
    "#",
    "x",
    "\t",
    "'",
    "a: 'b\n",
    "a: |\n\tb\n",
    "a:\n\t- b\n",
    "\x00",
    "\x1b[31m: 1\n",
    "a: .nan\n",
    "a: .inf\n",
    "a: 0o99\n",
    "a: 0x" + "f" * 5000,
    "a: 1" + "0" * 5000,
    "a: 1:2:3:4\n",
    "a: 1_000\n",
    "a: *nobody\n",
    "\ufeffname: x\n",
    "name: \u202ex\n",
    "name: !!set {x}\n",
)
NUMBERS = (0, -1, 1, 2, 3, 10, 1000, 10**6, 10**9, 10**12, 10**30, 0.1, 1.5, float("nan"), float("inf"), "10%", "1e9", True)


@dataclass(frozen=True)
class Base:
    """The texts of configurations, by name; cards and what lies beside them in a folder."""

    benchmarks: dict[str, str]
    cards: Path


def prepare(folder: Path) -> Base:
    cards = folder / "cards"
    shutil.copytree(REPOSITORY / "config" / "datasets", cards)
    names = [name for name in DRAWN if (REPOSITORY / "config" / f"{name}.yaml").is_file()]
    texts = {name: (REPOSITORY / "config" / f"{name}.yaml").read_text(encoding="utf-8") for name in names}
    base = Base(texts, cards)
    (folder / "x.yaml").write_text(texts[names[0]], encoding="utf-8")
    _plan(load_benchmark(folder / "x.yaml"), cards)  # imports all that a plan imports
    return base


def _plan(benchmark: Benchmark, cards: Path) -> Any:
    return make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    cards = folder / "cards"
    shutil.copytree(base.cards, cards)
    name = pick(rng, list(base.benchmarks))
    benchmark = folder / f"{name}.yaml"
    benchmark.write_text(base.benchmarks[name], encoding="utf-8")
    used = yaml.safe_load(base.benchmarks[name])["datasets"]
    path = benchmark if rng.random() < 0.5 else cards / f"{pick(rng, used)}.yaml"
    what, data = _spoil(rng, path.read_text(encoding="utf-8"))
    path.write_bytes(data)

    def check() -> str:
        if path != benchmark:
            card = load_card(path)
            if type(card).model_validate(card.model_dump(mode="json")) != card:
                raise WrongError("a card that is another one when it is written and read again")
        read = load_benchmark(benchmark)
        if Benchmark.model_validate(read.model_dump(mode="json", by_alias=True)) != read:
            raise WrongError("a benchmark that is another one when it is written and read again")
        plan = _plan(read, cards)
        if list(_plan(read, cards).jobs) != list(plan.jobs):
            raise WrongError("another plan at the second time")
        return "a plan"

    return f"{path.stem}: {what}", check


def _spoil(rng: Rng, text: str) -> tuple[str, bytes]:
    how = int(rng.integers(12))
    if how < 4:
        what, tree = turned_over(rng, yaml.safe_load(text))
        return what, _dumped(tree)
    if how < 7:
        return _another_number(rng, yaml.safe_load(text))
    if how < 8:
        return corrupted(rng, text.encode())
    if how < 10:
        return _lines(rng, text)
    if how < 11:
        if rng.random() < 0.2:
            return "a bomb", _with_bomb(rng, text)
        odd = pick(rng, TEXTS)
        whole = pick(rng, (odd, f"{text}\n{odd}", f"{odd}\n{text}"))
        return f"with {odd[:30]!r}", whole.encode()
    encoding = pick(rng, ("utf-16", "utf-8-sig", "utf-32", "latin-1"))
    return encoding, text.replace("#", "# \u00e9").encode(encoding, "replace")


def _with_bomb(rng: Rng, text: str) -> bytes:
    """The text with a value in it that holds a thousand million values, by aliases of aliases."""
    tree = yaml.safe_load(text)
    value: Any = pick(rng, ("x", 1, 1.5, {"a": 1}))
    for _ in range(9):
        value = [value] * 10
    if "strategies" not in tree and "datasets" in tree:
        tree["strategies"] = {"gd": {"x": 1}}
        tree["methods"][0] = {"name": "x", "set": {"pretrain_global.steps": 1}}
    inside, key = pick(rng, [(i, k) for i, k in places(tree) if not isinstance(k, str) or k not in ("kind", "name")])
    inside[key] = {"a": value} if isinstance(inside[key], dict) else value
    return yaml.dump(tree).encode()


def _dumped(tree: Any) -> bytes:
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def _another_number(rng: Rng, tree: Any) -> tuple[str, bytes]:
    """A number, wherever there is one, as another one: most of what is wrong with a configuration is."""
    places = [(inside, key) for inside, key in _numbers(tree)]
    inside, key = pick(rng, places)
    value = pick(rng, NUMBERS)
    if isinstance(inside[key], int | float) and rng.random() < 0.3:
        value = inside[key] + pick(rng, (-1, 1, 7, -0.5))
    inside[key] = value
    extra = pick(rng, ({}, {}, {"pool": "30%"}, {"upper_bound": False}, {"hardware": {"gpus": [0, "GPU-x"]}}))
    return f"{key} = {value!r}", _dumped({**tree, **extra})


def _numbers(tree: Any) -> Any:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        if isinstance(tree[key], int | float):
            yield tree, key
        yield from _numbers(tree[key])


def _lines(rng: Rng, text: str) -> tuple[str, bytes]:
    lines = text.split("\n")
    at = int(rng.integers(len(lines)))
    line = lines[at]
    changes = {
        "out": [],
        "twice": [line, line],
        "tab": [f"\t{line}"],
        "indented": [f"   {line}"],
        "anchored": [line.replace(": ", ": &x ", 1)],
        "swapped": [*lines[at + 1 : at + 2], line],
        "unquoted": [line.replace("'", "").replace("[", "")],
    }
    what = pick(rng, list(changes))
    new = changes[what]
    return f"line {at + 1} {what}", "\n".join([*lines[:at], *new, *lines[at + 1 :]]).encode()
