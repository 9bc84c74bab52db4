"""From tables of measurements to thrust, motors, rate loop and latencies."""
