"""What the doctor says of one thing."""

from __future__ import annotations

import dataclasses
from typing import Literal

Verdict = Literal["go", "warn", "no-go"]


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the table."""

    check: str
    found: str
    verdict: Verdict
    fix: str = ""
