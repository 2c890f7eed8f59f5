"""The entries of code: on which modules the key of a job stands, those included that are imported by name as it runs.

``data``, ``phantom``, ``pretrain/gd``, ``diagnose``, ``finetune/mixup``, ``untrained/atlas``, ``score``, ``report``; with
``+timm`` what trains or looks at another encoder than the U-Net. ``features+timm`` is what heads on frozen features start from;
these have no network of their own, and are never called with ``+timm``.
"""

from __future__ import annotations

from functools import cache

from glocalseg.methods.catalogue import regimes, strategies, untrained
from glocalseg.records.code import PACKAGE, code_digest
from glocalseg.records.generations import generation

TIMM = "+timm"  # an encoder of timm is imported by name, see networks.build


@cache
def code_of(entry: str) -> str:
    """What stands for an entry's code in keys: its generation."""
    return generation(entry, digest_of(entry))


def digest_of(entry: str) -> str:
    """The digest of an entry's code. Raises KeyError for an entry that there is not."""
    return code_digest(*modules_of(entry))


def modules_of(entry: str) -> tuple[str, ...]:
    """The modules that an entry stands on, with all that they import. Raises KeyError for an entry that there is not."""
    name, timm, _ = entry.partition(TIMM)
    phase, _, kind = name.partition("/")
    match phase:
        case "data":
            modules = [f"{PACKAGE}.data.slices.prepare"]
        case "phantom":
            modules = [f"{PACKAGE}.data.phantom.generate"]
        case "pretrain":
            modules = [f"{PACKAGE}.stages.pretrain", strategies()[kind].module]
        case "finetune":
            stage = "frozen.head" if regimes()[kind].frozen else "finetune"
            modules = [f"{PACKAGE}.stages.{stage}", regimes()[kind].module]
        case "features":
            modules = [f"{PACKAGE}.stages.frozen.features"]
        case "untrained":
            modules = [f"{PACKAGE}.stages.untrained", untrained()[kind].module]
        case "diagnose" | "score":
            modules = [f"{PACKAGE}.stages.{phase}"]
        case "report":
            modules = [f"{PACKAGE}.report.build"]
        case _:
            raise KeyError(entry)
    return (*modules, f"{PACKAGE}.networks.timm_encoder") if timm else tuple(modules)


def entries() -> list[str]:
    """All entries that shape numbers: all but the report."""
    tuned = {frozen: [f"finetune/{name}" for name, e in regimes().items() if e.frozen == frozen] for frozen in (False, True)}
    trained = [*(f"pretrain/{name}" for name in strategies()), "diagnose", *tuned[False]]
    unet = {f"pretrain/{name}" for name, entry in strategies().items() if entry.unet_only}
    bare = [f"untrained/{name}" for name in untrained()]
    on_timm = [f"{name}{TIMM}" for name in (*trained, "features") if name not in unet]
    return ["data", "phantom", *trained, *on_timm, *tuned[True], *bare, "score"]
