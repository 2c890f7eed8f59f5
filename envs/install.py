"""Make the project's environment: a venv with every package of requirements.lock and the project itself.

Run by ``make setup`` with the system's Python and nothing but its standard library.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
LOCK = HERE / "requirements.lock"
QUIETLY = ("--progress-bar", "off", "--disable-pip-version-check")
NO_MATCH = "No matching distribution found for torch=="
# PyTorch's own index of CPU builds: on Linux, the usual one has none.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 3.0  # seconds that it has to answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venv", type=Path)
    parser.add_argument("--torch-index", default="", help="extra package index for torch, instead of PyTorch's own")
    args = parser.parse_args()
    started = time.monotonic()
    python = make_venv(args.venv)
    log = args.venv / "pip.log"
    log.write_text("", encoding="utf-8")
    index = args.torch_index or ("" if has_gpu() else cpu_index())
    extra = ["--extra-index-url", index] if index else []
    install_packages(python, log, extra)
    # on all cores, where pip would use one; its status counts for nothing: some packages ship templates that are no Python
    print("  compiling on all cores", flush=True)
    subprocess.run([python, "-m", "compileall", "-qq", "-j", "0", str(args.venv / "lib")], stdout=subprocess.DEVNULL)
    pip(python, log, ["--no-deps", "--no-build-isolation", "--editable", str(HERE)], "the project itself")
    print(f"{args.venv}: ready after {time.monotonic() - started:.0f} s")


def make_venv(venv: Path) -> str:
    """The venv's Python; the venv is made if it is not there. Stops with advice where Python has no venv."""
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"{venv}: a new environment with Python {platform.python_version()}", flush=True)
        try:
            import ensurepip  # noqa: F401  Debian and Ubuntu leave it out of python3
            import venv as module
        except ImportError:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            sys.exit(
                f"{sys.executable} cannot make environments: expected its modules venv and ensurepip, found none. "
                f"On Debian or Ubuntu: apt install python{version}-venv"
            )
        module.create(venv, with_pip=True, clear=venv.exists())
    return str(python)


def install_packages(python: str, log: Path, extra: list[str]) -> None:
    """Install the lock file in one call, so that no package is replaced by the next one's wishes."""
    wanted = torch_pins(pinned("torch"), gpu=has_gpu())
    for number, pin in enumerate(wanted, 1):
        what = f"packages of {LOCK.name} with {pin}"
        packages = [*extra, pin, "-r", str(LOCK)]
        # The lock names all that a CPU build needs, so nothing has to be worked out, and nothing else can come in; a CUDA build
        # needs more than the lock names, and so may another Python.
        alone = ["--no-deps"] if pin.endswith("+cpu") else []
        if pip(python, log, [*alone, *packages], what, NO_MATCH):
            if alone and not checked(python):
                pip(python, log, packages, "what they need")
            return
        if number < len(wanted):
            print(
                f"The package index offers no {pin}, the build for machines without an NVIDIA GPU. Taking {wanted[number]}\n"
                "instead, which may bring several GB of CUDA packages. To avoid that, stop here and give an index\n"
                "that has CPU builds of torch: make setup TORCH_INDEX=<its url>",
                flush=True,
            )
    sys.exit(f"no torch for Python {platform.python_version()} on {platform.machine()} in the package index: see {log}")


def checked(python: str) -> bool:
    """Whether every package of the environment has what it needs."""
    return subprocess.run([python, "-m", "pip", "check"], capture_output=True).returncode == 0


def torch_pins(version: str, *, gpu: bool) -> list[str]:
    """Requirements for torch, best first: a machine without an NVIDIA GPU takes the CPU build where there is one."""
    plain = f"torch=={version}"
    return [plain] if gpu else [f"{plain}+cpu", plain]


def cpu_index(url: str = CPU_INDEX, patience: float = PATIENCE) -> str:
    """The index of CPU builds, if it answers in time; otherwise nothing, and one line says so."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{url}/torch/", timeout=patience) as answer:
                if answer.status == 200:
                    answered.set()
        except (OSError, ValueError):  # no such host, nobody there, a refusal, no url
            pass

    # in a thread, because looking up a host's name has no time limit of its own
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    if answered.is_set():
        return url
    print(f"{url}, PyTorch's index of CPU builds, does not answer: the usual package index is asked", flush=True)
    return ""


def has_gpu() -> bool:
    """Whether an NVIDIA GPU can be seen."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def pinned(name: str) -> str:
    """The version of a package in the lock file."""
    match = re.search(rf"^{re.escape(name)}==(\S+)$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        sys.exit(f"{LOCK}: expected a line {name}==<version>, found none")
    return match.group(1)


def pip(python: str, log: Path, arguments: list[str], what: str, unless: str | None = None) -> bool:
    """Run pip install with one line of progress; all it prints goes to the log.

    Returns:
        False if pip failed and said ``unless``. Any other failure stops with the end of the log.
    """
    command = [python, "-m", "pip", "install", "--no-compile", *QUIETLY, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        with log.open("a", encoding="utf-8") as f:
            progress = Progress(what)
            for line in process.stdout:
                f.write(line)
                lines.append(line)
                progress.update(line)
    if process.returncode == 0:
        progress.end("done")
        return True
    if unless is not None and any(unless in line for line in lines):
        progress.end("not there")
        return False
    progress.end("failed")
    sys.exit("".join(lines[-15:]) + f"\npip failed; everything that it said is in {log}")


class Progress:
    """One line that says what pip is at: rewritten on a terminal, repeated now and then in a log."""

    def __init__(self, what: str) -> None:
        self.what, self.started, self.shown, self.packages = what, time.monotonic(), 0.0, 0
        self.show("...", force=True)

    def update(self, line: str) -> None:
        """Take in one line of pip's output."""
        words = line.split()
        if not words:
            return
        if words[0] in ("Collecting", "Processing", "Requirement"):
            self.packages += 1
        installing = line.startswith("Installing collected")
        state = "installing" if installing else f"{self.packages} packages found"
        self.show(state, force=installing)

    def end(self, state: str) -> None:
        """The last state."""
        self.show(state, force=True, last=True)

    def show(self, state: str, *, force: bool = False, last: bool = False) -> None:
        """Print the line if it is time to."""
        now, terminal = time.monotonic(), sys.stdout.isatty()
        if not force and now - self.shown < (0.2 if terminal else 20):
            return
        self.shown = now
        text = f"  {self.what}: {state} ({now - self.started:.0f} s)"
        print(f"\r{text:<110}" if terminal else text, end="\n" if last or not terminal else "", flush=True)


if __name__ == "__main__":
    main()
