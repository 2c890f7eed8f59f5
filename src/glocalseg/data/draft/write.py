"""The text of a drafted card: what runs, and in comments what was measured, what was guessed, and what a person must fill in."""

from __future__ import annotations

from collections.abc import Iterator

from glocalseg.data.draft.guessed.axis import Agreement
from glocalseg.data.draft.guessed.frame import Candidate
from glocalseg.data.draft.lines import comment, flow, mapping, number, numbers, quoted, scalar, some, table, text
from glocalseg.data.draft.make import SEED, Draft

FILL_IN = "to be filled in"


def card_text(draft: Draft) -> str:
    """The card as YAML; the same data gives the same text."""
    parts = (_head, _source, _reader, _structures, _axis, _frame, _intensities, _subjects, _splits)
    return "".join(f"{line}\n" for part in parts for line in part(draft))


def _head(draft: Draft) -> Iterator[str]:
    yield "# yaml-language-server: $schema=../schemas/card.json"
    yield from comment(
        "Drafted by `make card`. It runs as it is; finish it by hand: what is marked 'to be filled in', and every guess. "
        "'Measured' is what all volumes of the data show, those of test subjects too: slice axis, frame and label values were "
        "looked up in labels that are tested later, which favours all methods alike and makes scores a little too good. "
        "Look before you believe it: `make look`."
    )
    said = draft.listed
    yield f"name: {draft.name}"
    title = text(said.get("name"))
    yield f"title: {scalar(title or draft.name)} # {'as dataset.json has it' if title else FILL_IN}"
    kind = "as dataset.json has it" if draft.intensities.said else _why_modality(draft)
    yield f"modality: {scalar(draft.intensities.modality)} # {kind}"
    sizes = ", ".join(f"{n} with {k} volume{'s' if k > 1 else ''}" for k, n in draft.subjects.sizes().items())
    yield f"subjects: {draft.subjects.count} # {sizes}"
    yield f"volumes: {len(draft.layout.cases)}"
    if bare := draft.unlabelled:
        names = some([case.volume for case in bare])
        yield from comment(
            f"Measured: {len(bare)} volumes have no label ({names}). They are used for pretraining, and in no list with labels."
        )
        yield "labels: some"
    licence = text(said.get("licence")) or text(said.get("license"))
    yield f"licence: {scalar(licence or FILL_IN)}" + (" # as dataset.json has it" if licence else "")
    reference = text(said.get("reference"))
    yield f"citation: [{scalar(reference or FILL_IN)}]" + (
        f" # as dataset.json has it; {FILL_IN}: the paper" if reference else ""
    )


def _why_modality(draft: Draft) -> str:
    if draft.intensities.ct:
        return "guessed: intensities look like Hounsfield units, from air to bone"
    return f"guessed: intensities are no Hounsfield units; {FILL_IN}"


def _source(draft: Draft) -> Iterator[str]:
    if draft.source["kind"] == "archive":
        yield from comment(
            "Without a public address, the archive is looked for in the benchmark's mirror: `mirror: <folder or url>` there, or "
            f"`make benchmark MIRROR=<folder>`, with the folder that holds {draft.source['file']}. Fill in url if it has one.",
        )
    yield "source:"
    for key, value in draft.source.items():
        yield f"  {key}: {scalar(value)}"
        if key == "kind" and value == "archive":
            yield "  url: null"


def _reader(draft: Draft) -> Iterator[str]:
    given = draft.layout.reader.model_dump(mode="json")
    usual = type(draft.layout.reader)().model_dump(mode="json")
    options = {key: value for key, value in given.items() if key == "kind" or value != usual[key]}
    yield from comment(
        f"Measured: {draft.layout.pairs} volumes with a label, {len(draft.unlabelled)} without, in this layout."
    )
    if given.get("phases"):
        yield from comment("Both phases are read; the paper uses ACDC's end-diastole alone, `phases: [ED]`.")
    for other in draft.layout.others:
        yield from comment(f"Not used: {other.replace(str(draft.layout.root), '.')}")
    yield f"reader: {flow(options) if len(options) > 1 else options['kind']}"
    if ignored := draft.layout.ignored:
        counts = ", ".join(f"{n} files {pattern}" for pattern, n in ignored.items())
        yield from comment(f"Not used: {counts}: guessed to be other channels or sequences of the same volumes.")
        yield f"ignore: [{', '.join(map(quoted, ignored))}]"
    channels = sorted({m.channels for m in draft.measured})
    if channels[-1] > 1:
        named = draft.listed.get("modality", draft.listed.get("channel_names"))
        called = f", {', '.join(f'{k}: {v}' for k, v in named.items())}" if isinstance(named, dict) else ""
        yield from comment(f"Measured: images with {' or '.join(map(str, channels))} channels{called}. Guessed: the first.")
        yield "channel: 0"


def _structures(draft: Draft) -> Iterator[str]:
    found = draft.structures
    yield from comment(f"Measured on {found.labelled} labels. Names: {'dataset.json.' if found.named else FILL_IN + '.'}")
    yield from table(
        ["value", "volumes", "voxels", "median a volume", ""],
        [
            [str(v.value), str(v.volumes), str(v.voxels), str(v.median), "rare: a stray?" if v.value in found.strays else ""]
            for v in found.found
        ],
    )
    if found.strays:
        yield from comment(
            f"Guessed: {numbers(found.strays)} is in so few volumes and voxels that it is taken for a slip and counts as "
            "background (stray_values). If it is a structure, take it out of there, and name it in structures and label_values."
        )
    if found.without:
        yield from comment(f"{len(found.without)} labels hold no structure: {some(found.without)}")
    if found.missing:
        yield from comment(f"In no label, although dataset.json names it: {', '.join(found.missing)}")
    if found.broken:
        yield from comment(f"Values that are no whole numbers, to be mended in the files: {some(found.broken)}")
    yield from mapping("structures", found.names, scalar)
    if not found.plain:
        yield from mapping("label_values", {0: 0, **found.classes}, str)
    if found.strays:
        yield f"stray_values: [{numbers(found.strays)}]"


