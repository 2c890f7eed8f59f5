"""Published runs: packed without what is large, taken up again, and refused in a line where they are not what was sealed."""

from __future__ import annotations

import io
import json
import lzma
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_runs import Size, fabricate, without_pictures

from glocalrun.tools.publish import publish
from glocalseg.evaluation.predictions import PREDICTIONS
from glocalseg.plan.jobs import Plan
from glocalseg.records.digest import sha256_file
from glocalseg.records.sealed import ABSENT, FAILURE, CorruptedError, absent, open_kept, open_sealed, seal, write_record
from glocalseg.report.build import build
from glocalseg.report.collected.collect import collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.archive import NAME, packed
from glocalseg.report.joined.merge import Joined, merge
from glocalseg.report.joined.source import read_source, runs_of

SMALL = Size(methods=("random", "gd"), budgets=(1,), repeats=2, subjects=2, grid=(4, 22, 20), bare=3)
OTHER = replace(SMALL, methods=("random", "gd+lr"), lines=({"regime": "atlas", "control": True},))


def published(tmp_path: Path, name: str = "a", size: Size = SMALL) -> tuple[Plan, Path]:
    """A site's runs with the record of a report, and the folder that they were published to."""
    plan = fabricate(tmp_path / name, size)
    missing = [
        str(job.record) for job in plan.jobs.values() if job.phase != "report" and not _there(tmp_path / name, job.record)
    ]
    record = plan.partial_report if missing else plan.report.record
    write_record(tmp_path / name / record, {"spec": plan.report.spec.dump(), "missing": missing, "files": {}})
    publish(tmp_path / name / record, tmp_path / "published" / name)
    return plan, tmp_path / "published" / name


def _there(root: Path, record: Path) -> bool:
    return (root / record).is_file()


def joined(tmp_path: Path, *folders: Path) -> Joined:
    with_room = [read_source(folder, tmp_path / "scratch") for folder in folders]
    return merge(with_room, tmp_path / "out", lock_folder=tmp_path)


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def rewrite(folder: Path, change: Callable[[dict[str, bytes]], object], *, resealed: bool = True) -> None:
    """Change an archive, and its sha256 in the report's record with it."""
    files = contents(folder / NAME)
    change(files)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (folder / NAME).write_bytes(lzma.compress(out.getvalue()))
    if resealed:
        (record,) = folder.glob("report-*.json")
        payload = json.loads(record.read_text(encoding="utf-8"))
        payload["files"][NAME] = sha256_file(folder / NAME)
        write_record(record, payload)


def test_an_archive_holds_small_files_alone_and_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    plan, folder = published(tmp_path)
    names = list(contents(folder / NAME))
    assert names == sorted(names)
    assert {Path(n).name for n in names} == {
        "manifest.json", "volumes.csv", "run.json", "log.csv", "validation.csv", "scores.csv", "diagnostics.json"
    }  # fmt: skip
    assert {Path(n) for n in names if n.endswith(("run.json", "manifest.json"))} == set(runs_of(plan))
    again = packed(tmp_path / "a", tuple(reversed(runs_of(plan))), ())
    assert again == (folder / NAME).read_bytes()
    with tarfile.open(folder / NAME) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}


def test_a_run_that_failed_keeps_its_reason(tmp_path: Path) -> None:
    size = replace(SMALL, missing={"gd n1 r2": "OutOfMemoryError: no memory"})
    _, folder = published(tmp_path, size=size)
    assert [Path(n).name for n in contents(folder / NAME)].count(FAILURE) == 1
    published(tmp_path, "b", replace(OTHER, repeats=1))
    got = collect(joined(tmp_path, folder, tmp_path / "b").plan, tmp_path / "out")
    assert list(got.failures.values()) == ["OutOfMemoryError: no memory"]


