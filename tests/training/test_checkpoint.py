"""A saved state is whole or not there: damage is noticed, and a failed write leaves the one before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from glocalseg.records import files
from glocalseg.training import checkpoint
from glocalseg.training.checkpoint import RECORD, State, load_state, optimiser_tensors, restore_optimiser, save_state


def state(step: int, value: float = 1.0) -> State:
    tensors = {"modules/a": torch.full((2, 3), value), "modules/count": torch.tensor(step)}
    return State(step, tensors, {"rows": [{"loss": 0.1 + 0.2}], "seconds": 1.5})


def assert_is(found: State | None, expected: State) -> None:
    assert found is not None
    assert found.step == expected.step
    assert found.extra == expected.extra
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(found.tensors[k], expected.tensors[k]) for k in expected.tensors)


def test_what_was_saved_comes_back_and_replaces_what_was_before(tmp_path: Path) -> None:
    assert load_state(tmp_path, "k") is None
    for step in (2, 4):
        save_state(tmp_path, "k", state(step, step / 3))
        assert_is(load_state(tmp_path, "k"), state(step, step / 3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resume-4.safetensors", "resume.json"]


@pytest.mark.parametrize(
    "damage", ["truncated", "edited", "missing", "record truncated", "record of a list", "record short"]
)
def test_a_damaged_state_is_not_used_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    save_state(tmp_path, "k", state(3))
    tensors, record = tmp_path / "resume-3.safetensors", tmp_path / RECORD
    raw = tensors.read_bytes()
    if damage == "truncated":
        tensors.write_bytes(raw[:-1])
    elif damage == "edited":
        tensors.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif damage == "missing":
        tensors.unlink()
    elif damage == "record truncated":
        record.write_bytes(record.read_bytes()[:40])
    elif damage == "record of a list":
        record.write_text("[1]")
    else:
        record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "extra"}))
    assert load_state(tmp_path, "k") is None
    message = capsys.readouterr().err
    assert message.startswith(str(record))
    assert message.endswith("the run starts from its beginning\n")


class Disk:
    """A disk that takes ``room`` more files and then is full."""

    def __init__(self, room: int) -> None:
        self.room, self.sync = room, files.os.fsync  # type: ignore[attr-defined]

    def __call__(self, descriptor: int) -> None:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        self.room -= 1
        self.sync(descriptor)


@pytest.mark.parametrize("room", [0, 1])
def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Neither when the tensors do not fit nor when the record does not."""
    save_state(tmp_path, "k", state(2, 0.5))
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", Disk(room))  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="No space left"):
            save_state(tmp_path, "k", state(4, 0.7))
    assert_is(load_state(tmp_path, "k"), state(2, 0.5))
    assert not list(tmp_path.glob(".*"))
    save_state(tmp_path, "k", state(4, 0.7))  # there is room again
    assert_is(load_state(tmp_path, "k"), state(4, 0.7))
    assert not list(tmp_path.glob("resume-2*"))


def test_death_between_the_two_renames_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, "k", state(2))

    def died(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_json", died)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, "k", state(4))
    assert_is(load_state(tmp_path, "k"), state(2))


def test_the_optimiser_comes_back_in_the_layout_of_its_parameters() -> None:
    """Fused Adam walks parameter and moments alike: contiguous moments beside channels-last weights would be scrambled."""

    def pair() -> tuple[torch.nn.Conv2d, torch.optim.Adam]:
        net = torch.nn.Conv2d(4, 6, 3)
        with torch.no_grad():
            net.weight.copy_(torch.arange(216.0).view(6, 4, 3, 3) / 216)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net, torch.optim.Adam(net.parameters(), lr=0.01, fused=True)

    def step(net: torch.nn.Conv2d, optimiser: torch.optim.Adam, seed: int) -> None:
        optimiser.zero_grad()
        x = torch.rand(2, 4, 5, 5, generator=torch.Generator().manual_seed(seed))
        net(x).square().mean().backward()
        optimiser.step()

    net, optimiser = pair()
    for seed in (1, 2):
        step(net, optimiser, seed)
    saved = {k: v.clone(memory_format=torch.contiguous_format) for k, v in optimiser_tensors(optimiser).items()}
    assert set(saved) == {f"{i}/{name}" for i in (0, 1) for name in ("step", "exp_avg", "exp_avg_sq")}
    other, resumed = pair()
    other.load_state_dict({k: v.clone() for k, v in net.state_dict().items()})
    restore_optimiser(resumed, saved)
    assert resumed.state[other.weight]["exp_avg"].stride() == other.weight.stride()
    assert resumed.state[other.weight]["exp_avg"].data_ptr() != saved["0/exp_avg"].data_ptr()
    step(net, optimiser, 3)
    step(other, resumed, 3)
    assert torch.equal(net.weight, other.weight)
    assert torch.equal(net.bias, other.bias)  # type: ignore[arg-type]
