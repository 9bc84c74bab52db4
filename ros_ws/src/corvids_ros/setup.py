"""Built by colcon."""

from glob import glob

from setuptools import setup

NAME = "corvids_ros"
SHARE = f"share/{NAME}"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"{SHARE}/config", sorted(glob("config/*"))),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="corvids contributors",
    maintainer_email="corvids@users.noreply.github.com",
    description="Flies a corvids policy on a vehicle with PX4, over ROS 2",
    license="MIT",
    entry_points={
        "console_scripts": [
            f"vehicle = {NAME}.vehicle_node:main",
            f"simulated_ball = {NAME}.simulated_ball:main",
        ]
    },
)
