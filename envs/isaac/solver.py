"""Newton's solvers as Isaac Lab's physics managers: by default the semi-implicit one, which Isaac Lab does not have.

That one keeps bodies in maximal coordinates, and so its precision far from the origin, which the mass matrix of the
Featherstone solver loses there (in single precision); and it is one kernel instead of a dozen.
"""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import newton
from isaaclab.utils import configclass
from isaaclab_newton.physics import (
    FeatherstoneSolverCfg,
    KaminoConstraintsCfg,
    KaminoMaterialsCfg,
    KaminoPADMMSolverCfg,
    MJWarpSolverCfg,
    NewtonManager,
    NewtonXPBDManager,
    XPBDSolverCfg,
)
from isaaclab_newton.physics.newton_manager_cfg import NewtonSolverCfg
from newton.solvers import SolverSemiImplicit


class NewtonSemiImplicitManager(NewtonManager):
    """Isaac Lab's Newton manager around :class:`newton.solvers.SolverSemiImplicit`."""

    @classmethod
    def _create_solver(cls, model: newton.Model, solver_cfg: SemiImplicitSolverCfg) -> SolverSemiImplicit:
        return SolverSemiImplicit(model, **cls._filter_solver_kwargs(SolverSemiImplicit, solver_cfg))

    @classmethod
    def _build_solver(cls, model: newton.Model, solver_cfg: SemiImplicitSolverCfg) -> None:
        NewtonManager._solver = cls._create_solver(model, solver_cfg)
        NewtonManager._use_single_state = False
        NewtonManager._needs_collision_pipeline = False  # impacts are ours
        NewtonManager._supports_rigid_body_force_input = True

    @classmethod
    def _step_solver(cls, state_0, state_1, control, contacts, substep_dt) -> None:
        """One step; Isaac Lab reads joint coordinates, which this solver leaves to be found from the bodies."""
        cls._solver.step(state_0, state_1, control, contacts, substep_dt)
        newton.eval_ik(cls.backend.model, state_1, state_1.joint_q, state_1.joint_qd)


@configclass
class SemiImplicitSolverCfg(NewtonSolverCfg):
    """Semi-implicit Euler in maximal coordinates."""

    class_type: type[NewtonManager] | str = NewtonSemiImplicitManager
    solver_type: str = "semi_implicit"
    angular_damping: float = 0.0
    """Share of the angular velocity that is lost per second."""
    enable_tri_contact: bool = False
    """Contact between deformable triangles."""


class NewtonXpbdManager(NewtonXPBDManager):
    """Isaac Lab's manager of XPBD, which also finds the joint coordinates that Isaac Lab reads."""

    @classmethod
    def _step_solver(cls, state_0, state_1, control, contacts, substep_dt) -> None:
        cls._solver.step(state_0, state_1, control, contacts, substep_dt)
        newton.eval_ik(cls.backend.model, state_1, state_1.joint_q, state_1.joint_qd)


def solver_cfg(name: str) -> NewtonSolverCfg:
    """Newton's solver of that name; contacts as hard, and restitution as far honoured, as each of them can."""
    if name == "kamino":
        # Euler: velocities first, as our reading of a step needs. Means of materials: as other solvers take them.
        # No gamma: what a step lets the ball sink in would be added to its rebound, up to 0.01 in restitution.
        materials = KaminoMaterialsCfg(friction_mix_mode="average", restitution_mix_mode="average")
        return KaminoPADMMSolverCfg(
            integrator="euler",
            use_fk_solver=False,
            max_contacts_per_world=8,
            materials=materials,
            constraints=KaminoConstraintsCfg(gamma=0.0),
        )
    if name == "xpbd":
        return XPBDSolverCfg(class_type=NewtonXpbdManager, enable_restitution=True)
    return {
        "featherstone": FeatherstoneSolverCfg,
        "mjwarp": MJWarpSolverCfg,
        "semi-implicit": SemiImplicitSolverCfg,
    }[name]()
