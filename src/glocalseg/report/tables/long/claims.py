"""Tables that the tool claims-reloaded of the DKFZ reads, which asks how likely a claim to be ahead is to be false.

A file per data set and number of labelled volumes: ``case_id`` is a test subject, since volumes of one subject are no cases of
their own; a column ``alg_<method>`` holds its Dice, mean over structures, volumes and repeats. Only methods with all their
repeats are in it. The tool counts cases alone: that repeats vary it cannot see, so that what it finds likely may be chance.

Source: https://claims-reloaded.dkfz.de; Christodoulou and others, False promises in medical imaging AI? (arXiv 2505.04720).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from glocalseg.evaluation.statistics.arrays import level_means
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.scored.single import subject_names

FOLDER = "claims-reloaded"


def claims_tables(analyses: Mapping[str, DatasetAnalysis], collected: Collected) -> dict[str, pd.DataFrame]:
    """The tables by the path of their file; none where fewer than two methods have all their runs."""
    found = {}
    for name, a in analyses.items():
        subjects = subject_names(collected, name)
        for budget in a.budgets:
            cells = [c for m in a.methods if (c := a.cell(m, budget)) and c.complete]
            columns = {f"alg_{c.method}": level_means(c.scores, 0) for c in cells}
            there = np.isfinite([*columns.values()]).all(axis=0)
            if len(columns) > 1 and there.any():
                table = pd.DataFrame({"case_id": subjects, **columns})[there]
                found[f"{FOLDER}/{name}-n{budget}.csv"] = table.reset_index(drop=True)
    return found
