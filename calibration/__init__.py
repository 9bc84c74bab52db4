"""From flight logs to a vehicle file: parameters with error bars, which randomization then turns into ranges."""
