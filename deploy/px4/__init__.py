"""A vehicle with PX4: frames, clock, thrust, link and the link's keeper."""
