"""Says an operator's words to the vehicle's node: each line on standard input is a word, each answer a line."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys

import rclpy
from std_srvs.srv import Trigger


def main(namespace: str) -> None:
    """Run until standard input ends."""
    rclpy.init()
    node = rclpy.create_node("operator")
    print("ready", flush=True)
    clients = {}
    for line in sys.stdin:
        word = line.strip()
        if word not in clients:
            clients[word] = node.create_client(Trigger, f"{namespace and '/' + namespace}/corvids/{word}")
        clients[word].wait_for_service()
        future = clients[word].call_async(Trigger.Request())
        rclpy.spin_until_future_complete(node, future)
        answer = future.result()
        print(f"{word}: {answer.message if answer else 'no answer'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
