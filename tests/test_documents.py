"""Every reference in code and documents leads to something in the repository, and what documents repeat is what the code says."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from glocalrun.plans import plan_of
from glocalseg.config.benchmark import load_benchmark, parse_benchmark
from glocalseg.config.settings import Settings
from glocalseg.data.cards.card import load_cards
from glocalseg.methods.catalogue import regimes, strategies
from glocalseg.plan.make import make_plan

HERE = Path(__file__).resolve().parents[1]
LIBRARY = HERE / "src" / "glocalseg"
SEARCHED = ("src", "tests", "workflow", "benchmarks", "docs", "config", "envs", "profiles")
ALONE = (
    "README.md",
    "Makefile",
    "Snakefile",
    "dvc.yaml",
    "pipelines.yaml",
    "pyproject.toml",
    ".snakemake-workflow-catalog.yml",
)
TEXTS = (".py", ".md", ".smk", ".yaml", ".yml", ".html", ".toml", "")
GUIDES = ("adding-a-dataset.md", "adding-a-strategy.md")  # name files that a reader is to write; tests of their own run them
SECTION = r"\d+(?:\.\d+)*"


@cache
def texts() -> dict[str, str]:
    """Every text of the repository that a person may read, on one line each: comment signs and line breaks taken out."""
    paths = [HERE / name for name in ALONE]
    for folder in SEARCHED:
        paths += [p for p in sorted((HERE / folder).rglob("*")) if p.suffix in TEXTS and "__pycache__" not in p.parts]
    found = {p.relative_to(HERE).as_posix(): p.read_text(encoding="utf-8") for p in paths if p.is_file()}
    return {name: re.sub(r"\s*\n\s*(#:? )?", " ", text) for name, text in found.items() if "egg-info" not in name}


def others() -> Iterator[tuple[str, str]]:
    """The texts without this one, which spells out what it looks for."""
    yield from ((name, text) for name, text in texts().items() if name != Path(__file__).relative_to(HERE).as_posix())


def method() -> str:
    return (HERE / "docs" / "method.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------- references


def test_pages_that_are_named_exist() -> None:
    """``docs/x.md``, and names in capitals; a name in small letters alone may be a file that the code writes."""
    missing = []
    for name, text in others():
        for page in set(re.findall(r"(?:[\w.-]+/)*[\w-]+\.md\b", text)):
            wanted = "/" in page or page.isupper() or re.match(r"[A-Z_]+\.md$", page)
            there = [HERE / page, (HERE / name).parent / page, HERE / "docs" / page]
            if wanted and "results" not in page and "tables" not in page and not any(p.exists() for p in there):
                missing.append(f"{name}: {page}")
    assert not missing


def test_nothing_outside_is_named() -> None:
    """Notes that are not in the repository, by their names in capitals."""
    assert not [
        f"{name}: {w}" for name, text in others() for w in re.findall(r"\b(?:FINDINGS|REDESIGN|METHODS_MORE)\b", text)
    ]


def test_sections_that_are_named_exist() -> None:
    """``docs/method.md 2.2.1, 4.4 and 5``; the third number is an item of the section's list."""
    there = sections()
    pattern = re.compile(rf"\bmethod\.md(?:\)|``?)?,? (?:sections? )?({SECTION}(?:(?:, | and )(?:section )?{SECTION})*)")
    named = [(name, s) for name, text in others() for found in pattern.findall(text) for s in re.findall(SECTION, found)]
    assert len(named) > 40
    assert not [f"{name}: docs/method.md {section}" for name, section in named if section not in there]


def sections() -> set[str]:
    """Numbers of the sections of docs/method.md, and of the items of their numbered lists."""
    found: set[str] = set()
    section = ""
    for line in method().splitlines():
        if heading := re.match(rf"##+ ({SECTION})\.? ", line):
            section = heading[1]
            found.add(section)
        elif item := re.match(r"(\d+)\. ", line):
            found.add(f"{section}.{item[1]}")
    return found


def test_differences_that_are_named_have_a_row() -> None:
    rows = set(re.findall(r"^\| (D\d+) \|", method(), re.MULTILINE))
    assert rows == {f"D{i}" for i in range(1, 27)}
    assert not [f"{name}: {d}" for name, text in others() for d in re.findall(r"\bD\d{1,2}\b", text) if d not in rows]


