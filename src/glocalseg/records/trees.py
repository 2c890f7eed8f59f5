"""A module's syntax tree in a form of our own: the same in every version of Python, and without words.

``ast.dump`` differs between versions. Left out is what is only read by people: comments, docstrings, what a raised error or a
failed assertion says, statements that print or log without doing anything else, and what only a type checker runs.
"""

from __future__ import annotations

import ast
from functools import cache
from itertools import groupby
from typing import Any

from glocalseg.records.digest import digest

LOGGERS = frozenset({"log", "logger", "logging", "warnings"})
SAYING = frozenset({"debug", "info", "warning", "error", "exception", "warn"})
# Calls in a printing statement that only look. Any other (next, pop, a draw) may change something, as using up a generator does.
LOOKING = frozenset({"abs", "float", "int", "len", "repr", "round", "str"})
ACTING = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
USING_UP = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Starred)


@cache
def tree_digest(source: str) -> str:
    """Digest of a module's text as ``canonical`` has it, without words. Raises SyntaxError."""
    return digest(canonical(without_words(ast.parse(source))))


def canonical(value: Any) -> Any:
    """A syntax tree as lists and texts that are the same in every version of Python that can read it.

    Fields that are None or empty are left out, because newer versions add such fields to old nodes; constants are in ASCII,
    because what counts as printable grows with Unicode; pieces of an f-string are joined, because versions cut them differently.
    """
    if isinstance(value, ast.Constant):  # its kind is the u of u"text"
        return ["Constant", ascii(value.value)]
    if isinstance(value, ast.JoinedStr):
        return ["JoinedStr", *_joined(value.values)]
    if isinstance(value, ast.AST):
        fields = ([name, canonical(v)] for name, v in ast.iter_fields(value) if v is not None and v != [])
        return [type(value).__name__, *fields]
    if isinstance(value, list):
        return [canonical(v) for v in value]
    return ascii(value)


def _joined(pieces: list[ast.expr]) -> list[Any]:
    """The pieces of an f-string: texts that follow one another as one, empty ones left out."""
    found: list[Any] = []
    for is_text, group in groupby(pieces, lambda piece: isinstance(piece, ast.Constant)):
        if not is_text:
            found += map(canonical, group)
        elif text := "".join(str(piece.value) for piece in group):  # type: ignore[attr-defined]
            found.append(canonical(ast.Constant(text)))
    return found


@cache
def numbers(source: str) -> tuple[str, ...]:
    """The numbers that stand in a module's text, words left out, as often as they do. Raises SyntaxError."""
    found = (node.value for node in ast.walk(without_words(ast.parse(source))) if isinstance(node, ast.Constant))
    return tuple(repr(value) for value in found if isinstance(value, int | float) and not isinstance(value, bool))


def without_words(tree: ast.Module) -> ast.Module:
    """The tree, changed in place, without what is only read by people."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_text(node.body[:1]):
            node.body = node.body[1:]
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [statement for statement in block if not _is_idle(statement)])
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and not _acts(node.exc):
            node.exc = node.exc.func
        if isinstance(node, ast.Assert):
            node.msg = None
    return tree


def _is_text(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(getattr(body[0].value, "value", None), str)


def _is_idle(statement: ast.stmt) -> bool:
    """True for a statement that does nothing but say something, or that only a type checker runs."""
    if isinstance(statement, ast.If) and isinstance(statement.test, ast.Name):
        return statement.test.id == "TYPE_CHECKING" and not statement.orelse
    return _only_says(statement)


def _only_says(statement: ast.stmt) -> bool:
    """True for a call of ``print`` to a terminal, of a logger or of ``warnings``, whose arguments do nothing."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    call = statement.value
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value
        says = call.func.attr in SAYING and isinstance(owner, ast.Name) and owner.id in LOGGERS
    else:
        to = [ast.unparse(k.value) for k in call.keywords if k.arg == "file"]
        says = isinstance(call.func, ast.Name) and call.func.id == "print" and to in ([], ["sys.stderr"], ["sys.stdout"])
    arguments = [*call.args, *(k.value for k in call.keywords)]
    return says and all(map(_only_looks, arguments))


def _acts(expression: ast.expr) -> bool:
    return any(isinstance(node, ACTING) for node in ast.walk(expression))


def _only_looks(expression: ast.expr) -> bool:
    """True if evaluating an expression can change nothing, as far as its text shows."""
    return not any(
        isinstance(node, ACTING + USING_UP)
        or (isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in LOOKING))
        for node in ast.walk(expression)
    )
