"""The simulated world: vehicles, ball, sensing, randomization and tasks, and the plants that a policy can fly in.

Every quantity has the shape (worlds, drones): thousands of worlds advance in one fused step, on CPU or GPU.
"""
