"""The ONNX graph under construction: nodes, constants, and sizes that follow the batch.

Read next: `onnx_forms.py`, which says what each function becomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

import numpy as np

OPSET = 18


@dataclass(frozen=True)
class Rows:
    """A size that is this many times the number of rows in the batch."""

    factor: int

    def __str__(self) -> str:
        return "batch" if self.factor == 1 else f"{self.factor}*batch"


Size: TypeAlias = int | Rows


@dataclass(frozen=True)
class Value:
    """A result in the graph: its name, dtype and, where a form may ask for it, its shape."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[Size, ...] = ()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


class Graph:
    """Collects nodes; `doing` says which of the user's operations is being put into words."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.doing = ""
        self.scope = ""
        self.batch: Value | None = None  # an input whose first axis is the batch
        self._taken: set[str] = set()

    def unique(self, name: str) -> str:
        """The name, with a number if it is taken."""
        found, k = name, 2
        while found in self._taken:
            found, k = f"{name}_{k}", k + 1
        self._taken.add(found)
        return found

    def refuse(self, why: str) -> NoReturn:
        """Raise the error that names the operation and its source line."""
        raise NotImplementedError(f"export_onnx: {self.doing} {why}")

    # ---- nodes -----------------------------------------------------------------------------------------------------

    def __call__(self, kind: str, *inputs: Value | None, dtype: Any = None, **attributes: Any) -> Value:
        """Add a node; its result has the dtype of its first input unless another is given."""
        name = self.unique(f"{self.scope}{kind}")
        given = {key: value for key, value in attributes.items() if value is not None}
        names = ["" if each is None else each.name for each in inputs]
        while names and not names[-1]:
            names.pop()
        self.nodes.append(self.onnx.helper.make_node(kind, names, [name], name, **given))
        return Value(name, np.dtype(inputs[0].dtype if dtype is None and inputs[0] is not None else dtype))

    def finish(self, found: Value, name: str, shape: tuple[Size, ...], first: int) -> Value:
        """Give the result of an operation, whose nodes begin at number `first`, the name that the user knows it by."""
        for node in self.nodes[first:]:
            if found.name in node.output:
                name = self.unique(name)
                for other in self.nodes[first:]:
                    for names in (other.input, other.output):
                        names[:] = [name if each == found.name else each for each in names]
                return Value(name, found.dtype, shape)
        return replace(found, shape=shape)

    def renamed(self, found: Value, name: str) -> Value:
        """A result of its own under this name."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [found.name], [self.unique(name)]))
        return replace(found, name=self.nodes[-1].output[0])

    # ---- values ----------------------------------------------------------------------------------------------------

    def constant(self, value: Any, dtype: Any = None, name: str = "number") -> Value:
        """An array that is part of the model."""
        array = np.asarray(value, dtype)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            self.refuse(f"holds {array.dtype}, which ONNX lacks.")
        name = self.unique(name)
        self.initializers.append(
            self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        )
        return Value(name, array.dtype, array.shape)

    def cast(self, value: Any, dtype: Any) -> Value:
        """A value in another dtype; a number becomes a constant, a number of rows is asked of the batch."""
        dtype = np.dtype(dtype)
        if isinstance(value, Rows):
            value = self("Squeeze", self.sizes([value]))
        if not isinstance(value, Value):
            return self.constant(value, dtype)
        if value.dtype == dtype:
            return value
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            self.refuse(f"computes in {dtype}, which ONNX lacks.")
        to = self.onnx.helper.np_dtype_to_tensor_dtype(dtype)
        return replace(self("Cast", value, dtype=dtype, to=to), shape=value.shape)

    def sizes(self, shape: Sequence[Size]) -> Value:
        """A vector of whole numbers."""
        if not any(isinstance(each, Rows) for each in shape):
            return self.constant(shape, np.int64, "sizes")
        assert self.batch is not None  # or no size would follow it
        parts = []
        for each in shape:
            if isinstance(each, Rows):
                rows = self("Shape", self.batch, dtype=np.int64, start=0, end=1)
                parts.append(rows if each.factor == 1 else self("Mul", rows, self.constant([each.factor], np.int64)))
            else:
                parts.append(self.constant([each], np.int64, "sizes"))
        return parts[0] if len(parts) == 1 else self("Concat", *parts, axis=0)

    def reshaped(self, x: Value, shape: Sequence[Size]) -> Value:
        """x in another shape; one size may be -1."""
        following = [i for i, each in enumerate(shape) if isinstance(each, Rows)]
        if len(following) == 1 and -1 not in shape and 0 not in shape:  # the batch is what is left
            shape = [-1 if i in following else each for i, each in enumerate(shape)]
        return self("Reshape", x, self.sizes(shape), allowzero=1 if 0 in shape else None)

    def known(self, size: Size) -> int:
        """A size that must not follow the batch."""
        if isinstance(size, Rows):
            self.refuse("depends on the number of rows in the batch: fix it with batch=().")
        return size
