"""Nested named tuples of tensors, packed into one tensor and back.

A simulator's state is a tree of named tuples whose leaves are tensors of shape ``(worlds, drones)``. Stored packed, as
one tensor of shape ``(leaves, worlds, drones)``, it is copied, indexed and reset by single operations; unpacked, each
leaf is a contiguous row (a view), which is what the compiled physics reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

Tree = TypeVar("Tree")


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of a nested tuple, depth first."""
    if isinstance(tree, tuple):
        for branch in tree:
            yield from leaves(branch)
    else:
        yield tree


def leaf_names(tree: Any, prefix: str = "") -> list[str]:
    """Dotted names of the leaves of a nested named tuple, in the order of :func:`leaves`."""
    if not isinstance(tree, tuple):
        return [prefix]
    fields = getattr(tree, "_fields", range(len(tree)))
    return [
        name
        for field, branch in zip(fields, tree, strict=True)
        for name in leaf_names(branch, f"{prefix}.{field}" if prefix else str(field))
    ]


def map_leaves(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """A tree of the same shape with ``function`` applied to every leaf."""
    if isinstance(tree, tuple):
        branches = [map_leaves(function, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)  # type: ignore[return-value]
    return function(tree)


def pack(tree: Any) -> torch.Tensor:
    """All leaves, broadcast to one shape, stacked along a new first axis."""
    return torch.stack(torch.broadcast_tensors(*leaves(tree)))


def unpack(packed: torch.Tensor, template: Tree) -> Tree:
    """The tree shaped like ``template`` whose leaves are the rows of ``packed`` (views, not copies)."""
    rows = iter(packed.unbind(0))
    return map_leaves(lambda _: next(rows), template)
