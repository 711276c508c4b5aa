"""The mistakes that people make when they derive backpropagation by hand: the catalogue of check_backprop.

    slopes      at an activation: the slope missing, at the wrong value, of another function, as a matrix
    masks       at a relu: the mask always true, inverted, of another layer
    others      at an activation that is none of the known ones
    softmaxes   the Jacobian's diagonal alone, over the wrong axis
    losses      the gradient of another loss
    products    transposes, the wrong layer, a weight already updated, a layer skipped
    records     biases, one record of many
    branches    a use of a value left out or counted twice, regularisation among them
    factors     signs, factors, penalties

Read next: `base.py`, which says what a mistake is and how to add one.
"""

from . import branches, factors, losses, masks, others, products, records, slopes, softmaxes
from .base import CATALOGUE, Mistake, Place, register

__all__ = [
    "CATALOGUE", "Mistake", "Place", "branches", "factors", "losses", "masks", "others", "products", "records",
    "register", "slopes", "softmaxes",
]  # fmt: skip