@pytest.mark.parametrize(
    "page", ["docs/method.md", "docs/reproducing-the-paper.md", "docs/decisions.md", "config/README.md"]
)
def test_settings_that_are_named_exist(page: str) -> None:
    sections = "|".join(Settings.model_fields)
    named = set(re.findall(rf"\b((?:{sections})(?:\.\w+)+)\b(?!/)", texts()[page]))
    assert named or page == "docs/decisions.md"
    assert not [path for path in named if not setting(path)]


def setting(path: str) -> bool:
    """Whether a dotted path names a setting, or an option of a strategy or regime."""
    first, *rest = path.split(".")
    methods = {"strategies": strategies, "regimes": regimes}
    kind: Any = Settings
    if first in methods:
        name, *rest = rest
        if name not in methods[first]():
            return False
        kind = methods[first]()[name].option_class()
    else:
        rest = [first, *rest]
    for part in rest:
        if part not in getattr(kind, "model_fields", {}):
            return False
        kind = kind.model_fields[part].annotation
    return True


def test_files_and_modules_that_pages_name_exist() -> None:
    """In backticks: paths of the repository or below the library, and dotted modules."""
    missing = []
    for name, text in texts().items():
        if not name.endswith(".md") or name.rpartition("/")[2] in GUIDES:
            continue
        for token in set(re.findall(r"`([^`]+)`", text.replace("```", ""))):
            roots = (HERE, LIBRARY, HERE / "src", (HERE / name).parent)
            ours = re.fullmatch(r"(?:src|tests|docs|workflow|envs|profiles|benchmarks)(?:/[\w.-]+)+", token)
            if (ours or re.fullmatch(r"(?:\w+/)+\w+\.(?:py|smk)", token)) and not any((r / token).exists() for r in roots):
                missing.append(f"{name}: {token}")
            if re.fullmatch(r"glocal(?:seg|run)(?:\.\w+)+", token) and not importable(token):
                missing.append(f"{name}: {token}")
    assert not missing


