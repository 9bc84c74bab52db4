"""Functions beyond arithmetic, on vectors of lanes in single precision, to within a few units in the last place.

Whatever the argument they take the same operations: a reduction after which a short power series is exact to rounding.
Those that are seldom used call the library's, lane by lane.
"""

from __future__ import annotations

FUNCTIONS = """
// 2^n · e^r with |r| < ln 2 / 2; ln 2 in two parts, so that n · ln 2 is exact.
INLINE Lanes exp(Lanes a) {
  a = larger(smaller(a, all(88)), all(-87));
  const Lanes n = floor(a * Real(1.44269504) + Real(0.5));
  const Lanes r = a - n * Real(0.693359375) + n * Real(2.12194440e-4);
  Lanes sum = r * Real(1.0 / 5040) + Real(1.0 / 720);
  sum = sum * r + Real(1.0 / 120);
  sum = sum * r + Real(1.0 / 24);
  sum = sum * r + Real(1.0 / 6);
  sum = sum * r + Real(0.5);
  sum = sum * r + Real(1);
  sum = sum * r + Real(1);
  return sum * (Lanes)((__builtin_convertvector(n, Places) + 127) << 23);
}

// Of positive numbers: 2^n · (1 + r) with 1 + r between √½ and √2, and log(1 + r) = 2·atanh(r / (2 + r)). a - a is 0,
// or not a number.
INLINE Lanes log(Lanes a) {
  const Places n = ((Places)a - 0x3f3504f3) >> 23;
  const Lanes r = (Lanes)((Places)a - (n << 23)) - Real(1), t = r / (Real(2) + r), s = t * t;
  const Lanes sum = Real(1) + s * (Real(1.0 / 3) + s * (Real(1.0 / 5) + s * (Real(1.0 / 7) + s * Real(1.0 / 9))));
  const Lanes whole = __builtin_convertvector(n, Lanes);
  return whole * Real(0.693359375) + (Real(2) * t * sum - whole * Real(2.12194440e-4)) + (a - a);
}

// Of a and ``quarters`` more quarters of a turn: reduced to an eighth of a turn either way; π/2 in three parts.
INLINE Lanes sine(Lanes a, const Real quarters) {
  const Lanes n = floor(a * Real(0.636619772) + Real(0.5));
  const Lanes r = a - n * Real(1.5703125) - n * Real(4.83751297e-4) - n * Real(7.54978995e-8), s = r * r;
  const Lanes odd_end = Real(1.0 / 120) - s * (Real(1.0 / 5040) - s * Real(1.0 / 362880));
  const Lanes even_end = Real(1.0 / 24) - s * (Real(1.0 / 720) - s * Real(1.0 / 40320));
  const Lanes odd = r * (Real(1) - s * (Real(1.0 / 6) - s * odd_end));
  const Lanes even = Real(1) - s * (Real(0.5) - s * even_end);
  const Lanes halves = (n + quarters) * Real(0.5), turns = halves * Real(0.5);
  const Lanes found = choose(less(halves - floor(halves), all(0.25)), odd, even);
  return choose(less(turns - floor(turns), all(0.5)), found, -found);
}
INLINE Lanes sin(Lanes a) { return sine(a, Real(0)); }
INLINE Lanes cos(Lanes a) { return sine(a, Real(1)); }

INLINE Lanes tanh(Lanes a) {
  const Lanes size = magnitude(a), square = a * a, left = exp(Real(-2) * size);
  const Lanes large = (Real(1) - left) / (Real(1) + left);
  const Lanes bend = Real(1.0 / 3) - square * (Real(2.0 / 15) - square * Real(17.0 / 315));
  const Lanes small = size * (Real(1) - square * bend);
  const Lanes found = choose(less(size, all(0.15)), small, large);
  return choose(less(a, all(0)), -found, found);
}

// Two halvings of the angle, after which the tangent is at most 0.2; for 0 <= a <= 1.
INLINE Lanes atan_of_small(Lanes a) {
  for (int round = 0; round < 2; ++round) a = a / (Real(1) + root(Real(1) + a * a));
  const Lanes s = a * a;
  return Real(4) * a * (Real(1) - s * (Real(1.0 / 3) - s * (Real(1.0 / 5) - s * (Real(1.0 / 7) - s * Real(1.0 / 9)))));
}

// The tangent of half the angle is opposite / (hypotenuse + adjacent), at most 1 in the first quadrant.
INLINE Lanes atan2(Lanes y, Lanes x) {
  const Lanes adjacent = magnitude(x), opposite = magnitude(y);
  const Lanes hypotenuse = root(adjacent * adjacent + opposite * opposite);
  const Lanes first = Real(2) * atan_of_small(opposite / (hypotenuse + adjacent + Real(1e-30)));
  const Lanes upper = choose(less(x, all(0)), Real(3.14159265) - first, first);
  return choose(less(y, all(0)), -upper, upper);
}
INLINE Lanes atan(Lanes a) { return atan2(a, all(1)); }
"""
FUNCTIONS += "".join(
    f"INLINE Lanes {name}(Lanes a) {{\n"
    f"  for (int64_t lane = 0; lane < LANES; ++lane) a[lane] = std::{name}(a[lane]);\n  return a;\n}}\n"
    for name in ("log1p", "atanh")
)
