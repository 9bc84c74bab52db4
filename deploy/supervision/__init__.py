"""What watches a flight and takes over: checks, declared reactions, and the handing over."""
