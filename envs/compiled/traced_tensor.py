"""Tensors of terms: with them in place of tensors, a function of whole tensors leaves behind a list of operations.

One world stands for all: a packed tensor of shape ``(k, rows, 1)`` is traced as ``(k, 1, 1)``, features ``(rows, k)``
as ``(1, k)``, those of every drone of a team, ``(drones · rows, k)``, as ``(drones, k)``. Axes behave as torch's do;
every operation comes apart into scalar ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from corvids.envs.compiled.tracing import TRUTHS, Program, Term

_BINARY = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "truediv": "/", "lt": "<", "gt": ">", "le": "<=", "ge": ">=",
    "and": "&", "or": "|", "logical_or": "|", "minimum": "smaller", "maximum": "larger", "atan2": "atan2",
}  # fmt: skip
_UNARY = {
    "neg": "negative", "invert": "not", "abs": "abs", "relu": "relu", "sqrt": "sqrt", "rsqrt": "rsqrt", "exp": "exp",
    "log": "log",
    "log1p": "log1p", "tanh": "tanh", "atan": "atan", "atanh": "atanh", "sin": "sin", "cos": "cos", "floor": "floor",
}  # fmt: skip


class TracedTensor:
    """An array of terms (and numbers), used like a tensor."""

    dtype = torch.float32
    device = torch.device("cpu")

    def __init__(self, program: Program, terms: Any) -> None:
        self.program = program
        self.terms = terms if isinstance(terms, np.ndarray) else _array(terms)

    @property
    def shape(self) -> tuple[int, ...]:
        """As a tensor's, one world long along the axis of worlds."""
        return self.terms.shape

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _UNARY and name not in _BINARY and name not in _SHAPED:
            raise AttributeError(f"traced tensors do not know {name!r}")
        return lambda *args, **kwargs: self._call(name, (self, *args), kwargs)

    def __getitem__(self, index: Any) -> TracedTensor:
        found = self.terms[index]
        return TracedTensor(self.program, found if isinstance(found, np.ndarray) else np.array(found, object))

    def __iter__(self) -> Iterator[TracedTensor]:
        return iter(self.unbind(0))

    def to(self, *_: Any, **__: Any) -> TracedTensor:
        """Numbers as they are; truth values as 1 and 0."""

        def number(term: Any) -> Any:
            is_truth = isinstance(term, Term) and term.operation in TRUTHS
            return self.program.apply("where", term, 1.0, 0.0) if is_truth else term

        return TracedTensor(self.program, np.frompyfunc(number, 1, 1)(self.terms))

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        one = next(argument for argument in _flat(args) if isinstance(argument, TracedTensor))
        return one._call(func.__name__, args, kwargs or {})

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = name.strip("_")
        reflected = name[0] == "r" and name[1:] in _BINARY and name not in _UNARY
        if reflected:
            name, args = name[1:], args[::-1]
        if name == "to":  # a tensor of numbers that is made like a traced one
            return args[0]
        if name in _BINARY or name in _UNARY:
            return self._each(_BINARY.get(name) or _UNARY[name], *args)
        if name in _SHAPED:
            return _SHAPED[name](self, *args, **kwargs)
        raise TypeError(f"traced tensors do not know torch's {name!r}")

    def _each(self, operation: str, *operands: Any) -> TracedTensor:
        def apply(*terms: Any) -> Term:
            return self.program.apply(operation, *terms)

        arrays = [_array(operand) for operand in operands]
        return TracedTensor(self.program, np.frompyfunc(apply, len(arrays), 1)(*arrays))


def _operator(name: str, reflected: bool = False) -> Callable[..., TracedTensor]:
    def operate(self: TracedTensor, *others: Any) -> TracedTensor:
        operands = (*others, self) if reflected else (self, *others)
        return self._call(name, operands, {})

    return operate


for _name in ("add", "sub", "mul", "truediv", "and", "or"):
    setattr(TracedTensor, f"__{_name}__", _operator(_name))
    setattr(TracedTensor, f"__r{_name}__", _operator(_name, reflected=True))
for _name in ("lt", "gt", "le", "ge", "neg", "invert", "matmul"):
    setattr(TracedTensor, f"__{_name}__", _operator(_name))


def _flat(arguments: Any) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, (tuple, list)):
            yield from _flat(argument)
        else:
            yield argument


def _array(operand: Any) -> np.ndarray:
    """Terms or numbers of ``operand``; a bare term stands for one component, (1, 1)."""
    if isinstance(operand, TracedTensor):
        return operand.terms
    if isinstance(operand, Term):
        return np.full((1, 1), operand, object)
    return np.asarray(operand.tolist() if isinstance(operand, torch.Tensor) else operand, object)


