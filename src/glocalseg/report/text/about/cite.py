"""How to cite a report, and how to make this very page again."""

from __future__ import annotations

from collections import Counter

from glocalseg.plan.jobs import Plan
from glocalseg.report.collected.collect import Collected

PAPER = """@inproceedings{chaitanya2020contrastive,
  title     = {Contrastive learning of global and local features for medical image segmentation with limited annotations},
  author    = {Chaitanya, Krishna and Erdil, Ertunc and Karani, Neerav and Konukoglu, Ender},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  pages     = {12546--12558},
  year      = {2020},
}"""


def bibtex(plan: Plan) -> str:
    """Entries for the report and for the paper whose method it measures; the data sets are cited by their cards."""
    key = plan.report.record.stem
    own = "\n".join([
        f"@misc{{glocalseg-{plan.benchmark.name},",
        f"  title        = {{{{glocalseg}}: {plan.benchmark.title}}},",
        "  howpublished = {Benchmark report},",
        f"  note         = {{{key}}},",
        "}",
    ])  # fmt: skip
    return f"{own}\n\n{PAPER}"


def again(plan: Plan, collected: Collected) -> str:
    """Shell lines that make this page, from a checkout: the commit of most runs, the environment, the command."""
    commits = Counter(str(p.get("environment", {}).get("commit") or "") for p in collected.payloads.values())
    del commits[""]
    python = Counter(str(p.get("environment", {}).get("python")) for p in collected.payloads.values()).most_common(1)
    lines = []
    if commits:
        commit = commits.most_common(1)[0][0].split("-")[0].split(" ")[0]
        others = f"  # {len(commits)} commits made the runs; this one most of them" if len(commits) > 1 else ""
        lines.append(f"git checkout {commit}{others}")
    made = f"  # Python {python[0][0]}" if python else ""
    return "\n".join([
        *lines,
        f"make setup{made}, packages of requirements.lock" if made else "make setup  # packages of requirements.lock",
        f"make benchmark CONFIG=config/{plan.benchmark.name}.yaml  # or: snakemake --profile slurm --configfile ...",
        f"make report-diff A=<this folder> B=results/{plan.benchmark.name}  # what came out otherwise, if anything",
    ])  # fmt: skip
