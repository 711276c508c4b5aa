"""Measured ratios: the generated gradients against hand-written NumPy, in one run. `python -m benchmarks`.

Read next: `networks.py` (what is measured), `__main__.py` (how).
"""
