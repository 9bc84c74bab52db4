"""What ``corvids calibrate`` does, an action a module, and what its pages show."""
