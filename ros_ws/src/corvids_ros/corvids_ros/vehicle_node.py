"""The lifecycle node of one vehicle: parameters in, words in, diagnostics out.

configure: reads the policy, compares messages with PX4's. activate: starts keeper and flight; nothing is streamed until
an operator says ``engage``, and ``arm`` before it where the vehicle is not armed. deactivate: has PX4 hold, if the
vehicle is flown, and refuses to end before it does.
"""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.state_port import read_key
from corvids.deploy.supervision.checks import Word
from corvids.deploy.supervision.reactions import Reaction
from corvids.deploy.supervision.supervisor import Entry
from corvids.errors import CorvidsError
from corvids_ros.fast_dds import avoid_shared_memory, complaint
from corvids_ros.flying import FlyingVehicle
from corvids_ros.format_check import check_formats
from corvids_ros.message_link import MessageLink
from corvids_ros.poses import Pose, PoseSource
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.reports import Reports
from corvids_ros.ros_transport import RosTransport
from corvids_ros.settings import SETTINGS, Setting, Settings, as_declared, problem

POSE_TYPES = {"PoseStamped": PoseStamped, "Odometry": Odometry}
SWITCH_S = 0.0002
"""Time after which a thread lets another one run [s]; Python's own choice, 5 ms, is more than a state's way takes."""
IN_FLIGHT = frozenset({"command"})
"""Parameters that may change while the node is configured."""


class VehicleNode(LifecycleNode):
    """One vehicle; several have a namespace each."""

    def __init__(self, **options: Any) -> None:
        super().__init__("corvids", **options)
        for setting in SETTINGS:
            self._declare(setting)
        self._declare(Setting("autostart", False, "configure and activate by itself"), read_only=True)
        self.add_on_set_parameters_callback(self._judge_parameters)
        self._flying: FlyingVehicle | None = None
        self._transport: RosTransport | None = None
        self._reports: Reports | None = None
        for word in Word:
            self.create_service(
                Trigger, f"~/{word.value}", lambda _, answer, said=word: self._hear(said, answer)
            )

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not self._succeeds(self._configure):
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not self._succeeds(self._activate):
            return TransitionCallbackReturn.FAILURE
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._flying and not self._flying.may_close():
            self.get_logger().error("PX4 does not hold, so the flight goes on: take over, or say land")
            return TransitionCallbackReturn.FAILURE
        self._close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.end()
        return super().on_shutdown(state)

    def end(self) -> None:
        """End whatever flies; the keeper stays for a vehicle that still listens to set-points."""
        if self._flying and not self._flying.may_close():
            self.get_logger().error("PX4 does not hold: left to the keeper")
        self._close()

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's, by which its services set parameters; here a whole number will do for a real one."""
        by_name = {setting.name: setting for setting in SETTINGS}
        return super().set_parameters_atomically(
            [
                Parameter(given.name, value=as_declared(by_name[given.name], given.value))
                if given.name in by_name
                else given
                for given in parameter_list
            ]
        )

    def _declare(self, setting: Setting, read_only: bool = False) -> None:
        """Declare a parameter; refuses what the node was started with where that is none of its values."""
        # What it was started with is told where anything may be declared; to another type rclpy says no.
        anything = ParameterDescriptor(dynamic_typing=True)
        value = as_declared(setting, self.declare_parameter(setting.name, setting.default, anything).value)
        self.undeclare_parameter(setting.name)
        if wrong := problem(setting, value):
            raise CorvidsError(wrong)
        self.declare_parameter(setting.name, value, _descriptor(setting, read_only), ignore_override=True)

    def _configure(self) -> FlyingVehicle:
        settings = Settings({setting.name: self.get_parameter(setting.name).value for setting in SETTINGS})
        messages = Px4Messages(settings["target_system"])
        self._transport = RosTransport(
            self.context, f"{self.get_name()}_px4", self.get_namespace(), settings.topics, messages
        )
        link = MessageLink(self._transport, messages)
        if settings["imu"]:
            link.listen("sensor_combined")
        if settings.origin:
            link.tell_origin(settings.origin)
        sources: dict[str, PoseSource | MocapInput] = {}
        if settings["mocap_topic"]:
            relay = link.relay_to_estimator(settings["mocap_pos_std_m"], settings["mocap_angle_std_rad"])
            sources["mocap"] = self._watch_poses(link, settings, "mocap", relay)
        ball = sources["ball"] = self._watch_ball(link, settings)
        load = self._watch_poses(link, settings, "load") if settings["load_topic"] else None
        if load:
            sources["load"] = load
        self._flying = FlyingVehicle(settings, link, ball, load, self._tell)
        if settings["check_messages"]:
            complaints = check_formats(self._transport, settings["check_s"])
            if complaints:
                raise CorvidsError("; ".join(complaints))
        self._reports = Reports(self, self._flying, sources)
        return self._flying

    def _activate(self) -> None:
        # A flight is flown once: after one, everything is looked at anew.
        flying = self._flying or self._configure()
        flying.start(self.get_namespace())

    def _watch_ball(self, link: MessageLink, settings: Settings) -> PoseSource | MocapInput:
        """The ball, as poses of it or in a state stream, which the keeper hands on."""
        if not settings["mocap_stream"]:
            return self._watch_poses(link, settings, "ball")
        if settings["mocap_key"]:
            read_key(Path(settings["mocap_key"]).expanduser())  # a mistake in it is said at once
        stream = MocapInput(settings["mocap_vehicle"], settings["mocap_ball"])
        link.take_mocap(stream)
        return stream

    def _watch_poses(
        self, link: MessageLink, settings: Settings, of: str, then: Callable[[Pose], None] | None = None
    ) -> PoseSource:
        """Subscribe to the poses of something, and look at each; they move the flight on, as PX4's states do."""
        source = PoseSource(settings["world_frame"])

        def heard(message: Any) -> None:
            link.note_pose()
            pose = source.take_in(message, time.monotonic(), time.time())
            if pose and then:
                then(pose)

        if self._transport and settings[f"{of}_topic"]:
            # The transport's node has names of its own: this one knows how its topics were remapped.
            name = self.resolve_topic_name(settings[f"{of}_topic"])
            self._transport.watch(POSE_TYPES[settings[f"{of}_type"]], name, heard)
        return source

    def _succeeds(self, step: Callable[[], object]) -> bool:
        """Take a step; one that fails is told of and taken back, for rclpy would say nothing, and leave all open."""
        try:
            step()
        except Exception as error:  # noqa: BLE001
            self._complain(error)
            self._close()
            return False
        return True

    def _close(self) -> None:
        """End and take back whatever there is; what of it fails is told, and keeps nothing else open."""
        parts = self._reports, self._flying, self._transport
        self._reports = self._flying = self._transport = None
        for part in parts:
            try:
                if part:
                    part.close()
            except Exception as error:  # noqa: BLE001
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Tell of a user's mistake in one line; anything else is a defect, and keeps its traceback."""
        is_mistake = isinstance(error, CorvidsError)
        said = str(error) if is_mistake else "".join(traceback.format_exception(error)).rstrip()
        self.get_logger().error(said)

    def _hear(self, word: Word, answer: Any) -> Any:
        if self._flying is None:
            answer.success, answer.message = False, "not configured"
        else:
            self._flying.say(word)
            answer.success, answer.message = True, f"heard in state {self._flying.supervisor.state.value}"
        return answer

    def _tell(self, entry: Entry) -> None:
        change = f"{entry.before.value} -> {entry.after.value}: {entry.reason}"
        logger = self.get_logger()
        logger.warning(change) if entry.reaction > Reaction.CLIP else logger.info(change)

    def _judge_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        by_name = {setting.name: setting for setting in SETTINGS}
        for parameter in parameters:
            setting = by_name.get(parameter.name)
            if setting is None:
                continue
            reason = problem(setting, parameter.value)
            if not reason and self._flying:
                reason = self._take_in_flight(parameter)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _take_in_flight(self, parameter: Parameter) -> str:
        if self._flying is None or parameter.name not in IN_FLIGHT:
            return f"parameter {parameter.name} is read when the node is configured: clean up first"
        try:
            self._flying.aim(parameter.value)
        except CorvidsError as error:
            return str(error)
        return ""


