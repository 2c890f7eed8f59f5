"""From a finished fine-tuning to a folder that stands alone (docs/using-a-model.md)."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from glocalseg.config.settings import NetworkConfig
from glocalseg.data.cards.card import Card
from glocalseg.data.cards.reading import Preparation
from glocalseg.evaluation.metrics import METRICS
from glocalseg.methods.catalogue import regimes
from glocalseg.models.about import ABOUT, README, SCORES, WEIGHTS, About, DataSet, ImageFile, ModelError, write_about
from glocalseg.models.checks import beyond_frame
from glocalseg.models.readme import readme
from glocalseg.models.trained import read_weights, rebuild
from glocalseg.networks.build import build_network
from glocalseg.networks.weights import FILE
from glocalseg.records.digest import sha256_file
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError, open_sealed, read_record
from glocalseg.stages.score import SELECTED

VOLUMES = "volumes.csv"  # of a slice store


def export(run: Path, *, store: Path, card: Card, score: Path | None, out: Path, starts: Sequence[Path] = ()) -> About:
    """Write the tested network of a fine-tuning, and all that it needs, as a new folder; what is in ``model.json`` of it.

    Args:
        run: ``run.json`` of the fine-tuning.
        store: ``manifest.json`` of its slice store, of which the table of volumes is read as well.
        card: of the data set: title, licence, citation.
        score: ``run.json`` of its scores, None if it has none.
        out: the folder; there is nothing yet, or an empty one.
        starts: ``run.json`` of the pretrainings that it starts from, the last one first, as far as they are there.

    Raises:
        ModelError: if the run is no fine-tuning, or something lies where the folder goes.
        CorruptedError: if a file is missing or changed, or store and scores are not the run's.
    """
    require_new(out)
    try:
        about = _described(run, store, card, score, starts)
    except (KeyError, TypeError, ValidationError) as error:
        said = repr(error).splitlines()[0]
        raise CorruptedError(
            f"{run}, {store}: expected records as this version of glocalseg writes them, found {said}"
        ) from None
    rebuild(about, read_weights(run.parent / FILE, about.weights), run.parent)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        shutil.copyfile(run.parent / FILE, part / WEIGHTS)
        if score is not None:
            shutil.copyfile(score.parent / SCORES, part / SCORES)
        write_atomic(part / README, readme(about).encode())
        write_about(part, about)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return about


def _described(run: Path, store: Path, card: Card, score: Path | None, starts: Sequence[Path]) -> About:
    """What is said of a fine-tuning; arguments and errors as of ``export``, or KeyError and the like for a broken record."""
    record, manifest = open_sealed(run), read_record(store)
    spec, pretrained = record["spec"], [read_record(path) for path in starts]
    if "regime" not in spec:
        raise ModelError(f"{run}: expected a fine-tuning, whose network was tested, found another phase")
    if FILE not in record["files"]:
        raise ModelError(f"{run}: expected a network, found none: regime {spec['regime']!r} labels without one")
    if (regime := regimes().get(spec["regime"])) is not None and regime.frozen:
        raise ModelError(
            f"{run}: expected a network, found a head alone: regime {regime.name!r} reads features of "
            f"{spec['network']['encoder']}, whose weights are bought in and not handed on"
        )
    _require_key(store, manifest["spec"]["key"], spec["data"], "the slices of")
    scored = open_sealed(score) if score is not None else None
    if score is not None and scored is not None:
        _require_key(score, scored["spec"]["start"], spec["key"], "the scores of")
    preparation = Preparation.model_validate(manifest["preparation"])
    return About(
        format=2,
        label=record["label"],
        weights=record["files"][FILE],
        network=as_built(NetworkConfig.model_validate(spec["network"]), preparation),
        threads=spec["threads"],
        preparation=preparation,
        image=ImageFile.model_validate(manifest["image"]),
        data=_data_set(card, record, pretrained, _beyond(store, manifest, preparation)),
        scores=summary((score.parent / SCORES).read_bytes()) if score is not None else {},
        provenance={
            "run": {name: record[name] for name in ("spec", "best", "device", "environment")},
            "pretraining": [{name: of[name] for name in ("spec", "device", "environment")} for of in pretrained],
            "slices": {name: manifest[name] for name in ("spec", "environment")},
            "scores": {name: scored[name] for name in ("spec", "environment")} if scored is not None else None,
        },
    )


def require_new(out: Path) -> None:
    """Raise ModelError if there is anything where a folder is to be written."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        found = "an exported model" if (out / ABOUT).is_file() else "something"
        raise ModelError(f"{out}: expected nothing there yet, found {found}: remove it, or give another OUT")


def as_built(network: NetworkConfig, preparation: Preparation) -> NetworkConfig:
    """The configuration that gives the same network anywhere: with its number of levels, without bought-in weights."""
    alone = network.model_copy(update={"weights": None})
    net = build_network(alone, size=preparation.frame.size, classes=preparation.classes, seed=0)
    return alone.model_copy(update={"levels": len(net.encoder.channels)})  # type: ignore[arg-type]


def summary(scores: bytes) -> dict[str, dict[str, float | None]]:
    """By structure and metric: over subjects, what tables show of a metric, 4 digits; a subject's value is its volumes' mean.

    Of the weights that are handed on, which are the selected ones.
    """
    table = pd.read_csv(io.BytesIO(scores), dtype={"subject": str, "volume": str, "structure": str}, keep_default_na=False)
    table = table[table["weights"] == SELECTED].assign(value=lambda t: pd.to_numeric(t["value"], errors="coerce"))
    found: dict[str, dict[str, float | None]] = {}
    for (structure, metric), rows in table.groupby(["structure", "metric"], sort=False):
        how = METRICS[str(metric)].summary if metric in METRICS else "mean"
        values = rows["value"] if how == "sum" else rows.groupby("subject")["value"].mean()
        value = float(values.agg(how))
        found.setdefault(str(structure), {})[str(metric)] = None if pd.isna(value) else round(value, 4)
    return found


def _beyond(store: Path, manifest: dict[str, Any], preparation: Preparation) -> float:
    """The largest share of a slice's area that the frame left out, over all volumes of a store. Raises CorruptedError."""
    path = store.parent / VOLUMES
    if (found := sha256_file(path)) != (expected := manifest["files"][VOLUMES]):
        raise CorruptedError(f"{path}: expected sha256 {expected}, found {found}")
    sizes = pd.read_csv(path)[["resampled_height", "resampled_width"]]
    return max(beyond_frame(preparation.frame, int(rows), int(columns)) for rows, columns in sizes.to_numpy())


def _data_set(card: Card, record: dict[str, Any], pretrained: Sequence[dict[str, Any]], beyond: float) -> DataSet:
    split, subjects = record["split"], record["subjects"]
    unlabelled = {volume for of in pretrained for volume in of["pool"]} | set(split["unlabelled"])
    return DataSet(
        name=card.name,
        title=card.title,
        modality=card.modality,
        licence=card.licence,
        citation=card.citation,
        labelled_volumes=len(split["train"]),
        labelled_subjects=len({subjects[v] for v in split["train"]}),
        selecting_volumes=len(split["validation"]),
        unlabelled_volumes=len(unlabelled),
        tested_volumes=len(split["test"]),
        tested_subjects=len({subjects[v] for v in split["test"]}),
        beyond_frame=beyond,
    )


def _require_key(path: Path, found: str, expected: str, what: str) -> None:
    if found != expected:
        raise CorruptedError(f"{path}: expected {what} {expected}, found {found}")
