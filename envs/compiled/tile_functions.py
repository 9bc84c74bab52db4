"""Functions of all worlds' tensors, compiled for the CPU as the simulator's control step is.

In place of torch's compiler: a thread takes a tile of worlds from the first operation to the last, so that nothing
between them goes through memory, and the features of a policy are as cheap as the physics (torch's loops, which run
along the features of one world after the other, took five times as long).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from corvids.envs.compiled.lane_functions import FUNCTIONS
from corvids.envs.compiled.lanes import LANES, VECTORS
from corvids.envs.compiled.native_code import load
from corvids.envs.compiled.traced_tensor import TracedTensor
from corvids.envs.compiled.tracing import Program
from corvids.errors import CorvidsError

_SOURCE = (
    "#define SINGLE\nusing Real = float;\n"
    + VECTORS
    + FUNCTIONS
    + """
typedef Real Loose __attribute__((vector_size(LANES * sizeof(Real)), aligned(sizeof(Real)), may_alias));

// What sensors saw ``back`` samples before the newest, between the two samples nearest to that. The ring is (worlds,
// slots, sensed): a sample of a world is a cache line.
struct Past {
  const Real* ring;
  Places late, early;
  Lanes share;
  Lanes row(int64_t index) const {
    const Lanes newer = gather(ring + index, late), older = gather(ring + index, early);
    return newer + (older - newer) * share;
  }
};

INLINE Past look_back(const Real* ring, int32_t newest, int32_t slots, int32_t sensed, Lanes back) {
  const Lanes whole = floor(back);
  const Places samples = __builtin_convertvector(whole, Places), lanes = {@INDEX@};
  // What is not within the ring (or not a number) is read at its newest slot, so that no other memory is.
  const Places late = newest - (samples >= -1 & samples < slots ? samples : Places{});
  const Places wrapped = late < 0 ? late + slots : late >= slots ? late - slots : late;
  const Places before = wrapped > 0 ? wrapped - 1 : wrapped + (slots - 1);
  const Places newer = (lanes * slots + wrapped) * sensed, older = (lanes * slots + before) * sensed;
  for (int lane = 0; lane < LANES; ++lane) {  // each is a cache line of its own, far away
    __builtin_prefetch(ring + newer[lane]);
    __builtin_prefetch(ring + older[lane]);
  }
  return Past{ring, newer, older, back - whole};
}

extern "C" void run(Real* const* arrays, int64_t worlds, int64_t newest, int64_t slots, int64_t sensed,
                    int64_t threads) {
  #pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t first = 0; first < worlds; first += LANES) {
    #define AT(array, row) (*(Loose*)(arrays[array] + (row) * worlds + first))
    #define PAST(array, back) look_back(arrays[array] + first * slots * sensed, newest, slots, sensed, back)
@FEATURES@
@BODY@
@SPREAD@
  }
}
"""
)


class TracedHistory:
    """In place of the simulator's ring of what sensors see."""

    def __init__(self, program: Program, array: int) -> None:
        self._program, self._array = program, array

    def past(self, back: Any) -> Callable[[int], TracedTensor]:
        """What was seen ``back`` samples ago, by its row."""
        (term,) = back.terms.reshape(-1)
        past = self._program.quote(f"PAST({self._array}, {{0}})", term)

        def row(index: int) -> TracedTensor:
            return TracedTensor(self._program, [[self._program.quote(f"{{0}}.row({index})", past)]])

        return row


