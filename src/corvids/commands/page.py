"""What the report pages share: one HTML file with its plots inside."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

INK, ACCENT, SOFT = "#1b2733", "#0b7285", "#a5d8dd"
"""Colours of text, of what matters, and of areas."""
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}
h1{margin-bottom:0} .sub{color:#5b6b7a;margin-top:.2rem} table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .9rem .25rem 0;text-align:left;border-bottom:1px solid #dde4ea}
td.n{text-align:right;font-variant-numeric:tabular-nums} figure{margin:1.5rem 0} figcaption{color:#5b6b7a}
svg{max-width:100%;height:auto}
"""


def page(title: str, subtitle: str, body: str) -> bytes:
    """The whole file; ``subtitle`` and ``title`` are text, ``body`` is HTML."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p class=sub>{html.escape(subtitle)}</p>{body}</html>\n"
    ).encode()


def figure_html(svg: str, caption: str) -> str:
    """A plot with what it shows."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def table_html(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table whose first column is text and whose others are figures."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr><td>{html.escape(first)}</td>{''.join(f'<td class=n>{html.escape(c)}</td>' for c in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table><tr>{top}</tr>{lines}</table>"


def canvas(rows: int = 1, columns: int = 1, height: float = 2.6, sharex: bool = True) -> tuple[Any, Any]:
    """A figure and its axes (one, or an array); ``height`` [inch] of each row; ``sharex``: rows have one time axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=sharex and rows > 1)
    for one in np.atleast_1d(axes).flat:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25)
    return figure, axes


def svg_of(figure: Any) -> str:
    """The figure as an SVG element."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def correlation_svg(covariance: np.ndarray, names: Sequence[str]) -> str:
    """Correlations of estimates from their covariance (P, P)."""
    std = np.sqrt(np.diag(covariance))
    figure, axes = canvas(height=6.0)
    image = axes.imshow(covariance / np.outer(std, std), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    axes.set_xticks(range(len(std)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(std)), names, fontsize=7)
    axes.grid(False)
    figure.colorbar(image, ax=axes, shrink=0.7)
    return svg_of(figure)