def _axis(draft: Draft) -> Iterator[str]:
    choice = draft.axis
    axes: dict[str, int] = {}
    for m in draft.measured:
        if m.orientation:
            axes[m.orientation] = axes.get(m.orientation, 0) + 1
    stored = ", ".join(f"{axis} ({n})" for axis, n in sorted(axes.items(), key=lambda pair: (-pair[1], pair[0])))
    yield from comment(
        f"Measured, medians of {sum(axes.values())} volumes, stored as {stored}; agreement between subjects at the same place "
        f"along each axis, means of {choice.pairs} pairs: 'areas' of structures from slice to slice (correlation), labels of "
        "slices, 'centred' (Dice), 'images' (correlation)."
    )
    rows = [_row(agreement) for agreement in choice.along]
    yield from table(["axis", "slices", "apart, mm", "pixels, mm", "areas", "centred", "images"], rows)
    yield from comment(f"Guessed from it: {choice.axis}; {choice.why}.")
    yield f"slice_axis: {choice.axis}"


def _row(a: Agreement) -> list[str]:
    figures = ["-" if figure != figure else f"{figure:.2f}" for figure in (a.areas, a.overlap, a.images)]
    return [a.axis, f"{a.slices:g}", f"{a.spacing:.3g}", f"{a.in_plane[0]:.3g} x {a.in_plane[1]:.3g}", *figures]


def _frame(draft: Draft) -> Iterator[str]:
    proposal = draft.frame
    low, median, high = proposal.spacings
    yield from comment(
        f"Measured: pixels of {low:.3g} to {high:.3g} mm, median {median:.3g}; slices of {proposal.slices[0]:.0f} x "
        f"{proposal.slices[1]:.0f} mm (median); a square of {proposal.needed:.0f} mm around their centre holds every label. What "
        "frames would cut off, before resampling; the first is proposed, with a margin and a size that halves often enough:"
    )
    head = ["mm a pixel", "pixels", "mm", "labels cut off", "volumes cut", "most of one structure"]
    yield from table(head, [_candidate(c) for c in (proposal.chosen, *proposal.others)])
    if proposal.coarser:
        yield from comment(
            f"Guessed: pixels coarser than the median, so that it is no more than {proposal.chosen.size} on a side."
        )
    spacing, size = proposal.chosen.spacing, proposal.chosen.size
    yield f"frame: {{spacing: [{spacing:g}, {spacing:g}], size: [{size}, {size}]}}"


def _candidate(c: Candidate) -> list[str]:
    worst = f"{_share(c.worst[1])} of {c.worst[0]}" if c.cut else "-"
    return [f"{c.spacing:g}", f"{c.size} x {c.size}", f"{c.side:.0f}", _share(c.cut), str(c.volumes), worst]


def _share(value: float) -> str:
    return "0" if value == 0 else f"{value:.1%}" if value >= 0.0005 else "< 0.1%"


def _intensities(draft: Draft) -> Iterator[str]:
    found = draft.intensities
    spread = [
        f"{name} {number(v[0])} to {number(v[2])} (median {number(v[1])})"
        for name, v in (("1st", found.low), ("99th", found.high))
    ]
    measured = f"Measured: percentiles of volumes: {', '.join(spread)}."
    if found.uneven:
        measured += " Scales differ from volume to volume, so percentiles of each volume it must be."
    yield from comment(measured)
    if found.window:
        low, high = found.window
        yield from comment(
            f"CT may have one range for all volumes instead; what labels hold, and half as much on either side:\n"
            f"window: [{low:g}, {high:g}]"
        )
    yield "percentiles: [1, 99]"
    if found.padding:
        value, *more = found.padding
        volumes = found.padding[value]
        others = (
            f"; {', '.join(f'{v:g} in {found.padding[v]}' for v in more)}, which one card cannot take out too"
            if more
            else ""
        )
        yield from comment(f"Measured: many voxels of {volumes} volumes hold {value:g}, apart from all others{others}.")
        yield f"padding: {value:g}"


def _subjects(draft: Draft) -> Iterator[str]:
    subjects = draft.subjects
    yield from comment(f"Guessed: {subjects.why}. Splits are by person.")
    if not subjects.told:
        yield from comment(
            "If one person has several volumes, say so here (a pattern, or a table of volume and subject): else that person is "
            "in training and test at once, and test scores are too good."
        )
    ((kind, value),) = subjects.rule.items()
    yield f"subject: {{{kind}: {quoted(value)}}}"


def _splits(draft: Draft) -> Iterator[str]:
    s = draft.splits
    yield from comment(
        f"Guessed: of the {s.labelled} subjects with labels about a quarter for the test, a tenth for validation, by the seed."
    )
    more = max(draft.subjects.sizes()) > 1
    if more:
        yield from comment("All volumes of a test subject are scored; `test_volumes: one` takes one of each.")
    yield f"splits: {{kind: rule, test: {s.test}, validation: {s.validation}, seed: {SEED}}}"