class TileFunction:
    """``function`` of packed tensors, (k, rows, 1), or single rows, (rows, 1); traced at the first call.

    An argument of shape (slots, sensed, rows, 1) is the simulator's history; one without axes its newest slot. What is
    returned is packed tensors, rows, or features, (rows, k). All are float32, and contiguous but for the history.
    ``into`` says which results replace which arguments: they are written where those were, and returned as those.
    """

    def __init__(self, function: Callable[..., Any], into: Mapping[int, int] = MappingProxyType({})) -> None:
        self._function, self._into = function, into
        self._run: Callable[..., None] | None = None

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        worlds = next(tensor.shape[-2] for tensor in tensors if tensor.dim())
        run = self._run or self._trace(tensors)
        for tensor, shape in zip(tensors, self._shapes, strict=True):
            fits = tensor.shape == (*shape[:-2], worlds, 1) if shape else not tensor.dim()
            whole = tensor.permute(2, 0, 1, 3) if tensor.dim() == 4 else tensor
            if not fits or (shape and (tensor.dtype != torch.float32 or not whole.is_contiguous())):
                raise CorvidsError(
                    f"tensor of {tensor.dtype}, shape {tuple(tensor.shape)}, strides {tensor.stride()}: must be"
                    f" contiguous, of torch.float32, with {worlds} worlds on the last axis but one"
                )
        results = tuple(
            tensors[self._into[number]]
            if number in self._into
            else torch.empty((worlds, shape[1]) if len(shape) == 2 else (shape[0], worlds, 1))
            for number, shape in enumerate(self._results)
        )
        newest, slots, sensed = 0, 1, 1
        for tensor in tensors:
            if not tensor.dim():
                newest = int(tensor)
            elif tensor.dim() == 4:
                slots, sensed = tensor.shape[:2]
        arrays = (ctypes.c_void_p * (len(tensors) + len(results)))(
            *(tensor.data_ptr() for tensor in (*tensors, *results))
        )
        threads = min(torch.get_num_threads(), worlds // LANES)
        run(arrays, worlds, newest, slots, sensed, threads)
        return results

    def _trace(self, tensors: tuple[torch.Tensor, ...]) -> Callable[..., None]:
        program = Program()
        self._shapes = [tuple(tensor.shape) for tensor in tensors]
        results = self._function(*(_traced(program, array, one) for array, one in enumerate(tensors)))
        self._results = [result.shape for result in results]
        for number, array in self._into.items():
            if self._results[number][0] != self._shapes[array][0] or len(self._shapes[array]) != 3:
                raise CorvidsError(
                    f"result {number} of shape {tuple(self._results[number])} cannot replace argument {array}"
                    f" of shape {self._shapes[array]}"
                )
        places: list[tuple[str, Any]] = []
        features, spreads = [], []
        for number, result in enumerate(results):
            array = len(tensors) + number
            terms = result.terms.reshape(-1)
            if result.terms.ndim == 2 and len(terms) > 1:
                features.append(f"Lanes f{number}[{len(terms)}];")
                spreads.append(
                    f"spread(arrays[{array}] + first * {len(terms)}, {len(terms)}, f{number}, {len(terms)});"
                )
                places += [(f"f{number}[{row}]", term) for row, term in enumerate(terms)]
            else:
                places += [(f"AT({array}, {row})", term) for row, term in enumerate(terms)]
        filled = {
            "INDEX": ", ".join(map(str, range(LANES))),
            "FEATURES": "\n".join(features),
            "BODY": program.statements(places, with_branches=True),
            "SPREAD": "\n".join(spreads),
        }
        source = _SOURCE
        for name, value in filled.items():
            source = source.replace(f"@{name}@", value)
        run = load(source).run
        run.argtypes = [ctypes.c_void_p] + [ctypes.c_int64] * 5
        run.restype = None
        self._run = run
        return run


def _traced(program: Program, array: int, tensor: torch.Tensor) -> Any:
    if not tensor.dim():
        return None
    if tensor.dim() == 4:
        return TracedHistory(program, array)
    count = tensor.shape[0] if tensor.dim() == 3 else 1
    terms = [program.variable(f"Lanes(AT({array}, {row}))") for row in range(count)]
    shape = (count, 1, 1) if tensor.dim() == 3 else (1, 1)
    return TracedTensor(program, terms).reshape(*shape)
