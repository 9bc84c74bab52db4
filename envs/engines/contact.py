"""Who resolves what happens between ball and vehicle: our own impact model, or a solver of Isaac Lab's."""

from __future__ import annotations

from typing import Literal

from corvids.errors import CorvidsError

Contact = Literal["ours", "kamino", "xpbd"]
CONTACTS: tuple[Contact, ...] = ("ours", "kamino", "xpbd")
"""Our impact model on Newton's semi-implicit solver, which is exact and fast; and solvers that honour restitution."""

SOLVER = "semi-implicit"
"""The solver with our impacts."""

FORGETFUL = ("featherstone", "mjwarp", "semi-implicit")
"""Newton's solvers that do not look at restitution (tests/isaac/restitution.py); the last collides nothing here."""


def check_contact(contact: str) -> Contact:
    """``contact`` if ball and racket can be left to it."""
    if contact in CONTACTS:
        return contact
    if contact in FORGETFUL:
        raise CorvidsError(
            f"contact {contact!r}: this solver does not honour restitution; there are: {', '.join(CONTACTS)}"
        )
    raise CorvidsError(f"unknown contact {contact!r}; there are: {', '.join(CONTACTS)}")


def solver_of(contact: Contact) -> str:
    """The solver that then integrates the bodies."""
    return SOLVER if contact == "ours" else contact
