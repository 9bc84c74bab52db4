"""Functions of all worlds' tensors, compiled for the CPU as the simulator's control step is.

In place of torch's compiler: a thread takes a tile of worlds from the first operation to the last, so that nothing
between them goes through memory, and the features of a policy are as cheap as the physics (torch's loops, which run
along the features of one world after the other, took five times as long).
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
// slots, sensed): a sample of a world is a cache line, or one for each body.
struct Past {
  const Real* ring;
  Places late, early;
  Lanes share;
  Lanes row(int64_t index) const {
    const Lanes newer = gather(ring + index, late), older = gather(ring + index, early);
    return newer + (older - newer) * share;
  }
};

INLINE Past look_back(const Real* ring, int32_t newest, int32_t slots, int32_t sensed, int32_t body, Lanes back) {
  const Lanes whole = floor(back);
  const Places samples = __builtin_convertvector(whole, Places), lanes = {@INDEX@};
  // What is not within the ring (or not a number) is read at its newest slot, so that no other memory is.
  const Places late = newest - (samples >= -1 & samples < slots ? samples : Places{});
  const Places wrapped = late < 0 ? late + slots : late >= slots ? late - slots : late;
  const Places before = wrapped > 0 ? wrapped - 1 : wrapped + (slots - 1);
  const Places newer = (lanes * slots + wrapped) * sensed + body, older = (lanes * slots + before) * sensed + body;
  for (int lane = 0; lane < LANES; ++lane) {  // each is a cache line of its own, far away
    __builtin_prefetch(ring + newer[lane]);
    __builtin_prefetch(ring + older[lane]);
  }
  return Past{ring, newer, older, back - whole};
}

extern "C" void run(Real* const* arrays, int64_t worlds, int64_t real, int64_t newest, int64_t slots, int64_t sensed,
                    int64_t threads) {
  #pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t first = 0; first < worlds; first += LANES) {
    #define AT(array, row) (*(Loose*)(arrays[array] + (row) * worlds + first))
    #define PAST(array, body, back) look_back(arrays[array] + first * slots * sensed, newest, slots, sensed, body, back)
    const int64_t lanes = real - first < LANES ? real - first : LANES;
@FEATURES@
@BODY@
@SPREAD@
  }
}
"""
)


class TracedHistory:
    """In place of the simulator's ring of what sensors see, (slots, sensed, rows, bodies)."""

    def __init__(self, program: Program, array: int, sensed: int, bodies: Sequence[int]) -> None:
        self._program, self._array, self._sensed, self._bodies = program, array, sensed, bodies

    def __getitem__(self, index: tuple[Any, slice]) -> TracedHistory:
        """As a tensor's ``[..., bodies]``."""
        return TracedHistory(self._program, self._array, self._sensed, self._bodies[index[-1]])

    def past(self, back: Any) -> Callable[[int], TracedTensor]:
        """What was seen ``back`` samples ago, by its row: a column for each of ``back``, of its own body, or of one."""
        terms = list(back.terms.reshape(-1))
        bodies = [*self._bodies] * (len(terms) if len(self._bodies) == 1 else 1)
        pasts = [
            self._program.quote(f"PAST({self._array}, {body * self._sensed}, {{0}})", term)
            for body, term in zip(bodies, terms, strict=True)
        ]

        def row(index: int) -> TracedTensor:
            return TracedTensor(
                self._program, [[self._program.quote(f"{{0}}.row({index})", past) for past in pasts]]
            )

        return row