def test_a_report_that_lacks_runs_is_published_as_it_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pictures(monkeypatch)
    plan = fabricate(tmp_path / "a", replace(SMALL, missing={"gd n1 r2": ""}))
    build(plan, tmp_path / "a")
    publish(tmp_path / "a" / plan.partial_report, tmp_path / "published")
    lacking = {job.record.as_posix() for job in plan.jobs.values() if job.label.endswith("gd n1 r2")}
    assert len(lacking) == 2, "a fine-tuning and its scores"
    held = set(contents(tmp_path / "published" / NAME))
    assert lacking.isdisjoint(held)
    assert {str(record) for record in runs_of(plan)} - held == lacking


def test_the_report_of_an_archive_has_the_tables_of_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pictures(monkeypatch)
    _, first = published(tmp_path, "a", SMALL)
    _, second = published(tmp_path, "b", OTHER)
    plan = fabricate(tmp_path / "whole", replace(OTHER, methods=("random", "gd", "gd+lr")))
    build(plan, tmp_path / "whole")
    for name in "ab":
        shutil.rmtree(tmp_path / name)
    got = joined(tmp_path, first, second)
    build(got.plan, tmp_path / "out", got.origins)
    mine, whole = (tmp_path / of / "results/toy" for of in ("out", "whole"))
    tables = sorted(path.relative_to(whole) for path in whole.glob("tables/*"))
    assert tables
    names = {path.name for path in tables if (mine / path).read_bytes() != (whole / path).read_bytes()}
    assert names == set()
    assert (mine / "scores.csv.gz").read_bytes() == (whole / "scores.csv.gz").read_bytes()
    said = [(of / "report/index.html").read_text(encoding="utf-8") for of in (mine, whole)]
    assert f"none of {len(plan.of('finetune'))} fine-tunings&#39; are here" in said[0]
    assert "fine-tunings&#39; are here" not in said[1]


def test_a_run_that_another_folder_has_whole_wins(tmp_path: Path) -> None:
    _, folder = published(tmp_path, "a")
    plan, _ = published(tmp_path, "b", replace(SMALL, methods=("random",)))
    got = joined(tmp_path, folder, tmp_path / "b")
    found = collect(got.plan, tmp_path / "out")
    assert {job.name for job in found.bare if job.phase == "finetune"} == {"gd"}
    assert {e.name for e in found.embeddings} == {"random"}
    for job in plan.jobs.values():
        if job.phase not in ("report", "data"):
            open_sealed(tmp_path / "out" / job.record)
    assert not absent(tmp_path / "out" / plan.of("data")[0].record)


def test_what_was_brought_without_arrays_is_made_whole_by_a_later_call(tmp_path: Path) -> None:
    plan, folder = published(tmp_path, "a")
    _, other = published(tmp_path, "b", OTHER)
    joined(tmp_path, folder, other)
    run = tmp_path / "out" / plan.of("finetune")[0].record
    assert PREDICTIONS in absent(run)
    shutil.rmtree(tmp_path / "scratch")
    joined(tmp_path, tmp_path / "a", other)
    assert not absent(run)
    open_sealed(run)
    shutil.rmtree(tmp_path / "scratch")
    joined(tmp_path, folder, other)
    open_sealed(run)


def test_what_reads_arrays_refuses_a_run_without_them_in_a_line(tmp_path: Path) -> None:
    plan, folder = published(tmp_path, "a")
    source = read_source(folder, tmp_path / "scratch")
    record = source.root / plan.of("pretrain_global")[0].record
    assert open_kept(record)["pool"]
    record.with_name("weights.safetensors").unlink(missing_ok=True)
    run = source.root / plan.of("finetune")[0].record
    with pytest.raises(CorruptedError, match=r"found none: .* came from .*published/a, which holds no weights") as caught:
        open_sealed(run)
    assert "\n" not in str(caught.value)
    run.with_name(ABSENT).unlink()
    with pytest.raises(CorruptedError, match="expected a file with sha256"):  # what is merely gone is an error
        open_kept(run)


