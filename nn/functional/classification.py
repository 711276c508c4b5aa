"""Losses of classification: one right class among C, given as class indices or as probabilities.

Scores have the shape (N, C), (C,) or (N, C, d1, ...); indices the same without C, probabilities the same.

Read next: `windows.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.recording import thread

from .activations import log_softmax_along, softmax_along
from .losses import check_nan, position, reduced, share


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(input)[target], averaged; for probabilities -sum(target * log softmax(input)).

    `weight` holds one factor for each class, and the mean is then a weighted one; entries whose label is `ignore_index`
    do not count; `label_smoothing` e mixes the target with the uniform distribution, (1 - e) target + e / C. Raises
    TypeError for labels that are no integers, ValueError for shapes that do not match and for a NaN, IndexError for a
    label that is no class.

    >>> import numpy as np
    >>> scores = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 1e4]])
    >>> float(cross_entropy(scores, np.array([0, 2])).round(4))
    0.1198
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must lie in [0, 1], not {label_smoothing}.")
    if not isinstance(target, ag.Tensor):
        target = np.asarray(target)
    axis = 1 if input.ndim > 1 else 0
    if target.dtype.kind not in "iu":
        if target.shape != input.shape:
            raise (TypeError if target.ndim == input.ndim - 1 else ValueError)(
                f"cross_entropy: input {input.shape} with a target of {target.dtype} and shape {target.shape}: "
                "class indices must be integers (target.astype(np.int64)), probabilities have the input's shape."
            )
        return _from_probabilities(input, target, weight, axis, reduction, label_smoothing)
    _check_shapes("cross_entropy", input, target, axis)
    if input.ndim == 2 and weight is None and not label_smoothing:
        if _labels(target) is None:
            return cross_entropy_of_labels(input, target, reduction=reduction, ignore_index=ignore_index)
        if _all_count(target, ignore_index):
            if reduction == "mean":
                return cross_entropy_of_labels(input, target)
            return cross_entropy_of_labels(input, target, reduction=reduction)
    scores = log_softmax_along(input, axis=axis)
    return _weighted("cross_entropy", scores, target, weight, axis, ignore_index, reduction, label_smoothing)


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """-input[target], averaged, for log-probabilities: what comes out of log_softmax. Arguments as in `cross_entropy`.

    >>> import numpy as np
    >>> float(nll_loss(np.log(np.array([[0.25, 0.75]])), np.array([0])).round(4))
    1.3863
    """
    if not isinstance(target, ag.Tensor):
        target = np.asarray(target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: the target holds class indices, which must be integers and not {target.dtype}.")
    axis = 1 if input.ndim > 1 else 0
    _check_shapes("nll_loss", input, target, axis)
    return _weighted("nll_loss", input, target, weight, axis, ignore_index, reduction, 0.0)


@ag.primitive
def cross_entropy_of_labels(
    scores: Any, labels: Any, *, reduction: str = "mean", ignore_index: int | None = None
) -> Any:
    """The logarithm of the sum of exp(scores), minus the label's score: scores (N, C), labels (N,)."""
    keep = None if ignore_index is None else labels != ignore_index
    if isinstance(labels, np.ndarray):
        bad = np.logical_or(labels < 0, labels >= scores.shape[1])
        _check_labels("cross_entropy", labels, bad if keep is None else bad & keep, scores.shape[1])
        if keep is not None and reduction == "mean" and not keep.any():
            raise _none_counts("cross_entropy", labels, ignore_index)
    shifted = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    at = labels if keep is None else np.where(keep, labels, 0)
    losses = np.log(np.add.reduce(np.exp(shifted), axis=1)) - shifted[np.arange(len(labels)), at]
    if keep is not None:
        losses = np.where(keep, losses, 0)
        if reduction == "mean":
            return np.add.reduce(losses) / np.add.reduce(keep.astype(scores.dtype))
    return reduced("cross_entropy", losses, reduction, labels)


def _of_labels_rule(
    g: Any, y: Any, scores: Any, labels: Any, *, reduction: str = "mean", ignore_index: int | None = None
) -> Any:
    """softmax(scores), minus 1 at the label."""
    if ignore_index is None:
        each = share(g, labels, reduction)
    else:
        keep = (labels != ignore_index).astype(scores.dtype)
        each = (g / np.add.reduce(keep) if reduction == "mean" else g) * keep
    hot = np.reshape(labels, (-1, 1)) == np.arange(scores.shape[1])
    return (np.reshape(each, (-1, 1)) if each.ndim else each) * (softmax_along(scores) - hot)


cross_entropy_of_labels.def_rule(_of_labels_rule, None)


@ag.primitive
def cross_entropy_of_probabilities(scores: Any, target: Any, axis: int = 1) -> Any:
    """-sum(target * log softmax(scores)) along `axis`."""
    return -np.add.reduce(target * log_softmax_along(scores, axis=axis), axis=axis)


