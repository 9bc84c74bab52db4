"""What ``corvids doctor`` looks at, a subject a module."""
