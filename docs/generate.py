"""Write what the repository says twice: the method pages, the JSON schemas, the conda environment. Each has its source elsewhere.

``make docs`` writes the files; ``--check`` names those that are not what they would be, and fails if there is one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from glocalseg.config.benchmark import Benchmark
from glocalseg.config.model import Model
from glocalseg.data.cards.card import Card
from glocalseg.methods.catalogue import Entry, regimes, strategies, untrained
from glocalseg.report.text.names import markdown
from glocalseg.weights.card import WeightsCard

HERE = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- written by make docs from the methods' own files -->", "<!-- end -->"
PARTS = {"encoder": "the encoder", "decoder": "the first decoder blocks", "network": "encoder and decoder"}
LEVELS = {"encoder": "global", "decoder": "local", "network": "global", "": "regime"}
HEADINGS = {
    "encoder": "Pretraining of the encoder",
    "decoder": "Pretraining of the decoder, after that of an encoder",
    "network": "Pretraining of encoder and decoder at once",
}
REGIMES, CONTROLS = "Regimes of fine-tuning", "Controls that are not trained"
PAGE = """\
# The methods

A method is a line of a benchmark: a strategy of pretraining, perhaps a second one for the decoder, and a regime of
fine-tuning, as in `{global: gd, local: lr, regime: mixup}`. Each of them is one file, whose docstring says what stands
here; `make docs` writes this page from them. *Departures* are what differs from the source on purpose. D1 to D26 are the
rows of [method.md](method.md), section 9. A control that is not trained stands where a regime does.

What holds for all: network, optimiser (Adam), number of images a step (as near to it as whole slices, volumes and
partitions come) and precision are the benchmark's, the same for every method unless its line sets them otherwise.
Weights are drawn from each run's seed (D23). `random` is a line without a strategy.
"""
ENVIRONMENT = """\
# For `snakemake --software-deployment-method conda`, which nobody needs after `make setup`: what the jobs import, and no more.
# Written by `make docs`: the packages of pyproject.toml in the versions of requirements.lock.
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    args = parser.parse_args()
    stale = []
    for path, text in files():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.relative_to(HERE).as_posix())
            if not args.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name}: expected what make docs writes" if args.check else f"{name}: written")
    sys.exit(bool(args.check and stale))


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it is to hold."""
    yield HERE / "docs" / "methods.md", methods_page()
    readme = HERE / "README.md"
    yield readme, with_table(readme.read_text(encoding="utf-8"))
    yield HERE / "config" / "schemas" / "benchmark.json", as_json(benchmark_schema())
    yield HERE / "config" / "schemas" / "card.json", as_json(card_schema())
    yield HERE / "config" / "schemas" / "weights.json", as_json(weights_schema())
    yield HERE / "envs" / "environment.yaml", environment()


# ---------------------------------------------------------------- methods


def groups() -> dict[str, list[Entry]]:
    """Strategies by what they train, then regimes, then controls, by the heading of each."""
    found = {heading: [e for e in strategies().values() if e.part == part] for part, heading in HEADINGS.items()}
    return {**found, REGIMES: list(regimes().values()), CONTROLS: list(untrained().values())}


def entries() -> list[Entry]:
    """Everything that a line of a benchmark may name."""
    return [entry for group in groups().values() for entry in group]


def methods_page() -> str:
    """docs/methods.md."""
    said = [PAGE]
    for heading, group in groups().items():
        said += [f"## {heading}\n", *map(section, group)]
    return "\n".join(said)


def section(entry: Entry) -> str:
    """One method: what it does, its source, what it trains, its options and departures."""
    lines = [f"### `{entry.name}`: {markdown(entry.symbol)}", "", sentence(entry), "", f"- In a benchmark: `{use(entry)}`"]
    if entry.part:
        lines.append(f"- Trains and hands on: {PARTS[entry.part]}")
        if entry.unread:
            lines.append(f"- Does not read: {', '.join(f'`{name}`' for name in entry.unread)}")
    elif entry.name in untrained():
        lines.append("- Trains nothing, selects nothing: `finetune` and `network` are not read")
    else:
        lines.append(f"- Unlabelled slices: {'those of the pretraining list' if entry.unlabelled else 'none'}")
    lines += [f"- Option {option}" for option in options(entry.option_class())]
    lines += [f"- Diagnostic `{name}`: {markdown(said)}" for name, said in entry.diagnostics.items()]
    source = entry.source.replace("docs/method.md", "[method.md](method.md)")
    lines += [f"- Source: {source}", f"- File: `{entry.path.relative_to(HERE).as_posix()}`"]
    if entry.departures:
        lines += ["", "Departures:", "", *(f"- {markdown(text)}" for text in entry.departures)]
    return "\n".join([*lines, ""])


def sentence(entry: Entry) -> str:
    """What a method does, as a sentence of its own."""
    text = markdown(entry.sentence)
    return text[:1].upper() + text[1:]


def use(entry: Entry) -> str:
    """The part of a benchmark's line that names a method."""
    first = "global: <strategy>, " if entry.part == "decoder" else ""
    last = ", control: true" if entry.name in untrained() else ""
    return f"{{{first}{LEVELS[entry.part]}: {entry.name}{last}}}"


