"""The gradient rules, by family. Importing this package fills the table that tensors look into.

Each line says what one NumPy function does to a gradient: `rule(np.exp, lambda g, y, x: g * y)`. What is made of other
functions is a `composite`; what has no gradient is listed as such; what must not run on tensors is refused with a
reason.
`python -m autograd_lite.rules` prints the whole table.

Read next: `elementwise.py`, the shortest calculus text here.
"""

from . import (
    complex,
    cumulative,
    curves,
    diagonals,
    einsums,
    elementwise,
    fft,
    index,
    joining,
    linalg,
    nan_reductions,
    norms,
    products,
    questions,
    reduce,
    selecting,
    shape,
    sorting,
    trigonometry,
    window,
)

__all__ = [
    "complex", "cumulative", "curves", "diagonals", "einsums", "elementwise", "fft", "index", "joining", "linalg",
    "nan_reductions", "norms", "products", "questions", "reduce", "selecting", "shape", "sorting", "trigonometry",
    "window",
]  # fmt: skip
