"""What moves: vehicles, ball, cables and load, step by step; and what they are by their files."""
