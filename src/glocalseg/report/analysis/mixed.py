"""Whether compared runs differ in precision or kind of device, which may shift scores by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from glocalseg.report.text.names import ALL, UPPER_BOUND

Devices = Mapping[tuple[str, str, str], str]  # by method, budget and repeat: "bfloat16 on cuda"


def devices_of(timings: pd.DataFrame, dataset: str) -> Devices:
    """Precision and kind of device of every fine-tuning of a data set that used one."""
    own = timings[(timings["dataset"] == dataset) & (timings["phase"] == "finetune")]
    return {
        (UPPER_BOUND if row["budget"] == ALL else row["method"], row["budget"], row["repeat"]):
            f"{row['precision']} on {row['kind']}"
        for row in own.to_dict("records") if row["precision"] and row["kind"]
    }  # fmt: skip


def mixed(devices: Devices, cell: tuple[str, str], other: tuple[str, str], repeats: Sequence[str]) -> str:
    """How the runs of two cells, paired by repeat, differ: ``3 of 10 pairs: bfloat16 on cuda against float32 on cpu``.

    Empty if they do not, or if one of the cells uses no device.
    """
    pairs = [(devices.get(_run(cell, r)), devices.get(_run(other, r))) for r in repeats]
    known = [(a, b) for a, b in pairs if a and b]
    differ = Counter((a, b) for a, b in known if a != b)
    if not differ:
        return ""
    kinds = "; ".join(f"{a} against {b}" for a, b in differ)
    return f"{sum(differ.values())} of {len(known)} pairs: {kinds}"


def _run(cell: tuple[str, str], repeat: str) -> tuple[str, str, str]:
    method, budget = cell
    return method, ALL if method == UPPER_BOUND else budget, repeat
