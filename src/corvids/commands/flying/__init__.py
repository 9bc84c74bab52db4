"""Flights in front of PX4, of setpoint files, and the pages about flights."""