def _of_probabilities_rule(g: Any, y: Any, scores: Any, target: Any, axis: int = 1) -> Any:
    """softmax(scores) * sum(target) - target."""
    total = np.add.reduce(target, axis=axis, keepdims=True)
    return np.expand_dims(g, axis) * (softmax_along(scores, axis=axis) * total - target)


cross_entropy_of_probabilities.def_rule(
    _of_probabilities_rule,
    lambda g, y, scores, target, axis=1: -np.expand_dims(g, axis) * log_softmax_along(scores, axis=axis),
)


def _from_probabilities(input: Any, target: Any, weight: Any, axis: int, reduction: str, label_smoothing: float) -> Any:
    if isinstance(target, np.ndarray):
        check_nan("cross_entropy", target)
    classes = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        target = target * _along(_class_weights("cross_entropy", weight, classes), input.ndim, axis)
    return reduced("cross_entropy", cross_entropy_of_probabilities(input, target, axis=axis), reduction, target)


def _weighted(
    who: str,
    scores: Any,
    target: Any,
    weight: Any,
    axis: int,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """The losses from log-probabilities, with weights, ignored entries and smoothing: made of NumPy's functions."""
    classes = scores.shape[axis]
    keep = target != ignore_index
    labels = _labels(target)
    if labels is not None:
        _check_labels(who, labels, (labels != ignore_index) & ((labels < 0) | (labels >= classes)), classes)
    else:
        target = checked_labels(target, who=who, classes=classes, ignore_index=ignore_index)
    chosen = np.expand_dims(np.where(keep, target, 0), axis) == _along(np.arange(classes), scores.ndim, axis)
    picked = -np.add.reduce(np.where(chosen, scores, 0), axis=axis)
    if weight is None:
        factor = keep.astype(scores.dtype)
        everything = scores
    else:
        spread = _along(_class_weights(who, weight, classes), scores.ndim, axis)
        factor = np.add.reduce(np.where(chosen, spread, 0), axis=axis) * keep
        everything = scores * spread
    losses = picked * factor
    if label_smoothing:
        smooth = np.where(keep, -np.add.reduce(everything, axis=axis), 0)
        losses = losses * (1 - label_smoothing) + smooth * (label_smoothing / classes)
    if reduction != "mean":
        return reduced(who, losses, reduction, target)
    if labels is not None and not (labels != ignore_index).any():
        raise _none_counts(who, target, ignore_index)
    return np.add.reduce(losses, axis=None) / np.add.reduce(factor, axis=None)


@ag.primitive
def checked_labels(target: Any, who: str, classes: int, ignore_index: int) -> Any:
    """The labels themselves, looked at wherever this operation runs: in a trace they are not known yet."""
    if isinstance(target, np.ndarray):
        _check_labels(who, target, (target != ignore_index) & ((target < 0) | (target >= classes)), classes)
    return target


checked_labels.def_rule(None)


def _along(values: Any, ndim: int, axis: int) -> Any:
    """A vector laid along one axis of a result with `ndim` axes."""
    return np.reshape(values, tuple(-1 if i == axis else 1 for i in range(ndim)))


def _class_weights(who: str, weight: Any, classes: int) -> Any:
    if np.shape(weight) != (classes,):
        raise ValueError(f"{who}: weight has shape {np.shape(weight)}; {classes} classes need ({classes},).")
    return weight


def _labels(target: Any) -> Any:
    """The class indices as an array, to be checked; None while they are a variable of a trace."""
    if not isinstance(target, ag.Tensor):
        return target
    return None if thread.mode.tracing else target.data


def _all_count(target: Any, ignore_index: int) -> bool:
    """Whether no label is `ignore_index`."""
    return not np.logical_or.reduce(_labels(target) == ignore_index, axis=None)


def _none_counts(who: str, target: Any, ignore_index: int | None) -> ValueError:
    return ValueError(f"{who}: no label of shape {target.shape} counts (ignore_index={ignore_index}): no mean.")


def _check_shapes(who: str, input: Any, target: Any, axis: int) -> None:
    if input.ndim == 0:
        raise ValueError(f"{who}: the input needs an axis of classes; it has shape ().")
    wanted = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape == wanted:
        return
    remedy = f"np.reshape(target, {wanted})"
    if target.shape == input.shape:
        remedy = "one-hot targets must be floating point (target.astype(np.float32)), or np.argmax(target, axis=1)"
    raise ValueError(
        f"{who}: input of shape {input.shape} needs labels of shape {wanted}, these have {target.shape}: {remedy}."
    )


def _check_labels(who: str, labels: Any, bad: Any, classes: int) -> None:
    """Raise IndexError that names the first label marked in `bad`."""
    if np.logical_or.reduce(bad, axis=None):
        place = np.argwhere(bad)[0]
        label = labels[tuple(place)]
        raise IndexError(f"{who}: label {label} at {position(place)} is no class: they are 0 to {classes - 1}.")
