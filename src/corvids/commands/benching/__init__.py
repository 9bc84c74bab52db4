"""What ``corvids bench`` measures: our own loops, and those of peers."""
