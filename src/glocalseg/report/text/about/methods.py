"""What the methods of a benchmark are, what they have in common, and where they come from: from their own files."""

from __future__ import annotations

from collections.abc import Mapping

from glocalseg.config.benchmark import RANDOM, SUPERVISED, Benchmark, Method
from glocalseg.methods.catalogue import Entry, regimes, strategies, untrained
from glocalseg.plan.bought import Bought
from glocalseg.report.text.about.bought import started_from
from glocalseg.report.text.fact import Fact, listed
from glocalseg.report.text.names import display


def methods(b: Benchmark, bought: Mapping[str, Bought] | None = None) -> list[Fact]:
    """Each method's display name, what it is made of and sets itself, what that does, and what is bought in of it."""
    return [Fact(display(m.id), " ".join(_sentences(m, started_from(m, b, bought or {})))) for m in b.methods]


def parts(method: Method) -> list[Entry]:
    """The strategies of a method, and its regime, or control without training, if that is not the plain one."""
    found = [strategies()[name] for name in (method.global_, method.local) if name]
    return found if method.regime == SUPERVISED else [*found, {**regimes(), **untrained()}[method.regime]]


def _sentences(method: Method, start: str) -> list[str]:
    """What is said of a method; ``start`` of its bought-in weights, empty where they are random."""
    own = parts(method)
    if method.regime in untrained():
        said = ["No network and no training."]
    else:
        said = [start] if start else [] if method.global_ else ["Random weights; no pretraining."]
    if method.name or len(own) > 1 or said:
        said += [f"{entry.symbol}: {entry.sentence}" for entry in own]
    else:
        said += [entry.sentence[:1].upper() + entry.sentence[1:] for entry in own]
    changed = ", ".join(f"{path} {value}" for path, value in method.set_.items())
    if method.name:
        made = display(method.chain)
        if start and not method.global_:
            made = made.replace(display(RANDOM), "Bought-in weights", 1)
        said.insert(0, f"{made}{f' with {changed}' if changed else ''}.")
    if method.other_seeds:
        said.insert(0, "Control: the same once more with other seeds, so that what comes out is what chance alone gives.")
    elif is_control(method):
        said.insert(0, "Control.")
    return said


def is_control(method: Method) -> bool:
    """Whether a method is there for others to be held against: declared as such, with other seeds, or without training."""
    return method.control or method.other_seeds or method.regime in untrained()


def sources(b: Benchmark) -> list[Fact]:
    """Where the strategies and regimes of a benchmark come from; those of one source together."""
    found: dict[str, list[str]] = {}
    for entry in {part.name: part for method in b.methods for part in parts(method)}.values():
        if entry.source:
            found.setdefault(entry.source, []).append(entry.symbol)
    return [Fact(listed(symbols), source) for source, symbols in found.items()]


def what_differs(b: Benchmark) -> str:
    """What the methods have in common and what not, in one or two sentences."""
    changed = {path.split(".")[0] for method in b.methods for path in method.set_}
    bare = {method.regime: method for method in b.methods if method.regime in untrained()}
    other = list(dict.fromkeys(m.regime for m in b.methods if m.regime != SUPERVISED and m.regime not in bare))
    net = "a network" if "network" in changed else "the same network"
    same = "" if changed & {"finetune", "regimes", "threads"} or other else " with the same settings"
    bought = any(b.settings(method).network.weights for method in b.methods)
    weights = "the weights that it starts from"
    differ = [
        *([weights] if bought or any(method.global_ for method in b.methods) else []),
        *([f"what it does with the slices ({listed([regimes()[name].symbol for name in other])})"] if other else []),
        *(["settings that single methods change, named with each"] if changed else []),
    ]
    beside = f" {listed([untrained()[name].symbol for name in bare])}: a control that trains no network." if bare else ""
    common = f"Every {'other ' if bare else ''}method fine-tunes {net} on the same labelled volumes{same}"
    if differ == [weights]:
        return f"{common}; only {weights} differ.{beside}"
    return (f"{common}. What differs: {listed(differ)}." if differ else f"{common}.") + beside


def uses(b: Benchmark, path: str) -> list[Method]:
    """The methods that read a setting, named by its dotted path, at all."""
    section, _, rest = path.partition(".")
    level = {"pretrain_global": "global_", "pretrain_local": "local"}.get(section)
    if level is None:
        return [method for method in b.methods if method.regime not in untrained()]
    return [method for method in b.methods if (name := getattr(method, level)) and reads(strategies()[name], rest)]


def reads(entry: Entry, path: str) -> bool:
    """Whether a strategy reads a setting of pretraining, named by its dotted path: ``views.crop``."""
    return not any(path == unread or path.startswith(f"{unread}.") for unread in entry.unread)