def options(method: type[Model]) -> Iterator[str]:
    """A method's options, from the fields of its class."""
    for name, schema in method.model_json_schema().get("properties", {}).items():
        described = f": {schema['description']}" if "description" in schema else ""
        default = schema.get("default")
        shown = f"{default:.4g}" if isinstance(default, float) else json.dumps(default)
        yield f"`{name}`, {kind(schema)}, `{shown}` by default{described}"


def kind(schema: dict[str, Any]) -> str:
    """The values that an option can have, in words."""
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    bounds = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "up to"}
    limits = [f"{word} {schema[key]:g}" for key, word in bounds.items() if key in schema]
    names = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "nothing",
        "string": "a text",
    }
    return " ".join([names.get(schema.get("type", ""), "a value"), ", ".join(limits)]).strip()


def with_table(readme: str) -> str:
    """README with the table of methods between its marks. Raises ValueError if they are not there."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md: expected {BEGIN} and {END}, found no such lines")
    rows = [
        "| in a line of a benchmark | called | what it does |",
        "|---|---|---|",
        "| `{}` | Random init | No pretraining. |",
    ]
    rows += [f"| `{use(e)}` | {markdown(e.symbol)} | {sentence(e)} |" for e in entries()]
    return "\n".join([before + begin, *rows, end + after])


# ---------------------------------------------------------------- schemas


def benchmark_schema() -> dict[str, Any]:
    """What an editor completes in a benchmark: the model's schema, with the methods and their options by name."""
    schema = for_editors(Benchmark, "A benchmark of glocalseg: config/README.md")
    line = schema["$defs"]["Method"]["properties"]
    levels: dict[str, list[str]] = {"global": [], "local": [], "regime": []}
    for entry in entries():
        levels[LEVELS[entry.part]].append(entry.name)
    for level, names in levels.items():
        line[level]["examples"] = sorted(names)
    schema["properties"]["strategies"]["properties"] = options_of(strategies())
    schema["properties"]["regimes"]["properties"] = options_of({**regimes(), **untrained()})
    return schema


def options_of(methods: dict[str, Entry]) -> dict[str, Any]:
    """The schema of each method's options."""
    return {name: {"description": entry.sentence, **bare(entry.option_class())} for name, entry in methods.items()}


def bare(method: type[Model]) -> dict[str, Any]:
    """The schema of a method's options without its class's name and docstring."""
    return {key: value for key, value in method.model_json_schema().items() if key != "description"}


def card_schema() -> dict[str, Any]:
    """What an editor completes in a dataset card."""
    return for_editors(Card, "A dataset card of glocalseg: docs/adding-a-dataset.md")


def weights_schema() -> dict[str, Any]:
    """What an editor completes in a card of bought-in weights."""
    return for_editors(WeightsCard, "A card of bought-in weights of glocalseg: docs/bought-in-encoders.md")


def for_editors(model: type[Model], title: str) -> dict[str, Any]:
    """A model's JSON schema in the words of a configuration file."""
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def without_titles(value: Any) -> Any:
    """A schema without the titles that pydantic makes of the names of fields; a field that is called so stays."""
    if isinstance(value, dict):
        return {key: without_titles(v) for key, v in value.items() if key != "title" or not isinstance(v, str)}
    return [without_titles(v) for v in value] if isinstance(value, list) else value


def as_json(schema: dict[str, Any]) -> str:
    """A schema as a file, its own title kept."""
    text = json.dumps({**without_titles(schema), "title": schema["title"]}, indent=1, ensure_ascii=False)
    return f"{text}\n"


# ---------------------------------------------------------------- conda


def environment() -> str:
    """envs/environment.yaml: the project's direct dependencies, pinned as in the lock file."""
    pins = dict(pin.split("==") for pin in lines(HERE / "requirements.lock", lambda line: "==" in line and line[0] != "#"))
    known = {normal(name): f"{name}=={version}" for name, version in pins.items()}
    wanted = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [normal(re.split(r"[<>=!~\[ ;]", requirement)[0]) for requirement in wanted]
    return ENVIRONMENT + "".join(f"      - {known[name]}\n" for name in sorted(names))


def lines(path: Path, keep: Callable[[str], bool]) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and keep(line)]


def normal(package: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()


if __name__ == "__main__":
    main()
