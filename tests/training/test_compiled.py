"""When a training is compiled, and what happens where no compiler works; there is no GPU here, so torch.cuda is faked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import NetworkConfig
from glocalseg.training import compiled as module
from glocalseg.training.compiled import WORTH_STEPS, compile_step, compiler_problem
from glocalseg.training.device import Device, choose_device

BROKEN = "RuntimeError: Cannot find a working triton installation"


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU that is said to be there; what a real one sets for the whole process is put back."""
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A compiler that works, or what is said of one that does not."""
    monkeypatch.setattr(module, "compiler_problem", lambda _: request.param)


@pytest.mark.parametrize("compiler", [None], indirect=True)
@pytest.mark.parametrize(
    ("wanted", "steps", "expected"),
    [
        ("auto", WORTH_STEPS, "inductor"),
        ("auto", WORTH_STEPS - 1, None),
        ("auto", 0, None),
        ("never", 10**6, None),
        ("always", 1, "inductor"),
        ("always", 0, None),
    ],
)
@pytest.mark.usefixtures("cuda", "compiler")
def test_on_a_gpu(wanted: str, steps: int, expected: str | None) -> None:
    device = choose_device("auto", 1, compiled=wanted, steps=steps)  # type: ignore[arg-type]
    assert (device.device.type, device.precision, device.backend) == ("cuda", "bfloat16", expected)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


@pytest.mark.parametrize("compiler", [None], indirect=True)
@pytest.mark.parametrize(("wanted", "expected"), [("auto", None), ("never", None), ("always", "inductor")])
@pytest.mark.usefixtures("compiler")
def test_on_a_cpu(wanted: str, expected: str | None) -> None:
    device = choose_device("float32", 1, compiled=wanted, steps=10**6)  # type: ignore[arg-type]
    assert (device.device.type, device.backend) == ("cpu", expected)
    assert device.describe()["compiled"] is (expected is not None)


@pytest.mark.parametrize("compiler", [BROKEN], indirect=True)
@pytest.mark.usefixtures("cuda", "compiler")
def test_auto_runs_without_a_compiler_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_device("auto", 1, compiled="auto", steps=WORTH_STEPS).backend is None
    assert capsys.readouterr().err == f"not compiled, slower: no compiler works on cuda: {BROKEN}\n"


@pytest.mark.parametrize("compiler", [BROKEN], indirect=True)
@pytest.mark.usefixtures("cuda", "compiler")
def test_always_without_a_compiler_is_a_named_error() -> None:
    with pytest.raises(
        ConfigError, match=r"network: compiled: .* on cuda, found RuntimeError: .*; set network.compiled: never"
    ):
        choose_device("auto", 1, compiled="always", steps=1)


def test_the_probe_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: object, **__: object) -> None:
        raise FileNotFoundError("no g++ here\nand a long story about it")

    monkeypatch.setattr(torch, "compile", no_compiler)
    assert compiler_problem(torch.device("cpu")) == "FileNotFoundError: no g++ here"


def test_a_compiler_that_fails_later_is_a_named_error() -> None:
    def broken(graph: object, inputs: object) -> object:
        raise OSError("No space left on device")

    step = compile_step(lambda x: x + 1, broken, cuda_graphs=False)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"the compiler failed: .*No space left on device.*; set network.compiled: never"):
        step(torch.zeros(2))


def test_an_error_of_the_step_itself_stays_what_it_is() -> None:
    def step(x: Tensor) -> Tensor:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        compile_step(step, "aot_eager", cuda_graphs=False)(torch.zeros(2))


def test_options_are_those_of_reduce_overhead_with_choices_that_depend_on_no_timing() -> None:
    """A torch that renames one of them must not go unnoticed."""
    known = torch._inductor.list_options()
    modes = torch._inductor.list_mode_options("reduce-overhead")
    options = module._options("inductor", True)
    assert options == modes | {"deterministic": True}
    assert set(options) <= set(known)
    assert module._options("inductor", False) == {"triton.cudagraphs": False, "deterministic": True}


def test_a_step_begins_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[int] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marks.append(1))
    Device(torch.device("cpu"), "float32", 1, "inductor").begin_step()
    Device(torch.device("cuda"), "float32", 1).begin_step()
    assert marks == []
    Device(torch.device("cuda"), "float32", 1, "inductor").begin_step()
    assert marks == [1]


def test_nothing_is_wrapped_where_nothing_is_compiled() -> None:
    def step(x: Tensor) -> Tensor:
        return x

    assert Device(torch.device("cpu"), "float32", 1).compile(step) is step
    assert Device(torch.device("cpu"), "float32", 1, "aot_eager").compile(step) is not step
    assert NetworkConfig().compiled == "auto"
