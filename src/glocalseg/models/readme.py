"""The README of an exported model: for somebody who got the folder and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glocalseg.evaluation.metrics import METRICS
from glocalseg.models.about import About


def readme(about: About) -> str:
    """The text of one exported network's README."""
    data, frame, run = about.data, about.preparation.frame, about.provenance["run"]
    commit = run["environment"].get("commit") or "unknown"
    return f"""# {data.title}: {about.label}

A network that labels {_listed(list(about.names.values()))} in images like those of {data.title} ({data.modality}).
For research: it is no medical device, and nothing is known of how it does on other scanners and other patients.

In a checkout of glocalseg:

```
make predict MODEL=<this folder> IMAGES=<folder of NIfTI images> OUT=<folder for labels>
```

Images: NIfTI, {_channel(about)}of any size and orientation; slices are resampled to {_numbers(frame.spacing)} mm, of which
the network sees {frame.size[0]} x {frame.size[1]} pixels around the centre. Labels come back on each image's own grid,
0 being background:

{_table(["value", "structure"], [[str(value), name] for value, name in about.names.items()])}

## How it did

{_scores(about)}

## What it was trained on

{_seen(about)}.
Licence of the data: {data.licence}. It also decides what may be done with these weights.{_bought(about)} To be cited:

{_lines(data.citation)}

`model.json` says exactly how it was made: run {run["spec"]["key"]}, code of commit {commit}.
"""


def readme_of_several(abouts: Mapping[str, About]) -> str:
    """The text of the README above several repeats, by folder, whose probabilities are averaged."""
    about = next(iter(abouts.values()))
    rows = [[name, *(_shown(_mean(of, metric)) for metric in METRICS)] for name, of in abouts.items()]
    return f"""# {about.data.title}: {_counted(len(abouts), "repeat")} of one method

Networks of which each has labelled volumes, a pretraining and a fine-tuning of its own. With this folder as MODEL, their
probabilities are averaged; with a folder in it, that network labels alone. Its README says more. The scores are those of single
networks on the test volumes, means over structures; the average of all was not tested.

{_table(["folder", *(m.title for m in METRICS.values())], rows)}
"""


def _bought(about: About) -> str:
    """What is said of a network that started from bought-in weights."""
    network = about.provenance["run"]["spec"]["network"]
    if not network["weights"]:
        return ""
    return (
        f" So does the licence of the weights of {network['encoder'].removeprefix('timm:')} that its encoder started from, which "
        f"were bought in (sha256 {network['weights']})."
    )


def _scores(about: About) -> str:
    if not about.scores:
        return "It was not scored."
    rows = [[name, *(_shown(of.get(metric)) for metric in METRICS)] for name, of in about.scores.items()]
    volumes, subjects = _counted(about.data.tested_volumes, "test volume"), _counted(about.data.tested_subjects, "subject")
    said = f"On {volumes} of {subjects}, on their own grids (every value is in scores.csv):"
    return f"{said}\n\n{_table(['structure', *(f'{m.title}, {m.summary}' for m in METRICS.values())], rows)}"


def _seen(about: About) -> str:
    data = about.data
    volumes, subjects = _counted(data.labelled_volumes, "labelled volume"), _counted(data.labelled_subjects, "subject")
    labelled = f"{volumes} of {subjects} of {data.title}"
    labelled += (
        f", the labels of {_counted(data.selecting_volumes, 'more volume')} to choose its weights"
        if data.selecting_volumes
        else ""
    )
    more = f", and the images of {_counted(data.unlabelled_volumes, 'volume')} without their labels"
    return f"{labelled}{more if data.unlabelled_volumes else ''}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _mean(about: About, metric: str) -> float | None:
    values = [v for of in about.scores.values() if (v := of.get(metric)) is not None]
    return sum(values) / len(values) if values else None


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _channel(about: About) -> str:
    return f"channel {about.image.channel} (counted from 0) of four dimensions, " if about.image.channel else ""


def _numbers(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
