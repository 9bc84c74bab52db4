"""What the tests of Isaac Lab share: engines, starts, and motor commands that shake a vehicle."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))
