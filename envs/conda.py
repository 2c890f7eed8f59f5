"""Write envs/cpu.yaml and envs/cuda.yaml, conda environments with the versions of requirements.lock."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = """\
# Written by envs/conda.py from requirements.lock: the same versions. For `snakemake --software-deployment-method conda`.
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def text(kind: str) -> str:
    """The environment file of ``cpu`` or ``cuda``: for cpu, torch is the CPU build."""
    pins = [line for line in (HERE.parent / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    if kind == "cpu":
        pins = [f"{pin}+cpu" if pin.startswith("torch==") else pin for pin in pins]
    return HEAD + "".join(f"      - {pin}\n" for pin in pins)


if __name__ == "__main__":
    for name in ("cpu", "cuda"):
        (HERE / f"{name}.yaml").write_text(text(name))
