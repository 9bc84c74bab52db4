"""Control laws on batches: pure functions of tensors of shape (worlds, drones), without clock, topics or torch modules.

``spatial`` and ``packing`` are the algebra that the simulator shares; the laws are the ones that fly on the vehicle, so
training meets the same rate loop and the same filters.
"""
