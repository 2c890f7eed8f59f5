"""The digest of a module's text: equal in every Python, blind to words, and to nothing else."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glocalseg.records.trees import canonical, numbers, tree_digest

HERE = Path(__file__).parent
SNIPPET = (HERE / "snippet.txt").read_text(encoding="utf-8")
# as Python 3.11, 3.12, 3.13 and 3.14 have it; whichever runs this test has to agree
RECORDED = "d0c9f0697b808b2a9a56678c9d391a8d17c8d354d4f681415898307a6d95621b"


# ---------------------------------------------------------------- every Python


def test_this_python_has_the_recorded_digest() -> None:
    assert tree_digest(SNIPPET) == RECORDED


def test_a_tree_as_a_newer_python_makes_it_is_the_same() -> None:
    text = (HERE / "snippet-3.14.txt").read_text(encoding="utf-8")  # every field of every node, by Python 3.14
    assert "type_params=[]" in text
    assert canonical(eval(text, {"__builtins__": {}}, _Nodes({"Ellipsis": ...}))) == canonical(ast.parse(SNIPPET))


class _Nodes(dict[str, Callable[..., ast.AST]]):
    """Makes of a node's name and fields, whatever they are, a node that has these fields."""

    def __missing__(self, name: str) -> Callable[..., ast.AST]:
        if not hasattr(ast, name):
            raise KeyError(name)
        base = getattr(ast, name)

        def make(**fields: Any) -> ast.AST:
            node: ast.AST = type(name, (base,), {"_fields": tuple(fields)})()
            for field, value in fields.items():
                setattr(node, field, value)
            return node

        return make


def test_what_is_printable_in_this_python_does_not_matter() -> None:
    assert canonical(ast.parse("'\U0001fae8'")) == canonical(ast.parse(r"'\U0001fae8'"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f'{a}' 'b' f'c{a}'", "f'{a}bc{a}'"),
        ("f'{a:}'", "f'{a:}'"),
        ("u'a'", "'a'"),
        ("(a)", "a"),
        ("1_000", "1000"),
        ("0x10", "16"),
    ],
)
def test_spelling_does_not_matter(one: str, other: str) -> None:
    assert tree_digest(one) == tree_digest(other)


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_differ_as_their_digests_do(one: str, other: str) -> None:
    assert (one == other) == (tree_digest(f"x = {one!a}") == tree_digest(f"x = {other!a}"))


# ---------------------------------------------------------------- words


FUNCTION = "def f(x, log):\n    y = x + 1\n    {}\n    return y\n"


@pytest.mark.parametrize(
    "words",
    [
        "# a comment",
        "print('done')",
        "print(f'{x:.3f}', len(x), file=sys.stderr, flush=True)",
        "print(file=sys.stdout)",
        "log.warning('%d of %s', y, x)",
        "warnings.warn('careful', stacklevel=2)",
        "logging.info(str(x))",
    ],
)
def test_statements_that_only_say_something_do_not_matter(words: str) -> None:
    assert (
        tree_digest(FUNCTION.format(words)) == tree_digest(FUNCTION.format("")) == tree_digest(FUNCTION.format("print(1)"))
    )


@pytest.mark.parametrize(
    "statement",
    [
        "print(y := 3)",
        "print(next(x))",
        "print(*x)",
        "print(', '.join(a for a in x))",
        "print([a for a in x])",
        "print(x.pop())",
        "print(x, file=rows)",
        "return print(x)",
        "x = print(y)",
        "print(x) or x.sort()",
        "log.warning(x.pop())",
        "x.warning('a')",
        "log.setLevel(1)",
        "np.log(x)",
        "y = x + 2",
    ],
)
def test_statements_that_may_do_something_matter(statement: str) -> None:
    assert tree_digest(FUNCTION.format(statement)) != tree_digest(FUNCTION.format(""))


def test_docstrings_do_not_matter_wherever_they_stand() -> None:
    plain = "class A:\n    x = 1\n\n    def f(self):\n        return 1\n\nasync def g():\n    pass\n"
    worded = (
        '"""Module."""\nclass A:\n    """Class."""\n    x = 1\n\n    def f(self):\n        """Method."""\n        return 1\n\n'
        'async def g():\n    """Function."""\n    pass\n'
    )
    assert tree_digest(plain) == tree_digest(worded)
    assert tree_digest("x = 1\n'said'\n") != tree_digest("x = 1\n'other'\n")  # no docstring: left alone


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise ValueError(f'{x} is wrong')", "raise ValueError('wrong', 3)"),
        ("raise ValueError(f'{x} is wrong') from None", "raise ValueError(str(x)) from None"),
        ("assert x, 'must be'", "assert x"),
        ("if x:\n    raise KeyError('a')", "if x:\n    raise KeyError('b')"),
    ],
)
def test_what_an_error_says_does_not_matter(one: str, other: str) -> None:
    assert tree_digest(one) == tree_digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise ValueError('a')", "raise KeyError('a')"),
        ("raise ValueError('a') from None", "raise ValueError('a') from e"),
        ("raise ValueError(x := 1)", "raise ValueError(x := 2)"),
        ("raise errors[0]", "raise errors[1]"),
        ("assert x, 'a'", "assert y, 'a'"),
        ("if x:\n    raise KeyError('a')", "if y:\n    raise KeyError('a')"),
        ("x = f'{a}'", "x = f'{a} '"),
        ("return_ = ValueError('a')", "return_ = ValueError('b')"),
    ],
)
def test_what_an_error_is_and_when_matters(one: str, other: str) -> None:
    assert tree_digest(one) != tree_digest(other)


def test_what_only_a_type_checker_runs_does_not_matter() -> None:
    guarded = "if TYPE_CHECKING:\n    import pandas\nx = 1\n"
    assert tree_digest(guarded) == tree_digest("x = 1\n")
    assert tree_digest(guarded.replace("x = 1", "else:\n    x = 2")) != tree_digest("")


# ---------------------------------------------------------------- everything else


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = None", "x = ..."),
        ("x = ''", "x = None"),
        ("x = 'a'", "x = b'a'"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = []", "x = ()"),
        ("f(a, b)", "f(b, a)"),
        ("f(a=1)", "f(b=1)"),
        ("f(*a)", "f(a)"),
        ("a + b", "a - b"),
        ("a < b", "a <= b"),
        ("def f(a=1): return a", "def f(a=2): return a"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("{**a}", "{a: a}"),
        ("for i in x: f()\nelse: g()", "for i in x: f(); g()"),
        ("x: int = 1", "x: float = 1"),
        ("import a", "import a as b"),
        ("from a import b", "from .a import b"),
    ],
)
def test_any_other_difference_matters(one: str, other: str) -> None:
    assert tree_digest(one) != tree_digest(other)


def test_the_numbers_of_a_text_are_those_that_no_error_says() -> None:
    source = '"""Of 7 words."""\nA = [40, 40, -1, 0.5, True, "8"]\nraise ValueError(9)\nprint(10)\n'
    assert sorted(numbers(source)) == ["0.5", "1", "40", "40"]
