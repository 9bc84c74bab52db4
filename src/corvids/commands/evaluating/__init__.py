"""Trials that score policies, and the pages about them."""
