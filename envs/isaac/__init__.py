"""Isaac Lab as a second engine: its solvers integrate the bodies, everything else is ours.

Rotors, rate loop, aerodynamics, sensing, randomization and the ball's impacts are the modules that the native simulator
runs, called inside Isaac Lab's physics steps. Nothing here is imported unless Isaac Lab is asked for.
"""

from __future__ import annotations

import importlib.util

from corvids.errors import CorvidsError


def require_isaac() -> None:
    """Refuse, with how to install it, where Isaac Lab is not to be had."""
    missing = [name for name in ("isaaclab", "isaaclab_newton") if importlib.util.find_spec(name) is None]
    if missing:
        raise CorvidsError(
            f"Isaac Lab ({missing[0]}) is not installed here; it needs Python 3.12: run `make setup-isaac` and use"
            " .venv-isaac/bin/corvids, or pip install 'corvids[isaac]'"
        )
