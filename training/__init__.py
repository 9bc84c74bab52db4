"""From a task to a policy file: PPO through rsl_rl, checkpoints that survive a kill, and export to one ONNX file."""