def test_two_results_of_a_run_are_seen_by_the_records(tmp_path: Path) -> None:
    """The bits of files that are not there are in the records."""
    _, folder = published(tmp_path, "a")
    plan, _ = published(tmp_path, "b", replace(SMALL, methods=("random",)))
    record = tmp_path / "b" / plan.of("finetune")[0].record
    record.with_name(PREDICTIONS).write_bytes(b"of another machine")
    seal(record, json.loads(record.read_text(encoding="utf-8")))
    with pytest.raises(ReportError, match=r"predictions.npz: expected sha256 \w{10} as in .*: one specification with two"):
        joined(tmp_path, folder, tmp_path / "b")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- refused


def _edit(end: str) -> Callable[[dict[str, bytes]], object]:
    def change(files: dict[str, bytes]) -> None:
        name = next(n for n in files if n.endswith(end))
        files[name] = files[name].replace(b"0.", b"1.", 1)

    return change


def _drop(end: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.pop(next(n for n in files if n.endswith(end)))


BAD: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "edited scores": (_edit("scores.csv"), "scores.csv: expected sha256 "),
    "edited record": (_edit("run.json"), "run.json: expected a record as it was written, found another"),
    "lost curve": (_drop("log.csv"), "log.csv: expected the files that its record names, found no file called log.csv"),
    "lost record": (_drop("run.json"), "run.json: expected the record of the files beside it, found none"),
    "up": (lambda f: f.update({"results/../../evil": b""}), "'results/../../evil': expected a path below the checkout"),
    "root": (lambda f: f.update({"/evil": b""}), "'/evil': expected a path below the checkout"),
    "beside": (lambda f: f.update({"src/evil.py": b""}), "'src/evil.py': expected small files of runs of the report"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_as_it_was_sealed_is_a_line_that_names_the_file(tmp_path: Path, kind: str) -> None:
    change, said = BAD[kind]
    _, folder = published(tmp_path)
    rewrite(folder, change)
    with pytest.raises(CorruptedError) as caught:
        read_source(folder, tmp_path / "scratch")
    assert str(caught.value).startswith(f"{folder / NAME}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    _, folder = published(tmp_path)
    name = next(iter(contents(folder / NAME)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    (folder / NAME).write_bytes(lzma.compress(out.getvalue()))
    with pytest.raises(CorruptedError, match="expected one plain small file, found something else"):
        read_source(folder, tmp_path / "scratch")


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"hello" * 99, lambda b: lzma.compress(b"x" * 700)]
)
def test_a_broken_archive_is_a_line(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    _, folder = published(tmp_path)
    (folder / NAME).write_bytes(spoil((folder / NAME).read_bytes()))
    with pytest.raises(CorruptedError) as caught:
        read_source(folder, tmp_path / "scratch")
    assert str(caught.value).startswith(f"{folder / NAME}: expected ")
    assert "\n" not in str(caught.value)


def test_an_archive_of_another_report_is_refused(tmp_path: Path) -> None:
    _, folder = published(tmp_path)
    rewrite(folder, lambda files: files.update(reversed(list(files.items()))), resealed=False)
    with pytest.raises(CorruptedError, match="expected the archive that the report was published with, found another"):
        read_source(folder, tmp_path / "scratch")


def test_an_archive_of_other_code_is_refused(tmp_path: Path) -> None:
    plan, folder = published(tmp_path)
    (record,) = folder.glob("report-*.json")
    report = json.loads(record.read_text(encoding="utf-8"))

    def change(files: dict[str, bytes]) -> None:
        for job in plan.of("score"):
            old = job.record.parent.with_name("0123456789") / "run.json"
            payload = json.loads(files.pop(job.record.as_posix()))
            payload["spec"] |= {"code": "before", "key": "0123456789"}
            write_record(tmp_path / "old.json", payload)
            files[old.as_posix()] = (tmp_path / "old.json").read_bytes()
            files[old.with_name("scores.csv").as_posix()] = files.pop(job.record.with_name("scores.csv").as_posix())
            report["spec"]["runs"] = [str(old) if run == str(job.record) else run for run in report["spec"]["runs"]]
        write_record(record, report)

    rewrite(folder, change)
    published(tmp_path, "b", OTHER)
    with pytest.raises(ReportError, match=r"published/a: results/score/.*code: expected .*other code made it"):
        joined(tmp_path, folder, tmp_path / "b")
