"""Says an operator's words to the vehicle's node, or changes its state: a word a line, and a line in answer."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_srvs.srv import Trigger

TRANSITIONS = {"activate": Transition.TRANSITION_ACTIVATE, "deactivate": Transition.TRANSITION_DEACTIVATE}


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
        if word.startswith("command "):
            numbers = [float(number) for number in word.split()[1:]]
            value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=numbers)
            kind, name = SetParameters, f"{node_name}/set_parameters"
            request = SetParameters.Request(parameters=[Parameter(name="command", value=value)])
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
        is_heard = answer.results[0].successful if kind is SetParameters else answer.success
        print(f"{word}: {'heard' if is_heard else 'refused'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
