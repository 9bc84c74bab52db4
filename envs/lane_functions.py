"""Functions beyond arithmetic, on vectors of lanes."""

from __future__ import annotations

FUNCTIONS = "".join(
    f"INLINE Lanes {name}(Lanes a) {{\n"
    f"  for (int64_t lane = 0; lane < LANES; ++lane) a[lane] = std::{name}(a[lane]);\n  return a;\n}}\n"
    for name in ("exp", "log1p", "tanh", "atan", "atanh", "sin", "cos")
)
FUNCTIONS += """INLINE Lanes atan2(Lanes a, Lanes b) {
  for (int64_t lane = 0; lane < LANES; ++lane) a[lane] = std::atan2(a[lane], b[lane]);
  return a;
}
"""
