"""One trainer for each document: a small network, gradients derived by hand, and why it did not learn.

    python -m examples.xor               train, check the hand-written formulas, draw the network
    python -m examples.xor --as-posted   show what its author saw
    python -m examples                   every document, one table

Read next: `xor.py`, the smallest; `common.py` for what all trainers share; `data.py` for the files they read.
"""
