"""C++ that traced operations are rendered to: on scalars, or on vectors of one lane a world.

Both define the same functions. ``Real`` must have been defined as float or double. Of the larger and the smaller of two
numbers, where the first is not a number, neither is the result: a run-away is noticed by its NaN.
"""

from __future__ import annotations

LANES = 16
"""Worlds in a vector: a cache line of floats."""

SCALARS = """
#include <cmath>
static inline Real all(Real x) { return x; }
static inline bool less(Real a, Real b) { return a < b; }
static inline bool at_most(Real a, Real b) { return a <= b; }
static inline bool both(bool a, bool b) { return a & b; }
static inline bool either(bool a, bool b) { return a | b; }
static inline bool no(bool a) { return !a; }
static inline Real choose(bool mask, Real a, Real b) { return mask ? a : b; }
static inline Real larger(Real a, Real b) { return a < b ? b : a; }
static inline Real smaller(Real a, Real b) { return b < a ? b : a; }
static inline Real magnitude(Real a) { return std::fabs(a); }
static inline Real root(Real a) { return std::sqrt(a); }
"""

VECTORS = """
#include <cmath>
#include <cstdint>
#include <cstring>
#define INLINE static inline __attribute__((always_inline))
constexpr int64_t LANES = 16;
typedef Real Lanes __attribute__((vector_size(LANES * sizeof(Real))));
INLINE Lanes all(Real x) { return x - Lanes{}; }
INLINE Lanes all(Lanes x) { return x; }
typedef int32_t Places __attribute__((vector_size(LANES * sizeof(int32_t))));

#if defined(__AVX512F__) && defined(SINGLE)
#include <immintrin.h>
// One instruction each, which compilers do not find by themselves where NaN must be kept.
typedef __mmask16 Mask;
INLINE Mask less(Lanes a, Lanes b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OS); }
INLINE Mask at_most(Lanes a, Lanes b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LE_OS); }
INLINE Mask both(Mask a, Mask b) { return a & b; }
INLINE Mask either(Mask a, Mask b) { return a | b; }
INLINE Mask no(Mask a) { return ~a; }
INLINE bool any(Mask a) { return a; }
INLINE Lanes choose(Mask m, Lanes a, Lanes b) { return (Lanes)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
INLINE Lanes larger(Lanes a, Lanes b) { return (Lanes)_mm512_max_ps((__m512)b, (__m512)a); }
INLINE Lanes smaller(Lanes a, Lanes b) { return (Lanes)_mm512_min_ps((__m512)b, (__m512)a); }
INLINE Lanes magnitude(Lanes a) { return (Lanes)_mm512_abs_ps((__m512)a); }
INLINE Lanes root(Lanes a) { return (Lanes)_mm512_sqrt_ps((__m512)a); }
INLINE Lanes floor(Lanes a) { return (Lanes)_mm512_floor_ps((__m512)a); }
INLINE Lanes gather(const Real* from, Places at) { return (Lanes)_mm512_i32gather_ps((__m512i)at, from, sizeof(Real)); }
#else
typedef decltype(Lanes{} < Lanes{}) Mask;
INLINE Mask less(Lanes a, Lanes b) { return a < b; }
INLINE Mask at_most(Lanes a, Lanes b) { return a <= b; }
INLINE Mask both(Mask a, Mask b) { return a & b; }
INLINE Mask either(Mask a, Mask b) { return a | b; }
INLINE Mask no(Mask a) { return ~a; }
INLINE bool any(Mask a) {
  bool found = false;
  for (int64_t lane = 0; lane < LANES; ++lane) found |= a[lane] != 0;
  return found;
}
INLINE Lanes choose(Mask m, Lanes a, Lanes b) { return m ? a : b; }
INLINE Lanes larger(Lanes a, Lanes b) { return a < b ? b : a; }
INLINE Lanes smaller(Lanes a, Lanes b) { return b < a ? b : a; }
INLINE Lanes magnitude(Lanes a) { return a < 0 ? -a : a; }
INLINE Lanes gather(const Real* from, Places at) {
  Real found[LANES];
  for (int64_t lane = 0; lane < LANES; ++lane) found[lane] = from[at[lane]];
  Lanes lanes;
  std::memcpy(&lanes, found, sizeof lanes);
  return lanes;
}
INLINE Lanes floor(Lanes a) {
  for (int64_t lane = 0; lane < LANES; ++lane) a[lane] = std::floor(a[lane]);
  return a;
}
INLINE Lanes root(Lanes a) {
  for (int64_t lane = 0; lane < LANES; ++lane) a[lane] = std::sqrt(a[lane]);
  return a;
}
#endif

// A row's lanes lie side by side, but a world's numbers shall: to[lane * stride + row], of the first ``lanes``. Blocks
// of 16 by 16 are transposed in four rounds: a vector exchanges every other number (pair, four, eight) with the one as
// far away.
INLINE void spread(Real* to, const int64_t stride, const Lanes* rows, const int64_t count,
                   const int64_t lanes = LANES) {
  int64_t begin = 0;
#if defined(__GNUC__) && !defined(__clang__)
  for (; begin + LANES <= count; begin += LANES) {
    Lanes block[LANES];
    for (int64_t row = 0; row < LANES; ++row) block[row] = rows[begin + row];
    #pragma GCC unroll 4
    for (int64_t apart = 1; apart < LANES; apart *= 2) {
      decltype(Lanes{} < Lanes{}) first, second;
      for (int64_t lane = 0; lane < LANES; ++lane) {
        first[lane] = lane & apart ? LANES + lane - apart : lane;
        second[lane] = lane & apart ? LANES + lane : lane + apart;
      }
      #pragma GCC unroll 16
      for (int64_t row = 0; row < LANES; ++row) {
        if (row & apart) continue;
        const Lanes low = block[row], high = block[row + apart];
        block[row] = __builtin_shuffle(low, high, first);
        block[row + apart] = __builtin_shuffle(low, high, second);
      }
    }
    for (int64_t lane = 0; lane < LANES; ++lane)
      if (lane < lanes) std::memcpy(to + lane * stride + begin, block + lane, sizeof(Lanes));
  }
#endif
  for (int64_t lane = 0; lane < lanes; ++lane)
    for (int64_t row = begin; row < count; ++row) to[lane * stride + row] = rows[row][lane];
}
"""
