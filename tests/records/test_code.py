"""Which modules a digest is of, and which never shape a number."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from glocalseg import records
from glocalseg.plan.entries import TIMM, code_of, digest_of, entries, modules_of
from glocalseg.records import code
from glocalseg.records.code import NOT_SCIENCE, ROOT, closure, code_digest, module_path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of our name in which a test may write modules."""
    root = tmp_path / code.PACKAGE
    monkeypatch.setattr(code, "ROOT", root)
    forget()
    yield root
    monkeypatch.undo()
    forget()


def forget() -> None:
    for function in (code._digest_of, code.closure, code._imports, code._look, code._reader):
        function.cache_clear()


def write(root: Path, **modules: str) -> None:
    """Modules by dotted name, dots written as two underscores."""
    for name, text in modules.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        for folder in [path.parent, *path.parent.relative_to(root).parents]:
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    forget()


def of(*names: str) -> set[str]:
    """The closure of modules of the package, without its name and without packages."""
    found = {name.removeprefix(f"{code.PACKAGE}.") for name in closure(*(f"{code.PACKAGE}.{name}" for name in names))}
    return {name for name in found if module_path(f"{code.PACKAGE}.{name}").stem != "__init__"}


# ---------------------------------------------------------------- remembering


def test_what_is_remembered_is_what_would_be_found_and_nothing_is_looked_at_twice(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "state" / "code.json"
    memory.parent.mkdir()
    write(package, a__entry="from glocalseg.a import other\nx = 1", a__other="y = 2")
    monkeypatch.setattr(code, "_KNOWN", {})
    with code.remembering(memory):
        first = code_digest("glocalseg.a.entry")
    monkeypatch.setattr(code, "_KNOWN", {})
    forget()
    with code.remembering(memory), monkeypatch.context() as patched:
        patched.setattr(code.ast, "parse", lambda *_: pytest.fail("looked at again"))
        assert code_digest("glocalseg.a.entry") == first
    write(package, a__other="y = 3")
    with code.remembering(memory):
        assert code_digest("glocalseg.a.entry") != first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": ["b"]}', "null"])
def test_a_memory_that_cannot_be_read_is_done_without(package: Path, tmp_path: Path, text: str) -> None:
    write(package, a__entry="x = 1")
    expected = code_digest("glocalseg.a.entry")
    (tmp_path / "code.json").write_text(text, encoding="utf-8")
    forget()
    with code.remembering(tmp_path / "code.json"):
        assert code_digest("glocalseg.a.entry") == expected


# ---------------------------------------------------------------- imports


@pytest.mark.parametrize(
    "statement",
    [
        "import glocalseg.a.other",
        "import glocalseg.a.other as o",
        "from glocalseg.a import other",
        "from glocalseg.a.other import thing",
        "from . import other",
        "from .other import thing",
        "from ..a.other import thing",
        "def f():\n    from glocalseg.a.other import thing",
        "try:\n    from glocalseg.a import other\nexcept ImportError:\n    pass",
    ],
)
def test_every_kind_of_import_is_seen(package: Path, statement: str) -> None:
    write(package, a__entry=statement, a__other="import json")
    assert of("a.entry") == {"a.entry", "a.other"}


def test_what_only_a_type_checker_imports_is_not_part(package: Path) -> None:
    write(package, a__entry="if TYPE_CHECKING:\n    from glocalseg.a import other\n", a__other="x = 1")
    assert of("a.entry") == {"a.entry"}


def test_a_package_counts_where_it_says_something(package: Path) -> None:
    write(package, a__entry="x = 1", a__b__c="from glocalseg.a import entry")
    before = code_digest("glocalseg.a.b.c")
    (package / "a" / "__init__.py").write_text('"""Words."""\n', encoding="utf-8")
    forget()
    assert code_digest("glocalseg.a.b.c") == before
    (package / "a" / "__init__.py").write_text("import os\n", encoding="utf-8")
    forget()
    assert code_digest("glocalseg.a.b.c") != before


def test_a_digest_changes_with_any_module_of_its_closure_and_with_no_other(package: Path) -> None:
    write(package, a="from glocalseg import b", b="from glocalseg import a\nx = 1", c="x = 1")
    before = code_digest("glocalseg.a")
    write(package, c="x = 2")
    assert code_digest("glocalseg.a") == before
    write(package, b="from glocalseg import a\nx = 2")
    assert code_digest("glocalseg.a") != before


def test_a_module_that_there_is_not_is_an_error(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"glocalseg\.nowhere: expected a module below"):
        code_digest("glocalseg.nowhere")


# ---------------------------------------------------------------- what there is


def test_the_closure_holds_what_is_imported_and_nothing_else() -> None:
    found = closure("glocalseg.stages.finetune")
    assert {"glocalseg.stages.finetune", "glocalseg.stages.opening", "glocalseg.data.slices.store"} <= found
    strange = ("glocalseg.report", "glocalseg.plan", "glocalseg.methods.pretraining.encoder.", "glocalseg.data.acquire")
    assert not any(name.startswith(strange) for name in found)
    assert not found & NOT_SCIENCE


def test_each_entry_stands_on_its_own_method_and_on_no_other() -> None:
    methods = [e for e in entries() if "/" in e and not e.endswith(TIMM)]
    own = {entry: modules_of(entry)[-1] for entry in methods}
    for entry in methods:
        below = closure(*modules_of(entry))
        assert own[entry] in below
        others = {name for other, name in own.items() if other != entry} - _imported_by(own[entry])
        assert not below & others, entry


def _imported_by(module: str) -> set[str]:
    return set(closure(module)) - {module}


def test_an_encoder_of_timm_is_part_of_the_code_only_where_it_is_used() -> None:
    module = "glocalseg.networks.timm_encoder"
    for entry in entries():
        assert (module in closure(*modules_of(entry))) == entry.endswith(TIMM), entry


def test_an_entry_that_there_is_not() -> None:
    for name in ("nothing", "pretrain/nothing", "finetune/nothing"):
        with pytest.raises(KeyError):
            digest_of(name)
    assert code_of("score")


def test_what_is_no_science_is_there_and_imports_no_science() -> None:
    for name in NOT_SCIENCE:
        tree = ast.parse(module_path(name).read_text(encoding="utf-8"))
        assert not {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)} & {"numpy", "scipy"}, name


