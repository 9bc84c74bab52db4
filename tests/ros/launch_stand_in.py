"""What the launch files use of ROS's ``launch``, which pip does not have: enough to see what they would start.

A launch file is run with arguments as ``ros2 launch`` has them, includes and all; arguments that it does not declare
are mistakes here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ros_ws/src/corvids_ros"
Context = dict[str, str]


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, context: Context) -> str:
        return context[self.name]


@dataclass
class FindPackageShare:
    package: str

    def perform(self, context: Context) -> str:
        return str(PACKAGE)


@dataclass
class PathJoinSubstitution:
    parts: list[Any]

    def perform(self, context: Context) -> str:
        return "/".join(performed(part, context) for part in self.parts)


@dataclass
class ParameterValue:
    value: Any
    value_type: type

    def __post_init__(self) -> None:
        assert isinstance(self.value, self.value_type), "converts no text"


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: Any = None
    description: str = ""


@dataclass
class OpaqueFunction:
    function: Callable[[Context], list[Any]]


@dataclass
class PythonLaunchDescriptionSource:
    path: Any


@dataclass
class IncludeLaunchDescription:
    source: PythonLaunchDescriptionSource
    launch_arguments: Iterable[tuple[str, str]]


@dataclass
class IfCondition:
    value: Any

    def evaluate(self, context: Context) -> bool:
        return performed(self.value, context) == "true"


@dataclass
class LaunchDescription:
    entities: list[Any]


class Process:
    """Nodes and other processes alike, by what they are started with."""

    def __init__(self, **known: Any) -> None:
        self.known = known


def performed(value: Any, context: Context) -> Any:
    """A value without substitutions."""
    if isinstance(value, ParameterValue):
        return value.value
    if isinstance(value, dict):
        return {name: performed(part, context) for name, part in value.items()}
    if isinstance(value, list):
        return [performed(part, context) for part in value]
    return value.perform(context) if hasattr(value, "perform") else value


def started(path: Path, arguments: Context) -> list[dict[str, Any]]:
    """The nodes and processes that a launch file starts, as keywords of theirs."""
    modules = {
        "launch": [LaunchDescription],
        "launch.actions": [DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction],
        "launch.conditions": [IfCondition],
        "launch.launch_description_sources": [PythonLaunchDescriptionSource],
        "launch.substitutions": [LaunchConfiguration, PathJoinSubstitution],
        "launch_ros.parameter_descriptions": [ParameterValue],
        "launch_ros.substitutions": [FindPackageShare],
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, classes in modules.items():
            module = ModuleType(name)
            vars(module).update({kind.__name__: kind for kind in classes})
            patch.setitem(sys.modules, name, module)
        vars(sys.modules["launch"])["LaunchContext"] = Context
        vars(sys.modules["launch.actions"])["ExecuteProcess"] = Process
        actions = ModuleType("launch_ros.actions")
        vars(actions).update({"LifecycleNode": Process, "Node": Process})
        patch.setitem(sys.modules, "launch_ros", ModuleType("launch_ros"))
        patch.setitem(sys.modules, "launch_ros.actions", actions)
        return _run(path, arguments)


def _run(path: Path, arguments: Context) -> list[dict[str, Any]]:
    spec = spec_from_file_location(path.name.partition(".")[0], path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    context, found = {}, []
    entities = list(module.generate_launch_description().entities)
    declared = {entity.name for entity in entities if isinstance(entity, DeclareLaunchArgument)}
    assert set(arguments) <= declared, f"{path.name} has no {set(arguments) - declared}"
    while entities:
        entity = entities.pop(0)
        if isinstance(entity, DeclareLaunchArgument):
            context[entity.name] = arguments.get(entity.name, performed(entity.default_value, context))
            assert context[entity.name] is not None, f"{path.name} needs {entity.name}"
        elif isinstance(entity, OpaqueFunction):
            entities[:0] = entity.function(context)
        elif isinstance(entity, IncludeLaunchDescription):
            given = {name: performed(value, context) for name, value in entity.launch_arguments}
            found += _run(Path(performed(entity.source.path, context)), given)
        elif "condition" not in entity.known or entity.known["condition"].evaluate(context):
            found.append({name: performed(value, context) for name, value in entity.known.items()})
    return found
