"""Build a ROS 2 package ``px4_msgs`` from this folder's layouts, into the environment of the python that runs this.

Usage: ``python build_px4_msgs.py FOLDER``, where the build may leave its files. For tests alone: a vehicle builds PX4's
own px4_msgs. Needs the rosidl generators of the environment, cmake, ninja and a C++ compiler.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from px4_layouts import LAYOUTS, Layout

PACKAGE = """<?xml version="1.0"?>
<package format="3">
  <name>px4_msgs</name>
  <version>0.0.0</version>
  <description>Messages for tests</description>
  <maintainer email="none@example.org">none</maintainer>
  <license>MIT</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <build_depend>rosidl_default_generators</build_depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
CMAKE = """cmake_minimum_required(VERSION 3.20)
project(px4_msgs)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(px4_msgs {messages})
ament_package()
"""


def definition(layout: Layout) -> str:
    """The text of a message's file."""
    return "".join(f"{kind} {name}\n" for kind, name in layout)


def name_this_python(prefix: Path) -> None:
    """The wheels' CMake files name the python that built them: name this one instead."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for path in (prefix / "share").rglob("*.cmake"):
        text = path.read_text("utf-8", errors="surrogateescape")
        changed = re.sub(r"[^\s\";]*/include/python3\.\d+", f"{sys.base_prefix}/include/python{here}", text)
        changed = re.sub(
            r"[^\s\";]*/libpython3\.\d+\.(?:so|a)", f"{sys.base_prefix}/lib/libpython{here}.so", changed
        )
        if changed != text:
            path.write_text(changed, "utf-8", errors="surrogateescape")


def main(folder: Path) -> int:
    """Write the package, build and install it."""
    source, build, prefix = folder / "source", folder / "build", Path(sys.prefix)
    (source / "msg").mkdir(parents=True, exist_ok=True)
    for name, layout in LAYOUTS.items():
        (source / "msg" / f"{name}.msg").write_text(definition(layout), "utf-8")
    (source / "package.xml").write_text(PACKAGE, "utf-8")
    messages = " ".join(f"msg/{name}.msg" for name in LAYOUTS)
    (source / "CMakeLists.txt").write_text(CMAKE.format(messages=messages), "utf-8")
    name_this_python(prefix)
    # What the wheels set for themselves must not reach other programs.
    unset = ("LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["PATH"] = f"{prefix / 'bin'}:{environment['PATH']}"
    configure = ["cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
    options = [f"-DPython3_EXECUTABLE={sys.executable}", f"-DPYTHON_EXECUTABLE={sys.executable}"]
    for command in ([*configure, *options], ["cmake", "--build", build, "--target", "install"]):
        status = subprocess.run([str(part) for part in command], env=environment, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