def test_configuration_computes_nothing_that_no_key_holds() -> None:
    tree = ast.parse(module_path("glocalseg.config.settings").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]


def test_modules_that_import_by_name_are_known() -> None:
    """Whatever they import has to be an entry of its own (plan.entries), because the closure does not see it."""
    calls = ("import_module(", "__import__(", "spec_from_file_location(", "find_spec(")
    found = {
        p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if any(c in p.read_text(encoding="utf-8") for c in calls)
    }
    assert (
        found
        == {
            "config/kinds.py",  # readers and sources: by a card's kind
            "data/draft/layout.py",  # a reader, for what its docstring says
            "methods/catalogue.py",  # strategies and regimes
            "networks/build.py",  # timm_encoder
            "networks/timm_encoder.py",  # torchvision
        }
        | {"records/code.py"} & found
    )


def test_no_phase_knows_snakemake_the_environment_or_the_working_directory() -> None:
    words = ("snakemake.", "os.environ", "os.getenv", "Path.cwd", "os.getcwd", "import snakemake")
    texts = {p.name: p.read_text(encoding="utf-8") for p in ROOT.rglob("*.py")}
    assert [(name, w) for name, text in texts.items() for w in words if w in text] == []


def test_it_is_this_checkouts_code() -> None:
    assert Path(records.__path__[0]).parent == ROOT
    assert shutil.which("git") is None or (ROOT.parents[1] / "pyproject.toml").is_file()
