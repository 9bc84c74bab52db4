"""From a ball's trajectory to ball and racket."""
