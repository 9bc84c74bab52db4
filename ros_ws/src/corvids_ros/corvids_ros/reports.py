"""What the node publishes for people: diagnostics, and poses for RViz and Foxglove."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from rclpy.lifecycle import LifecycleNode

from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.supervision.checks import Seen
from corvids.deploy.supervision.reactions import Reaction, State
from corvids.deploy.supervision.supervisor import Verdict
from corvids_ros.flying import FlyingVehicle
from corvids_ros.poses import PoseSource

DIAGNOSTICS_S, POSES_S = 1.0, 0.1
"""How often [s]."""


class Reports:
    """Two timers of the lifecycle node, which tell what the flight last saw."""

    def __init__(
        self, node: LifecycleNode, flying: FlyingVehicle, sources: dict[str, PoseSource | MocapInput]
    ) -> None:
        self._node, self._flying, self._sources = node, flying, sources
        self._frame = flying.settings["world_frame"] or "map"
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._poses = {
            name: node.create_publisher(PoseStamped, f"~/{name}", 1) for name in ("vehicle", "ball", "place")
        }
        self._timers = [
            node.create_timer(DIAGNOSTICS_S, self._diagnose),
            node.create_timer(POSES_S, self._show),
        ]

    def close(self) -> None:
        """Take everything back."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for publisher in (self._diagnostics, *self._poses.values()):
            self._node.destroy_publisher(publisher)

    def _show(self) -> None:
        if self._flying.last is None:
            return
        seen, _ = self._flying.last
        self._publish("vehicle", seen.pos_w, seen.quat_wb)
        self._publish("ball", seen.ball_pos_w)
        if seen.place_w:
            self._publish("place", seen.place_w)

    def _publish(self, name: str, pos_w: Any, quat_wb: Any = (1.0, 0.0, 0.0, 0.0)) -> None:
        message = PoseStamped()
        message.header.frame_id = self._frame
        message.header.stamp = self._node.get_clock().now().to_msg()
        place, turn = message.pose.position, message.pose.orientation
        place.x, place.y, place.z = pos_w
        turn.w, turn.x, turn.y, turn.z = quat_wb
        self._poses[name].publish(message)

    def _diagnose(self) -> None:
        status = DiagnosticStatus(
            name=f"{self._node.get_fully_qualified_name()}: flight", hardware_id=self._node.get_namespace()
        )
        status.level, status.message = self._verdict()
        status.values = [KeyValue(key=key, value=str(value)) for key, value in self._facts().items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _verdict(self) -> tuple[bytes, str]:
        if self._flying.has_failed:
            return DiagnosticStatus.ERROR, "the flight's loop ended by an error"
        if self._flying.last is None:
            return DiagnosticStatus.WARN, "not started"
        _, verdict = self._flying.last
        state = verdict.state
        if state is State.FAILED or verdict.reaction >= Reaction.PX4_HOLD:
            level = DiagnosticStatus.ERROR
        elif state in (State.DISCONNECTED, State.RECOVERING) or verdict.reaction > Reaction.CLIP:
            level = DiagnosticStatus.WARN
        else:
            level = DiagnosticStatus.OK
        return level, f"{state.value}, {verdict.reaction.name.lower()}"

    def _facts(self) -> dict[str, Any]:
        link, leg = self._flying.link, self._flying.legs.last
        counters, clock = link.reader.counters, link.reader.clock
        facts: dict[str, Any] = {
            "set-points dropped": link.dropped,
            "messages malformed": link.transport.malformed,
            "states malformed": counters.malformed,
            "states not finite": counters.not_finite,
            "states stale": counters.stale,
            "clock resets": clock.resets,
            "messages": counters.received_in_words(),
        }
        if self._flying.last is not None:
            facts.update(_facts_of(*self._flying.last))
        if leg is not None:
            facts["ticks of the last leg"], facts["skipped"] = leg.ticks, leg.skipped
            facts["compute median [ms]"] = f"{1e3 * leg.compute_median_s:.3f}"
            facts["compute max [ms]"] = f"{1e3 * leg.compute_max_s:.3f}"
        for name, source in self._sources.items():
            if isinstance(source, MocapInput):
                facts["pictures from the keeper"] = source.receiver.counters.accepted
                facts[f"{name}'s changes of marker"] = source.markers.switches
                facts[f"{name}'s hits"], facts[f"{name}'s drops"] = source.hits, source.drops
                continue
            facts[f"{name} poses"] = source.received
            facts[f"{name} poses in another frame"] = source.foreign
            facts[f"{name} poses malformed"] = source.malformed
            facts[f"{name} poses ill-timed"] = source.ill_timed
        return facts


def _facts_of(seen: Seen, verdict: Verdict) -> dict[str, Any]:
    facts = {
        "source": verdict.source.value,
        "mode": seen.autopilot.mode.value,
        "armed": seen.autopilot.armed,
        "battery": f"{seen.autopilot.battery:.2f}",
        "state age [ms]": f"{1e3 * (seen.now_s - seen.stamp_s):.1f}",
    }
    if seen.ball_stamp_s is not None:
        facts["ball age [ms]"] = f"{1e3 * (seen.now_s - seen.ball_stamp_s):.1f}"
    return facts
