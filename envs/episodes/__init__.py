"""What differs from one episode to the next: randomized parameters and starts."""
