"""Compiling changes the speed and nothing else; where nothing can compile, a warning says so."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.envs.compiled.compiling import CACHE_LINE_FLOATS, compiled, padded

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="needs a C++ compiler"
)


@given(st.integers(1, 200_000))
def test_a_row_is_the_shortest_odd_number_of_cache_lines_that_holds_all_worlds(worlds: int):
    rows = padded(worlds)
    assert rows % CACHE_LINE_FLOATS == 0
    assert (rows // CACHE_LINE_FLOATS) % 2 == 1
    assert worlds <= rows < worlds + 2 * CACHE_LINE_FLOATS


def double(x: torch.Tensor) -> torch.Tensor:
    return 2.0 * x


def test_a_function_that_is_not_to_be_compiled_stays_itself():
    assert compiled(double, enabled=False) is double


def test_without_a_compiler_a_warning_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler found \(g\+\+ or clang\+\+\)"):
        assert compiled(double) is double


@needs_compiler
def test_functions_that_differ_in_what_they_close_over_are_compiled_apart():
    """The compiler is told to check shapes alone, so nothing but a code object of its own keeps two closures apart."""

    def scaling(factor: float):
        def scale(x: torch.Tensor) -> torch.Tensor:
            return torch.relu(factor * x) + x

        return scale

    thrice, minus = compiled(scaling(3.0)), compiled(scaling(-1.0))
    x = torch.tensor([-2.0, 1.0])
    assert thrice(x).tolist() == [-2.0, 4.0]
    assert minus(x).tolist() == [0.0, 1.0]
    assert thrice(x).tolist() == [-2.0, 4.0]
