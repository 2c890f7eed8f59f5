"""This checkout's own code, whichever checkout the environment was made for: imported before all else by every program here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
