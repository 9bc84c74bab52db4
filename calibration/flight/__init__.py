"""From a vehicle's flight to its parameters."""
