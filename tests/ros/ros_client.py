"""Says an operator's words to the vehicle's node, or changes its state: a word a line, and a line in answer."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import Trigger

TRANSITIONS = {"activate": Transition.TRANSITION_ACTIVATE, "deactivate": Transition.TRANSITION_DEACTIVATE}


def main(namespace: str) -> None:
    """Run until standard input ends."""
    rclpy.init()
    node = rclpy.create_node("operator")
    print("ready", flush=True)
    node_name = f"{namespace and '/' + namespace}/corvids"
    clients = {}
    for line in sys.stdin:
        word = line.strip()
        if word in TRANSITIONS:
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
        print(f"{word}: {'heard' if answer and answer.success else 'refused'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
