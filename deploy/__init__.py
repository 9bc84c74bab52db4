"""What runs on the companion computer: reads a policy file, supervises it and flies any plant with the same loop.

It depends on numpy and onnxruntime, never on torch, and runs on Python 3.10 and later.
"""
