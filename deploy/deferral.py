"""Ctrl-C that waits for the end of what must not be left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Whole = contextlib.AbstractContextManager[Any]
"""What is done in its ``with`` blocks is done as a whole."""


class _Deferral:
    """A Ctrl-C that comes in a ``with`` block of this acts at its end, any other at once.

    Masking the signal would not do: the system gives it to another thread then, and Python still acts in this one.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self._handler = handler
        self._is_inside = self._is_due = False

    def hear(self, kind: int, frame: FrameType | None) -> None:
        if self._is_inside:
            self._is_due = True
        else:
            self._handler(kind, frame)

    def __enter__(self) -> None:
        self._is_inside = True

    def __exit__(self, *_: object) -> None:
        self._is_inside = False
        if self._is_due:
            self._is_due = False
            self._handler(signal.SIGINT, None)


@contextlib.contextmanager
def deferrable() -> Iterator[Whole]:
    """Until its end, Ctrl-C waits for the end of ``with`` blocks of what this hands out.

    Nothing changes where Ctrl-C is ignored, nor in other threads than the main one, which it does not interrupt.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield contextlib.nullcontext()
        return
    deferral = _Deferral(before)
    signal.signal(signal.SIGINT, deferral.hear)
    try:
        yield deferral
    finally:
        signal.signal(signal.SIGINT, before)
