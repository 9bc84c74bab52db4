"""Motion capture: its own streams, the state stream over UDP, and the ball among its markers."""
