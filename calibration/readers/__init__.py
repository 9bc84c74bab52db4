"""From logs, bags and tables to clean records in SI units."""