class TileFunction:
    """``function`` of packed tensors, (k, rows, 1), or single rows, (rows, 1); traced at the first call.

    An argument of shape (slots, sensed, rows, bodies) is the simulator's history; one without axes its newest slot.
    What is returned is packed tensors, rows, or features, (n · rows, k), of n drones one after the other. All are
    float32, and contiguous but for the history. ``into`` says which results replace which arguments: they are written
    where those were, and returned as those. Features are given of the first ``real`` rows alone, if that is said. Other
    results are written over what was returned ``turns`` calls before: of new tensors, the system would have to hand
    every page out anew, which takes longer than what is written there.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        into: Mapping[int, int] = MappingProxyType({}),
        real: int | None = None,
        turns: int = 0,
    ) -> None:
        """``turns`` 0: results are new."""
        self._function, self._into, self._real = function, into, real
        self._kept: deque[tuple[torch.Tensor, ...]] = deque(maxlen=turns)
        self._run: Callable[..., None] | None = None

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        worlds = next(tensor.shape[-2] for tensor in tensors if tensor.dim())
        run = self._run or self._trace(tensors)
        for tensor, shape in zip(tensors, self._shapes, strict=True):
            fits = tensor.shape == (*shape[:-2], worlds, shape[-1]) if shape else not tensor.dim()
            whole = tensor.permute(2, 0, 3, 1) if tensor.dim() == 4 else tensor
            if not fits or (shape and (tensor.dtype != torch.float32 or not whole.is_contiguous())):
                raise CorvidsError(
                    f"tensor of {tensor.dtype}, shape {tuple(tensor.shape)}, strides {tensor.stride()}: must be"
                    f" contiguous, of torch.float32, with {worlds} worlds on the last axis but one"
                )
        real = worlds if self._real is None else self._real
        results = self._places(tensors, worlds, real)
        newest, slots, sensed = 0, 1, 1
        for tensor in tensors:
            if not tensor.dim():
                newest = int(tensor)
            elif tensor.dim() == 4:
                slots, sensed = tensor.shape[0], tensor.shape[1] * tensor.shape[3]
        arrays = (ctypes.c_void_p * (len(tensors) + len(results)))(
            *(tensor.data_ptr() for tensor in (*tensors, *results))
        )
        threads = min(torch.get_num_threads(), worlds // LANES)
        run(arrays, worlds, real, newest, slots, sensed, threads)
        return results

    def _places(self, tensors: tuple[torch.Tensor, ...], worlds: int, real: int) -> tuple[torch.Tensor, ...]:
        """Tensors for the results."""
        shapes = [
            (shape[0] * real, shape[1]) if _is_features(shape) else (*shape[:-2], worlds, 1)
            for shape in self._results
        ]
        kept: tuple[torch.Tensor, ...] | None = None
        if self._kept.maxlen and len(self._kept) == self._kept.maxlen:
            kept = self._kept.popleft()
        results = tuple(
            tensors[self._into[number]]
            if number in self._into
            else kept[number]
            if kept and kept[number].shape == shape
            else torch.empty(shape)
            for number, shape in enumerate(shapes)
        )
        self._kept.append(results)
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
            if not _is_features(result.shape):
                places += [(f"AT({array}, {row})", term) for row, term in enumerate(result.terms.reshape(-1))]
                continue
            drones, count = result.shape
            features.append(f"Lanes f{number}[{drones}][{count}];")
            for drone, terms in enumerate(result.terms):
                spreads.append(
                    f"spread(arrays[{array}] + ({drone} * real + first) * {count}, {count}, f{number}[{drone}],"
                    f" {count}, lanes);"
                )
                places += [(f"f{number}[{drone}][{row}]", term) for row, term in enumerate(terms)]
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
        run.argtypes = [ctypes.c_void_p] + [ctypes.c_int64] * 6
        run.restype = None
        self._run = run
        return run


def _is_features(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] > 1


def _traced(program: Program, array: int, tensor: torch.Tensor) -> Any:
    if not tensor.dim():
        return None
    if tensor.dim() == 4:
        return TracedHistory(program, array, tensor.shape[1], range(tensor.shape[3]))
    count = tensor.shape[0] if tensor.dim() == 3 else 1
    terms = [program.variable(f"Lanes(AT({array}, {row}))") for row in range(count)]
    shape = (count, 1, 1) if tensor.dim() == 3 else (1, 1)
    return TracedTensor(program, terms).reshape(*shape)
