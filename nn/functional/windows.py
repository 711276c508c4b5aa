"""Convolution and pooling: sliding windows laid out as columns, and matrix products.

A window is described by its size, stride, padding and dilation along each spatial axis. `unfold` copies the windows of
an image into columns, `fold` adds columns back into an image; each is the other's gradient, and a convolution is a
matrix product with `unfold`. Images are (N, C, length) or (N, C, height, width).

Read next: `normalization.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import autograd_lite as ag


class Windows(NamedTuple):
    """Where the windows of an image lie: one entry for each spatial axis."""

    lengths: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    counts: tuple[int, ...]

    def __str__(self) -> str:
        """As a picture shows it: 5×5, and what is not the usual."""  # noqa: RUF002  # the sign in the picture
        told = [("", self.size, None), (" stride ", self.stride, 1), (" padding ", self.before, 0)]
        told.append((" dilation ", self.dilation, 1))
        sign = "\N{MULTIPLICATION SIGN}"
        return "".join(word + sign.join(map(str, each)) for word, each, usual in told if {*each} != {usual})

    @property
    def padded(self) -> tuple[int, ...]:
        """The lengths with the padding."""
        return tuple(map(sum, zip(self.lengths, self.before, self.after, strict=True)))

    def inside(self) -> tuple[Any, ...]:
        """The index of the image within the padded image."""
        return (..., *(slice(b, b + n) for b, n in zip(self.before, self.lengths, strict=True)))

    def taps(self) -> Iterator[tuple[Any, ...]]:
        """For each place in a window, row by row: the index, in a padded image, of that place in all windows."""
        for place in np.ndindex(*self.size):
            yield (
                ...,
                *(
                    slice(k * d, k * d + s * (n - 1) + 1, s)
                    for k, d, s, n in zip(place, self.dilation, self.stride, self.counts, strict=True)
                ),
            )


def spread(who: str, value: Any, axes: int, name: str, least: int) -> tuple[int, ...]:
    """A setting for each spatial axis: one number stands for all."""
    values = (value,) * axes if isinstance(value, (int, np.integer)) else tuple(value)
    values = values * axes if len(values) == 1 else values
    if len(values) != axes or any(v < least for v in values):
        raise ValueError(f"{who}: {name}={value} must be one number, or {axes}, none below {least}.")
    return tuple(int(v) for v in values)


def windows(
    who: str,
    shape: tuple[int, ...],
    size: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Windows:
    """Lay windows over an image of this shape; raises ValueError where not even one fits."""
    axes = len(size)
    lengths = shape[-axes:]
    steps = spread(who, stride, axes, "stride", 1)
    gaps = spread(who, dilation, axes, "dilation", 1)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(gaps, size, strict=True))
    if padding == "same":
        if any(s != 1 for s in steps):
            raise ValueError(f"{who}: padding='same' needs stride 1, not {stride}.")
        before = tuple((r - 1) // 2 for r in reach)
        after = tuple(r - 1 - b for r, b in zip(reach, before, strict=True))
    elif isinstance(padding, str) and padding != "valid":
        raise ValueError(f"{who}: padding must be numbers, 'same' or 'valid', not {padding!r}.")
    else:
        before = after = spread(who, 0 if padding == "valid" else padding, axes, "padding", 0)
    room = [n + b + a - r for n, b, a, r in zip(lengths, before, after, reach, strict=True)]
    if any(space < 0 for space in room):
        raise ValueError(
            f"{who}: windows of {reach} do not fit into an image of {lengths} with padding {before}: "
            "make the image or the padding larger, or the window smaller."
        )
    counts = tuple(space // s + 1 for space, s in zip(room, steps, strict=True))
    if ceil_mode:
        # One more window where something is left over, if it still begins inside the image or the padding before it.
        counts = tuple(
            n + (space % s != 0 and n * s < length + b)
            for n, space, s, length, b in zip(counts, room, steps, lengths, before, strict=True)
        )
        after = tuple(
            max(a, (n - 1) * s + r - length - b)
            for a, n, s, r, length, b in zip(after, counts, steps, reach, lengths, before, strict=True)
        )
    return Windows(lengths, size, steps, before, after, gaps, counts)


def framed(x: Any, w: Windows, value: float = 0.0) -> Any:
    """The image in a frame of `value`."""
    if w.padded == w.lengths:
        return x
    result = np.full(x.shape[: x.ndim - len(w.lengths)] + w.padded, value, x.dtype)
    result[w.inside()] = x
    return result


@ag.primitive
def columns(x: Any, where: Windows) -> Any:
    """The windows of an image as columns: (N, C, ...) becomes (N, C * places in a window, number of windows)."""
    axes = len(where.size)
    padded = framed(x, where)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(where.dilation, where.size, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, tuple(range(2, 2 + axes)))
    strided = tuple(slice(None, s * n, s) for s, n in zip(where.stride, where.counts, strict=True))
    view = view[(slice(None), slice(None), *strided, *(slice(None, None, d) for d in where.dilation))]
    view = np.moveaxis(view, range(2, 2 + axes), range(-axes, 0))
    return view.reshape(len(x), x.shape[1] * math.prod(where.size), math.prod(where.counts))


@ag.primitive
def image(columns: Any, where: Windows) -> Any:
    """Columns added back into an image, each entry where its window took it from: the gradient of `columns`."""
    places = math.prod(where.size)
    parts = columns.reshape(len(columns), columns.shape[1] // places, places, *where.counts)
    padded = np.zeros((len(columns), parts.shape[1], *where.padded), columns.dtype)
    for k, tap in enumerate(where.taps()):
        padded[tap] += parts[:, :, k]
    return padded[where.inside()]


columns.def_rule(lambda g, y, x, where: image(g, where=where))
image.def_rule(lambda g, y, x, where: columns(g, where=where))


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images (N, C, H, W) as columns (N, C * kernel_size, number of windows).

    >>> import numpy as np
    >>> unfold(np.arange(9.0).reshape(1, 1, 3, 3), 2)[0, :, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    size = spread("unfold", kernel_size, 2, "kernel_size", 1)
    return columns(input, where=windows("unfold", input.shape, size, stride, padding, dilation))


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns (N, C * kernel_size, number of windows) added into images (N, C, *output_size): unfold's gradient.

    >>> import numpy as np
    >>> fold(np.ones((1, 4, 4)), 3, 2)[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    size = spread("fold", kernel_size, 2, "kernel_size", 1)
    where = windows("fold", spread("fold", output_size, 2, "output_size", 1), size, stride, padding, dilation)
    if input.ndim != 3 or input.shape[1] % math.prod(size) or input.shape[2] != math.prod(where.counts):
        raise ValueError(
            f"fold: input of shape {input.shape} must be (N, C * {math.prod(size)}, {math.prod(where.counts)})."
        )
    return image(input, where=where)


# ---- convolution -----------------------------------------------------------------------------------------------


@ag.primitive
def convolution(x: Any, weight: Any, bias: Any, where: Windows, groups: int = 1) -> Any:
    """Each window of the image times the weight (O, C / groups, ...), plus the bias; the result is (N, O, ...)."""
    y = _grouped(weight, groups) @ _grouped_columns(columns(x, where=where), groups)
    y = np.reshape(y, (x.shape[0], weight.shape[0], *where.counts))
    return y if bias is None else y + np.reshape(bias, (-1,) + (1,) * len(where.counts))


def _grouped(weight: Any, groups: int) -> Any:
    """The weight as matrices: (O, I), or (groups, O / groups, I)."""
    outputs, inputs = weight.shape[0], math.prod(weight.shape[1:])
    return np.reshape(weight, (outputs, inputs) if groups == 1 else (groups, outputs // groups, inputs))


def _grouped_columns(cols: Any, groups: int) -> Any:
    n, rows, count = cols.shape
    return cols if groups == 1 else np.reshape(cols, (n, groups, rows // groups, count))


def _convolution_input(g: Any, y: Any, x: Any, weight: Any, bias: Any, where: Windows, groups: int) -> Any:
    """The columns' gradient weight^T g, added back into the image."""
    matrix = _grouped(weight, groups)
    cols = np.swapaxes(matrix, -1, -2) @ _gradient_columns(g, groups)
    shape = (g.shape[0], math.prod(weight.shape[1:]) * groups, math.prod(where.counts))
    return image(np.reshape(cols, shape), where=where)


