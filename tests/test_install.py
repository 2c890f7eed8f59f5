"""What `make setup` asks for builds of torch: PyTorch's own index of CPU builds where it answers, the usual one otherwise."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parents[1]


def load_install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", HERE / "envs" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An index on this machine that has torch and nothing else, and the paths that it was asked for."""
    asked: list[str] = []

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/whl/cpu/torch/" else 404)
            self.end_headers()
            self.wfile.write(b"<a href='torch-9%2Bcpu.whl'>torch</a>")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Index) as index:
        thread = threading.Thread(target=index.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{index.server_port}/whl/cpu", asked
        index.shutdown()
        thread.join()


def test_an_index_that_answers_is_taken(server: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    url, asked = server
    assert load_install().cpu_index(url) == url
    assert asked == ["/whl/cpu/torch/"]
    assert capsys.readouterr().out == ""


def test_one_that_refuses_is_left_with_a_word(server: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    url = server[0].replace("cpu", "gone")
    assert load_install().cpu_index(url) == ""
    assert f"{url}, PyTorch's index of CPU builds, does not answer" in capsys.readouterr().out


def test_where_nobody_listens_it_is_left_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    assert load_install().cpu_index(f"http://127.0.0.1:{port}", patience=5) == ""
    assert time.monotonic() - began < 4
    assert "the usual package index is asked" in capsys.readouterr().out


def test_one_that_listens_and_is_silent_costs_its_patience_and_no_more() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        assert load_install().cpu_index(f"http://127.0.0.1:{silent.getsockname()[1]}", patience=0.3) == ""
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("given", "gpu", "expected"),
    [
        ([], False, ["--extra-index-url", "http://cpu"]),
        ([], True, []),
        (["--torch-index=http://mine"], False, ["--extra-index-url", "http://mine"]),
        (["--torch-index=http://mine"], True, ["--extra-index-url", "http://mine"]),
    ],
)
def test_who_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], gpu: bool, expected: list[str]
) -> None:
    """Without an NVIDIA GPU the index of CPU builds comes first; an index that a person names takes its place."""
    install = load_install()
    seen: list[list[str]] = []
    monkeypatch.setattr(install, "has_gpu", lambda: gpu)
    monkeypatch.setattr(install, "cpu_index", lambda: "http://cpu")
    monkeypatch.setattr(install, "make_venv", lambda venv: "/bin/true")
    monkeypatch.setattr(install, "pip", lambda *arguments: True)
    monkeypatch.setattr(install, "install_packages", lambda python, log, extra: seen.append(extra))
    monkeypatch.setattr(sys, "argv", ["install.py", str(tmp_path), *given])
    install.main()
    assert seen == [expected]
