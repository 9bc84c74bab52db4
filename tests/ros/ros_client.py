"""Says an operator's words to the vehicle's node, or changes or asks its state: a word a line, and a line in answer."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter import parameter_value_to_python
from std_srvs.srv import Trigger

TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
}


def main(namespace: str) -> None:
    """Run until standard input ends."""
    rclpy.init()
    node = rclpy.create_node("operator")
    print("ready", flush=True)
    node_name = f"{namespace and '/' + namespace}/corvids"
    clients = {}
    diagnosed: list[DiagnosticArray] = []
    node.create_subscription(DiagnosticArray, "/diagnostics", diagnosed.append, 1)
    for line in sys.stdin:
        word = line.strip()
        if word == "diagnose":
            diagnosed.clear()
            while not diagnosed:
                rclpy.spin_once(node)
            status = diagnosed[0].status[0]
            facts = {pair.key: pair.value for pair in status.values}
            print(json.dumps({"level": ord(status.level), "message": status.message, **facts}), flush=True)
            continue
        if word == "nodes":
            nodes = sorted(
                f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces()
            )
            print(f"{word}: {' '.join(nodes)}", flush=True)
            continue
        if word.startswith("readers "):
            print(f"{word}: {node.count_subscribers(word.removeprefix('readers '))}", flush=True)
            continue
        if word.startswith("command "):
            numbers = word.split()[1:]
            kind = int if all(number.isdecimal() for number in numbers) else float  # as ros2 param set has it
            value = RosParameter("command", value=[kind(number) for number in numbers]).get_parameter_value()
            kind, name = SetParameters, f"{node_name}/set_parameters"
            request = SetParameters.Request(parameters=[Parameter(name="command", value=value)])
        elif word.startswith("get "):
            kind, name = GetParameters, f"{node_name}/get_parameters"
            request = GetParameters.Request(names=[word.removeprefix("get ")])
        elif word in TRANSITIONS:
            kind, name = ChangeState, f"{node_name}/change_state"
            request = ChangeState.Request(transition=Transition(id=TRANSITIONS[word]))
        else:
            kind, name, request = Trigger, f"{node_name}/{word}", Trigger.Request()
        if name not in clients:
            clients[name] = node.create_client(kind, name)
        clients[name].wait_for_service()
        future = clients[name].call_async(request)
        rclpy.spin_until_future_complete(node, future)
        answer = future.result()
        if kind is GetParameters:
            value = parameter_value_to_python(answer.values[0])
            print(f"{word}: {value if isinstance(value, float) else list(value)}", flush=True)
            continue
        is_heard = answer.results[0].successful if kind is SetParameters else answer.success
        print(f"{word}: {'heard' if is_heard else 'refused'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
