"""The physics engines in which a finished policy is flown: ``native`` (ours) and ``mujoco`` (not ours).

Both sides of ``engine.Engine`` advance many independent worlds tick by tick, with numpy arrays at the boundary. The
clock, the sensors and the rules of the game lie outside, in ``envs/plants/plant.py``: they are the same for both.
"""