def _descriptor(setting: Setting, read_only: bool = False) -> ParameterDescriptor:
    """What tools show of a parameter. Lists have no ranges in ROS 2; theirs are looked at when they are set."""
    about = setting.about + (f"; one of {', '.join(setting.choices)}" if setting.choices else "")
    descriptor = ParameterDescriptor(description=about, read_only=read_only)
    if setting.low is None or setting.high is None or isinstance(setting.default, list):
        return descriptor
    if isinstance(setting.default, int):
        whole = IntegerRange(from_value=int(setting.low), to_value=int(setting.high), step=1)
        descriptor.integer_range = [whole]
    else:
        real = FloatingPointRange(from_value=float(setting.low), to_value=float(setting.high))
        descriptor.floating_point_range = [real]
    return descriptor


def main(arguments: list[str] | None = None) -> int:
    """Entry point of ``ros2 run corvids_ros vehicle``."""
    avoid_shared_memory(os.environ)  # the keeper inherits it
    try:
        # ROS must not shut down at Ctrl-C before PX4 has been asked to hold.
        rclpy.init(args=arguments, signal_handler_options=rclpy.SignalHandlerOptions.NO)
    except RuntimeError as error:  # arguments, or a file of parameters, that ROS itself cannot read
        print(f"corvids: {error}", file=sys.stderr)
        return 2
    is_over = threading.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: is_over.set())
    try:
        node = VehicleNode()
    except CorvidsError as error:
        rclpy.logging.get_logger("corvids").error(str(error))
        rclpy.try_shutdown()
        return 2
    if said := complaint():
        node.get_logger().warning(said)
    # The flight's thread and this one share an interpreter: whoever waits for it must not wait long.
    sys.setswitchinterval(SWITCH_S)
    executor = SingleThreadedExecutor()  # the one that bears entities coming and going in its own callbacks
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value and not _start(node):
            return 2
        while not is_over.is_set():
            executor.spin_once(timeout_sec=0.2)
    finally:
        node.end()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _start(node: VehicleNode) -> bool:
    done = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() is done and node.trigger_activate() is done


if __name__ == "__main__":
    sys.exit(main())
