"""Stand-ins for PX4 are shared with the tests of the link."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mavlink"))
