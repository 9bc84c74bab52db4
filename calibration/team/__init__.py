"""From a team's flight to its cables and load."""
