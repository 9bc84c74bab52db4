"""A corvids policy on a vehicle with PX4, over ROS 2: messages in, messages out; all decisions are corvids.deploy's."""
