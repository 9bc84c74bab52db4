"""What is measured of the world, how late and how wrong."""