def _joined(join: Callable[..., np.ndarray]) -> Callable[..., TracedTensor]:
    def joined(one: TracedTensor, parts: Iterable[Any], dim: int = 0) -> TracedTensor:
        return TracedTensor(one.program, join([_array(part) for part in parts], axis=dim))

    return joined


def _clamp(one: TracedTensor, value: Any, min: Any = None, max: Any = None) -> TracedTensor:
    if min is not None:
        value = one._each("larger", value, min)
    return value if max is None else one._each("smaller", value, max)


def _sum(one: TracedTensor, value: TracedTensor, dim: int, keepdim: bool = False) -> TracedTensor:
    return TracedTensor(one.program, np.add.reduce(value.terms, axis=dim, keepdims=keepdim))


def _reshaped(one: TracedTensor, value: TracedTensor, *shape: Any) -> TracedTensor:
    sizes = shape[0] if isinstance(shape[0], tuple) else shape
    return TracedTensor(one.program, value.terms.reshape(sizes))


def _split(
    one: TracedTensor, value: TracedTensor, sizes: int | tuple[int, ...], dim: int = 0
) -> list[TracedTensor]:
    length = value.shape[dim]
    ends = np.cumsum(sizes)[:-1] if isinstance(sizes, tuple) else range(sizes, length, sizes)
    return [TracedTensor(one.program, part) for part in np.split(value.terms, ends, axis=dim)]


def _expanded(one: TracedTensor, value: TracedTensor, *sizes: int) -> TracedTensor:
    shape = [length if size == -1 else size for size, length in zip(sizes, value.shape, strict=True)]
    return TracedTensor(one.program, np.broadcast_to(value.terms, shape))


def _cross(one: TracedTensor, a: Any, b: Any) -> TracedTensor:
    a, b = (TracedTensor(one.program, array) for array in np.broadcast_arrays(_array(a), _array(b)))
    ahead, behind = [1, 2, 0], [2, 0, 1]
    return a[..., ahead] * b[..., behind] - a[..., behind] * b[..., ahead]


def _linear(one: TracedTensor, value: Any, weight: Any, bias: Any = None) -> TracedTensor:
    product = np.matmul(_array(value), _array(weight).T)
    return TracedTensor(one.program, product if bias is None else product + _array(bias))


def _elu(one: TracedTensor, value: Any, alpha: float = 1.0, inplace: bool = False) -> TracedTensor:
    if alpha != 1.0:
        raise TypeError(f"traced tensors know torch's elu with an alpha of 1 only, not {alpha}")
    return one._each("elu", value)


_SHAPED: dict[str, Callable[..., Any]] = {
    "where": lambda one, mask, a, b: one._each("where", mask, a, b),
    "square": lambda one, value: one._each("*", value, value),
    "clamp": _clamp,
    "clip": _clamp,
    "sum": _sum,
    "linalg_vector_norm": lambda one, value, dim, keepdim=False: _sum(
        one, one._each("*", value, value), dim, keepdim
    ).sqrt(),
    "matmul": lambda one, a, b: TracedTensor(one.program, np.matmul(_array(a), _array(b))),
    "cat": _joined(np.concatenate),
    "stack": _joined(np.stack),
    "broadcast_tensors": lambda one, *parts: [
        TracedTensor(one.program, array) for array in np.broadcast_arrays(*map(_array, _flat(parts)))
    ],
    "unbind": lambda one, value, dim=0: tuple(
        TracedTensor(one.program, part) for part in np.moveaxis(value.terms, dim, 0)
    ),
    "split": _split,
    "expand": _expanded,
    "expand_as": lambda one, value, other: _expanded(one, value, *other.shape),
    "transpose": lambda one, value, a, b: TracedTensor(one.program, np.swapaxes(value.terms, a, b)),
    "permute": lambda one, value, *axes: TracedTensor(one.program, np.transpose(value.terms, axes)),
    "linear": _linear,
    "elu": _elu,
    "t": lambda one, value: TracedTensor(one.program, value.terms.T),
    "linalg_cross": _cross,
    "unsqueeze": lambda one, value, dim: TracedTensor(one.program, np.expand_dims(value.terms, dim)),
    "squeeze": lambda one, value, dim: TracedTensor(one.program, np.squeeze(value.terms, dim)),
    "reshape": _reshaped,
    "zeros_like": lambda one, value: one._each("*", value, 0.0),
    "ones_like": lambda one, value: one._each("+", one._each("*", value, 0.0), 1.0),
    "full_like": lambda one, value, number: one._each("+", one._each("*", value, 0.0), number),
}