def _convolution_weight(g: Any, y: Any, x: Any, weight: Any, bias: Any, where: Windows, groups: int) -> Any:
    """The sum over images of g columns^T."""
    cols = _grouped_columns(columns(x, where=where), groups)
    products = _gradient_columns(g, groups) @ np.swapaxes(cols, -1, -2)
    return np.reshape(np.add.reduce(products, axis=0), weight.shape)


def _gradient_columns(g: Any, groups: int) -> Any:
    """The result's gradient with its windows in one axis, grouped as the weight is."""
    return _grouped_columns(np.reshape(g, (*g.shape[:2], math.prod(g.shape[2:]))), groups)


def _convolution_bias(g: Any, y: Any, x: Any, weight: Any, bias: Any, where: Windows, groups: int) -> Any:
    return np.add.reduce(g, axis=(0, *range(2, g.ndim)))


convolution.def_rule(_convolution_input, _convolution_weight, _convolution_bias)


def _convolve(
    who: str, axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    alone = x.ndim == axes + 1
    if weight.ndim != axes + 2 or not (alone or x.ndim == axes + 2):
        raise ValueError(
            f"{who}: input of shape {x.shape} and weight {weight.shape}: the input must be (N, C, ...) with {axes} "
            "spatial axes, the weight (O, C / groups, ...)."
        )
    channels = x.shape[0] if alone else x.shape[1]
    if groups < 1 or weight.shape[0] % groups or channels != weight.shape[1] * groups:
        raise ValueError(
            f"{who}: input of shape {x.shape} has {channels} channels; weight {weight.shape} with groups={groups} "
            f"needs {weight.shape[1] * groups}, and as many outputs as groups divide."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"{who}: bias of shape {bias.shape} needs one entry for each output, {weight.shape[:1]}.")
    if alone:
        x = np.expand_dims(x, 0)
    where = windows(who, x.shape, weight.shape[2:], stride, padding, dilation)
    y = convolution(x, weight, bias, where=where, groups=groups)
    return np.squeeze(y, 0) if alone else y


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Cross-correlation of (N, C, L) with a weight (O, C / groups, K); see `conv2d`.

    >>> import numpy as np
    >>> conv1d(np.arange(4.0).reshape(1, 1, 4), np.ones((1, 1, 2))).tolist()
    [[[1.0, 3.0, 5.0]]]
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Cross-correlation of images (N, C, H, W), or one (C, H, W), with a weight (O, C / groups, KH, KW).

    y[n, o, i, j] = bias[o] + sum over c, k, l of weight[o, c, k, l] * x[n, c, i * stride + k * dilation, ...];
    `padding` puts zeros around ("same": so that the size stays, "valid": none); `groups` splits the channels into parts
    that do not mix. Raises ValueError for shapes that do not fit together.

    >>> import numpy as np
    >>> conv2d(np.ones((1, 3, 8, 8)), np.ones((2, 3, 3, 3)), padding="same").shape
    (1, 2, 8, 8)
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)