def importable(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    path = HERE.joinpath("src", *dotted.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent.with_suffix(".py")
    return module.is_file() and re.search(rf"\b{path.name}\b", module.read_text(encoding="utf-8")) is not None


# ---------------------------------------------------------------- the map


def drawn() -> dict[str, set[str]]:
    """The arrows of docs/architecture.md: what each room may import."""
    text = (HERE / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(\w+) +->(.*)$", text, re.MULTILINE)
    return {room: {name.strip() for name in others.split(",") if name.strip()} for room, others in lines}


def test_imports_follow_the_arrows_of_the_map() -> None:
    found: dict[str, set[str]] = {p.name: set() for p in LIBRARY.iterdir() if (p / "__init__.py").is_file()}
    for path in LIBRARY.rglob("*.py"):
        room = path.relative_to(LIBRARY).parts[0]
        for module in imported(path):
            assert not module.startswith(("glocalrun", "snakemake", "dvc")), f"{path}: imports {module}"
            other = module.split(".")[1] if module.startswith("glocalseg.") else room
            if other != room:
                found[room].add(other)
    arrows = drawn()
    assert found.keys() == arrows.keys()
    assert not {room: more for room, others in found.items() if (more := others - arrows[room])}
    assert list(TopologicalSorter(arrows).static_order())  # raises where arrows form a circle


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_room_has_more_than_nine_doors() -> None:
    crowded = {}
    for room in [HERE / "src" / "glocalrun", *(p.parent for p in sorted(LIBRARY.glob("*/**/__init__.py")))]:
        doors = {p.stem for p in room.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()} - {
            "__init__",
            "__main__",
        }
        if len(doors) > 9:
            crowded[room.relative_to(HERE).as_posix()] = sorted(doors)
    assert not crowded


# ---------------------------------------------------------------- generated files


def test_generated_files_are_up_to_date() -> None:
    """docs/methods.md, README's table, the schemas, envs/environment.yaml: `make docs` writes them."""
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}make docs writes them"


@pytest.mark.parametrize(
    ("folder", "schema"), [("config", "benchmark"), ("config/datasets", "card"), ("config/weights", "weights")]
)
def test_editors_accept_what_is_here_and_refuse_what_is_wrong(folder: str, schema: str) -> None:
    path = HERE / "config" / "schemas" / f"{schema}.json"
    validator = jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
    files = sorted((HERE / folder).glob("*.yaml"))
    assert len(files) >= 3
    for file in files:
        text = file.read_text(encoding="utf-8")
        value = json.loads(json.dumps(yaml.safe_load(text)))  # keys are texts in JSON
        assert not list(validator.iter_errors(value)), file
        assert list(validator.iter_errors({**value, "nmae": "x"})), file
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
        assert named is not None, f"{file}: expected the schema in the first line"
        assert (file.parent / named[1]).resolve() == path


def test_every_benchmark_is_named_where_benchmarks_are_explained() -> None:
    page = (HERE / "config" / "README.md").read_text(encoding="utf-8")
    assert not [p.name for p in (HERE / "config").glob("*.yaml") if f"`{p.name}`" not in page]


def test_the_papers_page_has_every_row_and_counts_the_jobs() -> None:
    page = texts()["docs/reproducing-the-paper.md"]
    benchmark, cards = load_benchmark(HERE / "config" / "paper.yaml"), HERE / "config" / "datasets"
    assert not [method.id for method in benchmark.methods if f"| `{method.id}` |" not in page]
    plan = make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards)
    counts = {phase: f"{len(plan.of(phase)):,}" for phase in ("finetune", "pretrain_global", "pretrain_local", "diagnose")}
    assert (
        "{finetune} fine-tunings and as many scores, {pretrain_global} global and {pretrain_local} local pretrainings, ".format(
            **counts
        )
        + f"{counts['diagnose']} diagnoses"
        in page
    )
    jobs = sum(len(plan.of(phase)) for phase in (*counts, "score"))
    cluster = texts()["docs/cluster.md"]
    assert f"{counts['finetune']} fine-tunings of" in cluster
    assert f"{jobs:,} jobs' start-ups" in cluster


def test_the_table_of_benchmarks_says_how_many_runs_each_has() -> None:
    page = (HERE / "config" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)\.yaml` \|.*\| (\d+) \| (none|\d+, \d+) \|$", page, re.MULTILINE)
    assert {name for name, *_ in rows} == {path.stem for path in (HERE / "config").glob("*.yaml")}
    for name, finetunings, pretrainings in rows:
        plan = plan_of(HERE / "config" / f"{name}.yaml")
        counts = [len(plan.of(phase)) for phase in ("finetune", "pretrain_global", "pretrain_local")]
        found = [int(finetunings), *([0, 0] if pretrainings == "none" else map(int, pretrainings.split(", ")))]
        assert found == counts, name


@pytest.mark.parametrize("page", ["config/README.md", "docs/reproducing-the-paper.md"])
def test_methods_that_pages_show_can_be_planned(page: str) -> None:
    """Each block as it stands, in the place of what the quick benchmark has; every override makes another fine-tuning."""
    blocks = re.findall(r"```yaml\n(.*?)```", (HERE / page).read_text(encoding="utf-8"), re.DOTALL)
    shown = [yaml.safe_load(block) for block in blocks]
    assert shown
    for block in shown:
        raw = yaml.safe_load((HERE / "config" / "quick.yaml").read_text(encoding="utf-8"))
        benchmark = parse_benchmark({**raw, **(block if isinstance(block, dict) else {"methods": block})}, where=page)
        plan = make_plan(
            benchmark, load_cards(["phantom"], HERE / "config" / "datasets"), lock_folder=HERE / "config" / "datasets"
        )
        named = {(job.name, job.repeat) for job in plan.of("finetune") if job.budget != "all"}
        assert named == set(product([method.id for method in benchmark.methods], benchmark.all_repeats))


def test_rules_name_an_environment_that_exists() -> None:
    named = {e for name, text in texts().items() if name.endswith(".smk") for e in re.findall(r"envs/[\w.-]+", text)}
    assert named <= {f"envs/{p.name}" for p in (HERE / "envs").iterdir()}
