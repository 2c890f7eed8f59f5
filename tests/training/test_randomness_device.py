"""Draws by (seed, purpose, step); where a run computes; what it writes down."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glocalseg.training import device as module
from glocalseg.training.device import Device, choose_device
from glocalseg.training.meter import Meter, write_rows
from glocalseg.training.randomness import generator, seed_of


def draw(seed: int, purpose: str, step: int = 0) -> torch.Tensor:
    return torch.rand(8, generator=generator(seed, purpose, step))


def test_equal_names_draw_equal_numbers() -> None:
    first = draw(1, "global", 5)
    torch.manual_seed(3)
    draw(9, "other", 2)
    assert torch.equal(draw(1, "global", 5), first)


@pytest.mark.parametrize("other", [(2, "global", 5), (1, "local", 5), (1, "global", 6), (1, "global", 0)])
def test_another_seed_purpose_or_step_draws_others(other: tuple[int, str, int]) -> None:
    assert not torch.equal(draw(*other), draw(1, "global", 5))


def test_seeds_are_pinned_and_do_not_run_into_each_other() -> None:
    assert seed_of(0, "weights") == 4362053507750869513  # of sha256("0/weights/0"): the same on every machine
    assert len({seed_of(s, "a", n) for s in range(30) for n in range(30)}) == 900
    assert seed_of(1, "a", 11) != seed_of(11, "a", 1) != seed_of(1, "a1", 1)
    assert all(0 <= seed_of(s, "x") < 2**63 for s in range(100))


def test_float32_here_and_bfloat16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for amx, expected in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda native=amx: native)
        assert choose_device("auto", 1).precision == expected
        assert choose_device("float32", 1).precision == "float32"
        assert choose_device("bfloat16", 1).precision == "bfloat16"
    assert torch.get_num_threads() == 1
    assert choose_device("auto", 1).device.type == "cpu"


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_network_runs_in_the_chosen_precision(precision: str, dtype: torch.dtype) -> None:
    net = torch.nn.Conv2d(1, 2, 3)
    device = Device(torch.device("cpu"), precision, 1)  # type: ignore[arg-type]
    device.place(net)
    assert net.weight.is_contiguous(memory_format=torch.channels_last)
    with device.autocast():
        assert net(torch.rand(1, 1, 5, 5)).dtype == dtype
    assert net.weight.dtype == torch.float32


def test_a_device_describes_itself() -> None:
    device = Device(torch.device("cpu"), "float32", 2)
    found = device.describe()
    assert (found["type"], found["precision"], found["threads"]) == ("cpu", "float32", 2)
    assert found["name"]
    assert 10 < device.peak_memory_mb() < 1e6
    images = device.images(torch.zeros(2, 3, 4, 4, dtype=torch.float64).permute(0, 1, 3, 2))
    assert images.dtype == torch.float32
    assert images.is_contiguous()


def test_the_meter_counts_on_after_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("glocalseg.training.meter.time.perf_counter", lambda: now[0])
    meter = Meter("x", steps=50, images_per_step=4, done=10, seconds=7.0)
    assert meter.images_per_second(10) == 0
    now[0] = 105.0
    assert meter.seconds == 12.0
    assert meter.images_per_second(35) == 25 * 4 / 5  # this process's own steps


def test_a_log_file_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("glocalseg.training.meter.time.perf_counter", lambda: now[0])
    meter = Meter("data gd seed0", steps=100, images_per_step=10, done=0, seconds=0.0)
    for done in range(1, 41):
        now[0] += 1.0
        meter.tick(done, 0.25)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "data gd seed0: step 16 of 100, loss 0.2500, 10 images/s, 84 s left",
        "data gd seed0: step 32 of 100, loss 0.2500, 10 images/s, 68 s left",
    ]


def test_rows_are_written_with_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_rows(path, [{"a": 1, "b": 0.1}, {"a": 2, "b": float("nan")}], ["b", "a"])
    assert path.read_text() == "b,a\n0.1,1\n,2\n"
    write_rows(path, [], ["b", "a"])
    assert path.read_text() == "b,a\n"
