"""Functions on component tensors, traced into C++ that takes many worlds at a time."""
