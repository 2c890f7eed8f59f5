"""What is said of rows that start from bought-in weights: which they are, under which licence, what they may have seen."""

from __future__ import annotations

from collections.abc import Mapping

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.methods.catalogue import untrained
from glocalseg.plan.bought import Bought
from glocalseg.report.text.fact import Fact, listed
from glocalseg.report.text.names import display

UNKNOWN = "a file without a card: nobody says its licence, or what it has seen"


def weights_of(method: Method, b: Benchmark) -> str | None:
    """The bought-in weights that a method starts from: the name of a card, or the path of a file; None for random ones."""
    return None if method.regime in untrained() else b.settings(method).network.weights


def users(b: Benchmark) -> dict[str, list[str]]:
    """The methods, by id, of each bought-in weights."""
    found: dict[str, list[str]] = {}
    for method in b.methods:
        if name := weights_of(method, b):
            found.setdefault(name, []).append(method.id)
    return found


def started_from(method: Method, b: Benchmark, bought: Mapping[str, Bought]) -> str:
    """What a method's encoder starts from, where that is bought in; empty otherwise."""
    name = weights_of(method, b)
    if name is None:
        return ""
    if name not in bought:
        return f"Weights bought in: {UNKNOWN}."
    card = bought[name].card
    return f"Weights bought in: {card.title}; licence: {card.licence}. {card.may_have_seen}"


def short(name: str, bought: Mapping[str, Bought]) -> str:
    """What stands beside the name of a row: ``bought-in weights, Apache-2.0``."""
    return f"bought-in weights, {bought[name].card.licence if name in bought else 'licence unknown'}"


def footnote(b: Benchmark, bought: Mapping[str, Bought]) -> str:
    """What a table's caption says of its rows with bought-in weights; empty where there are none."""
    said = []
    for name, methods in users(b).items():
        own = bought.get(name)
        seen = f"{own.card.title}, licence: {own.card.licence}. {own.card.may_have_seen}" if own else f"{UNKNOWN}."
        said.append(
            f"{listed([display(m) for m in methods])} start{'s' if len(methods) == 1 else ''} from bought-in weights: {seen}"
        )
    return " ".join(said)


def bought_in(b: Benchmark, bought: Mapping[str, Bought]) -> list[Fact]:
    """Each bought-in weights in full: what they are, their licence, what they may have seen, which bytes, how to cite them."""
    facts = []
    for name in users(b):
        if (own := bought.get(name)) is None:
            facts.append(Fact("Bought-in weights", UNKNOWN))
            continue
        c = own.card
        grey = ", ".join(f"{value:.4g}" for value in c.input.grey)
        facts.append(
            Fact(
                f"Bought-in weights: {c.title}",
                f"{c.summary} {c.may_have_seen} Licence: {c.licence}. Network: {c.model}. Mean and standard deviation of a grey "
                f"image: {grey}. sha256: {own.sha256 or 'not known'}. {'; '.join(c.citation)}",
            )
        )
    return facts
