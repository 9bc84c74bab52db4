"""Asks PX4 for its topics and its definitions of their messages, before anything flies."""

from __future__ import annotations

import time
from typing import Any

from corvids_ros.message_formats import PROTOCOL, format_hash, mismatch
from corvids_ros.px4_messages import text_of
from corvids_ros.ros_transport import RosTransport
from corvids_ros.topics import HEARD, TYPES, are_all_known, missing, unversioned

ASKED = (
    *HEARD,
    "offboard_control_mode",
    "vehicle_rates_setpoint",
    "vehicle_attitude_setpoint",
    "vehicle_command",
)
"""Topics whose messages must mean the same on both sides."""
ANSWER_S = 0.3
"""How long an answer may take before PX4 is asked again [s]."""


def check_formats(transport: RosTransport, patience_s: float) -> list[str]:
    """What to say; nothing where all is well. Takes up to ``patience_s`` [s], and must not be called in flight."""
    deadline_s = time.monotonic() + patience_s
    node, topics = transport.node, transport.topics
    wanted = {topic: node.resolve_topic_name(getattr(topics, topic)) for topic in HEARD}
    while True:
        published = {name for name, _ in node.get_topic_names_and_types() if node.count_publishers(name)}
        said = missing(wanted, published)
        if not said or are_all_known(wanted, published) or time.monotonic() > deadline_s:
            break
        transport.spin(0.1)
    return said or _ask(transport, deadline_s)


def _ask(transport: RosTransport, deadline_s: float) -> list[str]:
    topics, messages = transport.topics, transport.messages
    answers: dict[str, Any] = {}

    def heard(message: Any) -> None:
        if message.protocol_version == PROTOCOL:
            answers[text_of(message.topic_name)] = message

    request, response = "message_format_request", "message_format_response"
    transport.subscribe(response, heard)
    transport.advertise(request, reliable=True)
    said = []
    try:
        for topic in ASKED:
            # PX4 knows its topics without the vehicle's namespace, and without the version in their names.
            name = "/" + unversioned(getattr(topics, topic))
            while name not in answers and time.monotonic() < deadline_s:
                transport.publish(request, messages.format_request(name, PROTOCOL))
                again_s = time.monotonic() + ANSWER_S
                while name not in answers and time.monotonic() < again_s:
                    transport.spin(0.02)
            if name not in answers:
                said.append(
                    f"PX4 does not say how it defines {name}: old firmware cannot; where you know that px4_msgs "
                    "fits it, set the parameter check_messages to false"
                )
                break
            answer = answers[name]
            ours = format_hash(TYPES[topic], messages.definition)
            said.append(mismatch(name, TYPES[topic], ours, bool(answer.success), int(answer.message_hash)))
    finally:
        transport.forget(request)
        transport.forget(response)
    return [line for line in said if line]
