"""Tensor: an array with a history. Write plain NumPy on it; what it was computed from is remembered.

    >>> import numpy as np, autograd_lite as ag
    >>> w = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = np.sum(np.exp(w) * 3)
    >>> loss.backward()
    >>> np.allclose(w.grad, 3 * np.exp([1.0, 2.0]))
    True

A tensor is a thin handle: `_data` is the array, `_node` its place in the history (`recording.py`). Arrays that have a
history are never written to; a write through the handle makes a new array and points the handle at it, so what was
recorded stays true. NumPy reaches tensors through its own protocols, and everything ends in `apply`.

Read next: `rules/` (the functions), `backward.py` (the walk), `methods.py` (the methods of an ndarray).
"""

from __future__ import annotations

import copy
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeAlias

import numpy as np

from . import rules as _rules  # noqa: F401  # fills the table that the operators below look into
from . import views
from .anomaly import check_result
from .backward import backward
from .boundary import LITERALS, array_remedy, check_differentiable, explained, foreign, numbers, objects, stored
from .memory import settled
from .methods import ArrayMethods
from .primitives import COMPOSITES, NEUTRAL, PICK, PRIMITIVES, Primitive, missing, public_name
from .recording import Array, Node, here, new_leaf, record, thread, tick
from .rules.forms import form
from .rules.index import getitem
from .rules.shape import DETACH

ArrayLike: TypeAlias = Any
_new = object.__new__


def _unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    primitive = PRIMITIVES[ufunc]
    return lambda self: unary(primitive, self)


Operator: TypeAlias = Callable[[Any, Any], Any]


def _binary(ufunc: Callable[..., Any]) -> tuple[Operator, Operator, Operator]:
    """The operator of a ufunc, its reflected form and its in-place form."""
    primitive = PRIMITIVES[ufunc]
    return (
        lambda self, other: binary(primitive, self, other),
        lambda self, other: binary(primitive, other, self),
        lambda self, other: views.update(self, primitive, other),
    )


class Tensor(ArrayMethods):
    """An array with a history; `ag.tensor` makes one, operations make the rest."""

    __slots__ = ()
    __hash__ = object.__hash__

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array itself: writable for a leaf, a read-only view for a computed result."""
        self._leave("x.data")
        views.follow(self)
        if self._node.primitive is None:
            return self._data
        shown = self._data.view()
        shown.flags.writeable = False
        return shown

    @data.setter
    def data(self, value: ArrayLike) -> None:
        views.follow(self)
        if self._node.primitive is not None:
            raise RuntimeError("x.data = ... needs a leaf, and this tensor was computed: write x = ag.tensor(value).")
        value = np.asarray(value)
        if value.shape != self._data.shape:
            raise ValueError(f"x.data = ...: shape {value.shape} does not fit the tensor's {self._data.shape}.")
        np.copyto(self._data, value, casting="unsafe")
        views.stamp(self)

    @property
    def grad(self) -> Array | None:
        """The gradient that `backward` left: an array of the leaf's shape and dtype, or None."""
        return self._node.grad

    @grad.setter
    def grad(self, value: ArrayLike | None) -> None:
        if value is not None:
            value = np.array(value, self._data.dtype)
            if value.shape != self._data.shape:
                raise ValueError(f"x.grad = ...: shape {value.shape} does not fit the tensor's {self._data.shape}.")
        self._node.grad = value

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow back to, or through, this tensor. It can be set on a leaf. A leaf that requires
        gradients owns its array: a view or a detached tensor gets a copy of its own then."""
        views.follow(self)
        return self._node.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        views.follow(self)
        if self._node.primitive is not None:
            raise RuntimeError("x.requires_grad = ... needs a leaf; for a computed tensor use x.detach().")
        if wanted:
            check_differentiable(self._data.dtype)
            if self._view is not None:
                self._data, self._view = self._data.copy(), None
                self._node = new_leaf(self._data, name=self._node.name)
        self._node.requires_grad = self._node.live = wanted

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` and give the tensor back; raises RuntimeError for a computed one.

        >>> import autograd_lite as ag
        >>> ag.tensor([1.0, 2.0]).requires_grad_().requires_grad
        True
        """
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        views.follow(self)
        return self._node.primitive is None

    @property
    def name(self) -> str | None:
        """The name shown in pictures, printed source and reports."""
        return self._node.name

    @name.setter
    def name(self, name: str | None) -> None:
        self._node.name = name

    shape = property(lambda self: self._data.shape, doc="The lengths of the axes.")
    ndim = property(lambda self: self._data.ndim, doc="The number of axes.")
    dtype = property(lambda self: self._data.dtype, doc="The type of the entries.")
    size = property(lambda self: self._data.size, doc="The number of entries.")
    itemsize = property(lambda self: self._data.itemsize, doc="The bytes of one entry.")
    nbytes = property(lambda self: self._data.nbytes, doc="The bytes of all entries.")

    def _array(self) -> Array:
        """The array, up to date with writes through other names."""
        if self._view is not None:
            views.follow(self)
        return self._data

    # ---- leaving the tensor world -----------------------------------------------------------------------------------

    def _leave(self, what: str, silently: bool = False) -> None:
        views.follow(self)
        if silently and self._node.requires_grad:
            raise TypeError(array_remedy())
        if thread.mode.tracing and self._node.live:
            raise TypeError(
                f"{what} while tracing would freeze this value into the program ({here()}). "
                "Compute with the tensor itself; np.where chooses between values."
            )

    def numpy(self) -> Array:
        """The values as an array; raises for a tensor that requires gradients (use x.detach().numpy())."""
        self._leave("x.numpy()")
        if self._node.requires_grad:
            raise RuntimeError("x.numpy() of a tensor that requires gradients: use x.detach().numpy() or x.data.")
        return self.data

    def item(self, *index: Any) -> Any:
        """The only entry (or the entry at `index`) as a Python number."""
        self._leave("x.item()")
        return self._array().item(*index)

    def tolist(self) -> Any:
        """The values as nested lists."""
        self._leave("x.tolist()")
        return self._array().tolist()

    def detach(self) -> Tensor:
        """The same values with no history: nothing computed from it reaches this tensor's gradient."""
        if thread.mode.tracing:
            views.follow(self)
            if self._node.live:
                cut: Tensor = unary(DETACH, self)
                return cut
        result: Tensor = views.detached(self, lambda: _new(Tensor))
        return result

    def __float__(self) -> float:
        self._leave("float(x)", stored(sys._getframe(1)))
        return float(self._scalar())

    def __int__(self) -> int:
        self._leave("int(x)", stored(sys._getframe(1)))
        return int(self._scalar())

    def __complex__(self) -> complex:
        self._leave("complex(x)", stored(sys._getframe(1)))
        return complex(self._scalar())

    def __index__(self) -> int:
        self._leave("index(x)")
        return self._array().__index__()

    def __bool__(self) -> bool:
        self._leave("bool(x), as in `if x > 0`,")
        return bool(self._array())

    def _scalar(self) -> Any:
        array = self._array()
        if array.size != 1:
            raise TypeError(f"only a tensor with one entry converts to a number; this one has shape {array.shape}.")
        return array.item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad or (self._node.live and thread.mode.tracing):
            raise TypeError(array_remedy())
        return np.array(self.data, dtype) if copy or dtype not in (None, self._data.dtype) else self.data

    @property
    def _mask(self) -> None:
        """np.ma takes `_data` from whatever has it, and then asks for this: it must not get away with the values."""
        raise TypeError(
            "a masked array does not compute with tensors: use np.ma.filled(...), and the mask in np.where(mask, a, b)."
        )

    def __len__(self) -> int:
        return len(self._array())

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: object) -> bool:
        return bool((self == value).any())

    def __repr__(self) -> str:
        body = np.array2string(self._array(), separator=", ", prefix="tensor(")
        notes = [body]
        if self._data.dtype not in (np.float64, np.int64, np.bool_):
            notes.append(f"dtype={self._data.dtype}")
        if self._node.name:
            notes.append(f"name={self._node.name!r}")
        if self._node.primitive is not None:
            notes.append(f"from {self._node.primitive.label}")
        elif self._node.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join(notes)})"

    def __format__(self, spec: str) -> str:
        self._leave("format(x)")
        return format(self._scalar(), spec) if spec else repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self._restore(*self._pack("copy.deepcopy"))

    def __reduce__(self) -> Any:
        return type(self)._restore, self._pack("pickle")

    def _pack(self, who: str) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise RuntimeError(f"{who} of a tensor with a history: copy x.detach(), or a leaf.")
        return self._array().copy(), self._node.requires_grad, self._node.name, copy.copy(self._node.grad)

    @classmethod
    def _restore(cls, array: Array, requires_grad: bool, name: str | None, grad: Array | None) -> Tensor:
        result = _leaf(array, requires_grad, name, cls)
        result._node.grad = grad
        return result

    # ---- gradients --------------------------------------------------------------------------------------------------

    def backward(self, gradient: ArrayLike | None = None, retain_graph: bool = False) -> None:
        """Put into every leaf's `.grad` the derivative of this tensor with respect to it, added to what is there.

        `gradient` is the seed, of this tensor's shape; a scalar needs none (its seed is 1). The history is freed
        afterwards unless `retain_graph`. Raises RuntimeError without a history, on a second pass through a freed one,
        without a seed for a non-scalar, and where a recorded value was overwritten; ValueError for a seed of another
        shape.

        >>> import autograd_lite as ag
        >>> x = ag.tensor(3.0, requires_grad=True)
        >>> (x ** 2).backward()
        >>> float(x.grad)
        6.0
        """
        if thread.mode.tracing:
            self._leave("backward()")
        if self._view is not None:
            views.follow(self)
        if isinstance(gradient, Tensor):
            gradient = gradient.detach().data
        backward(self._node, self._data, gradient, retain_graph)

    def retain_grad(self) -> None:
        """Ask `backward` to leave this computed tensor's gradient in `.grad` too."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad: this tensor does not require gradients.")
        self.register_hook(None)

    def register_hook(self, hook: Callable[[Array], Array | None] | None) -> None:
        """Call `hook(gradient)` when this tensor's gradient is known; what it returns, if not None, replaces it."""
        if not self.requires_grad:
            raise RuntimeError("register_hook: this tensor does not require gradients.")
        self._node.hooks = [*(self._node.hooks or ()), hook]

    # ---- operators --------------------------------------------------------------------------------------------------

    __add__, __radd__, __iadd__ = _binary(np.add)
    __sub__, __rsub__, __isub__ = _binary(np.subtract)
    __mul__, __rmul__, __imul__ = _binary(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = _binary(np.divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _binary(np.floor_divide)
    __mod__, __rmod__, __imod__ = _binary(np.remainder)
    __pow__, __rpow__, __ipow__ = _binary(operator.pow)
    __matmul__, __rmatmul__, __imatmul__ = _binary(np.matmul)
    __and__, __rand__, __iand__ = _binary(np.bitwise_and)
    __or__, __ror__, __ior__ = _binary(np.bitwise_or)
    __xor__, __rxor__, __ixor__ = _binary(np.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _binary(np.left_shift)
    __rshift__, __rrshift__, __irshift__ = _binary(np.right_shift)
    __eq__, __ne__ = _binary(np.equal)[0], _binary(np.not_equal)[0]  # elementwise, as NumPy's
    __lt__, __le__ = _binary(np.less)[0], _binary(np.less_equal)[0]
    __gt__, __ge__ = _binary(np.greater)[0], _binary(np.greater_equal)[0]
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __round__(self, digits: int = 0) -> Any:
        return self.round(digits)

    def __getitem__(self, index: Any) -> Tensor:
        result: Tensor = getitem(self, index)
        return result

    def __setitem__(self, index: Any, value: Any) -> None:
        views.setitem(self, index, value)

    # ---- NumPy's protocols ------------------------------------------------------------------------------------------

    @staticmethod
    def _apply(
        primitive: Primitive, args: tuple[Any, ...], settings: dict[str, Any] | None = None, depth: int = 2
    ) -> Any:
        return apply(primitive, args, settings, depth + 1)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        primitive = PRIMITIVES.get(ufunc)
        if method != "__call__" or kwargs or primitive is None:
            return _ufunc_form(ufunc, method, inputs, kwargs)
        if len(inputs) == 2:
            return binary(primitive, *inputs)
        return unary(primitive, inputs[0]) if len(inputs) == 1 else apply(primitive, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        primitive = PRIMITIVES.get(function)
        if primitive is not None and primitive.simple and not kwargs and len(args) == 1:
            return unary(primitive, args[0])
        return call(function, args, kwargs)


# ---- making tensors ------------------------------------------------------------------------------------------------


def tensor(data: ArrayLike, requires_grad: bool = False, dtype: Any = None, name: str | None = None) -> Tensor:
    """A new leaf tensor that holds a copy of `data`.

    Python numbers become float64 or int64 as in NumPy; arrays keep their dtype unless `dtype` is given. Raises
    TypeError for data that is no array of numbers, and for `requires_grad` with a dtype that is not floating.

    >>> import autograd_lite as ag
    >>> ag.tensor([[1.0, 2.0]], requires_grad=True, name="w")
    tensor([[1., 2.]], name='w', requires_grad=True)
    """
    if isinstance(data, Tensor):
        if data.requires_grad:
            raise TypeError("ag.tensor(t) would cut t's history: use t.detach() to say so, or t itself.")
        data = data.data
    if isinstance(data, np.ndarray):
        data = numbers(data, "ag.tensor")  # before np.array drops a mask
    return _leaf(numbers(np.array(data, dtype), "ag.tensor"), requires_grad, name)


def _leaf(array: Array, requires_grad: bool, name: str | None = None, kind: type[Tensor] = Tensor) -> Tensor:
    if requires_grad:
        check_differentiable(array.dtype)
        array = settled(array)
    result = _new(kind)
    result._data = array
    result._node = new_leaf(array, requires_grad, name)
    result._view = None
    return result


def constant(array: Array) -> Tensor:
    """A tensor around an array that this library owns: no copy, no gradient."""
    node = Node()
    node.primitive = None
    node.parents = ()
    node.array = array
    node.shape = array.shape
    node.dtype = array.dtype
    node.requires_grad = node.live = False
    node.name = node.grad = node.guard = node.written = node.notes = None
    node.when = tick()
    result = _new(Tensor)
    result._data = array
    result._node = node
    result._view = None
    return result


def wrap(array: Array, node: Node) -> Tensor:
    """The tensor of an array and its place in a history."""
    result = _new(Tensor)
    result._data = array
    result._node = node
    result._view = None
    return result


# ---- applying a primitive ------------------------------------------------------------------------------------------


def apply(primitive: Primitive, args: tuple[Any, ...], settings: dict[str, Any] | None = None, depth: int = 2) -> Any:
    """Compute a primitive on the arrays behind `args`, and record it if any of them has a history.

    `depth` is the number of frames up to the user's.
    """
    values: list[Any] = []
    parents: list[Any] = []
    owners: list[tuple[int, Node]] = []
    live = leafy = False
    wants = 0
    bit = 1
    for arg in args:
        if isinstance(arg, Tensor):
            if arg._view is not None:
                views.follow(arg)
                owned = views.owner(arg)
                if owned is not None:
                    owners.append((len(values), owned))
            node = arg._node
            if node.live:
                live = True
                if node.requires_grad:
                    wants |= bit
            if node.primitive is None:
                leafy = True
            parents.append(node)
            values.append(arg._data)
        else:
            parents.append(None)
            if type(arg) not in LITERALS:
                arg = foreign(arg, primitive)
                leafy = True
            values.append(arg)
        bit += bit
    try:
        if primitive.sequence:
            value = primitive.function(values, **settings or {})
        elif settings:
            value = primitive.function(*values, **settings)
        else:
            value = primitive.function(*values)
    except (ValueError, TypeError, IndexError) as error:
        raise explained(error, primitive, values) from error
    mode = thread.mode
    if mode.anomaly:
        check_result(primitive, values, value)
    if type(value) is not np.ndarray:
        if isinstance(value, (tuple, list)):
            return _record_many(primitive, value, values, parents, wants, settings, live, owners, depth + 1)
        value = np.asarray(value)
    if value.dtype.hasobject:
        raise objects(primitive, values)
    result = _new(Tensor)
    result._data = value
    result._view = None
    if mode.tracing or (live and mode.enabled):
        plan = primitive.plan(wants if mode.enabled and value.dtype.kind in "fc" else 0, len(values))
        result._node = record(primitive, plan, value, values, parents, leafy, settings, mode, depth + 1, owners)
    else:
        result._node = new_leaf(value)
    if primitive.view:
        views.link(result, primitive, args, settings)
    return result


def unary(primitive: Primitive, x: Any) -> Any:
    """`apply` for one tensor and no settings: the same steps, unrolled, since most operations pass here."""
    parent = x._node
    if not (thread.mode.plain and parent.live) or x._view is not None or primitive.view:
        return apply(primitive, (x,), None, 3)
    array = x._data
    try:
        value = primitive.function(array)
    except (ValueError, TypeError, IndexError) as error:
        raise explained(error, primitive, [array]) from error
    if type(value) is not np.ndarray:
        if isinstance(value, (tuple, list)):
            return apply(primitive, (x,), None, 3)
        value = np.asarray(value)
    plan = (primitive.unary_plans or primitive.small_plans(1))[parent.requires_grad]
    node = Node()
    node.guards = ()
    if not plan.reads:
        array = parent
    elif parent.primitive is None:
        node.guards = (parent,)
        if not primitive.internal:
            node.place(sys._getframe(2))
    node.inputs = (array,)
    node.parents = (parent,)
    node.primitive = primitive
    node.settings = node.notes = node.name = node.grad = None
    node.live = True
    node.value = value if plan.keeps_result else None
    node.shape = value.shape
    node.dtype = value.dtype
    node.requires_grad = plan.differentiable
    node.plan = plan
    node.when = tick()
    result = _new(Tensor)
    result._data = value
    result._node = node
    result._view = None
    return result


def binary(primitive: Primitive, a: Any, b: Any) -> Any:
    """`apply` for two operands and no settings, unrolled like `unary`."""
    first = second = None
    wants = 0
    live = False
    left, right = a, b
    if isinstance(a, Tensor):
        if a._view is not None:
            return apply(primitive, (a, b), None, 3)
        first = a._node
        left = a._data
        live = first.live
        wants = first.requires_grad
    elif type(a) not in LITERALS:
        return apply(primitive, (a, b), None, 3)
    if isinstance(b, Tensor):
        if b._view is not None:
            return apply(primitive, (a, b), None, 3)
        second = b._node
        right = b._data
        if second.live:
            live = True
            if second.requires_grad:
                wants += 2
    elif type(b) not in LITERALS:
        return apply(primitive, (a, b), None, 3)
    if not (live and thread.mode.plain):
        return apply(primitive, (a, b), None, 3)
    try:
        value = primitive.function(left, right)
    except (ValueError, TypeError, IndexError) as error:
        raise explained(error, primitive, [left, right]) from error
    if type(value) is not np.ndarray:
        if isinstance(value, (tuple, list)):
            return apply(primitive, (a, b), None, 3)
        value = np.asarray(value)
    plan = (primitive.binary_plans or primitive.small_plans(2))[wants]
    node = Node()
    guards: tuple[Node, ...] = ()
    if first is not None:
        if not plan.reads_first:
            left = first
        elif first.primitive is None:
            guards = (first,)
    if second is not None:
        if not plan.reads_second:
            right = second
        elif second.primitive is None:
            guards = (*guards, second)
    node.guards = guards
    if guards and not primitive.internal:
        node.place(sys._getframe(2))
    node.inputs = (left, right)
    node.parents = (first, second)
    node.primitive = primitive
    node.settings = node.notes = node.name = node.grad = None
    node.live = True
    node.value = value if plan.keeps_result else None
    node.shape = value.shape
    node.dtype = value.dtype
    node.requires_grad = plan.differentiable
    node.plan = plan
    node.when = tick()
    result = _new(Tensor)
    result._data = value
    result._node = node
    result._view = None
    return result


def _record_many(
    primitive: Primitive,
    results: Any,
    values: list[Any],
    parents: list[Any],
    wants: int,
    settings: dict[str, Any] | None,
    live: bool,
    owners: list[tuple[int, Node]],
    depth: int,
) -> Any:
    """Several results: one node for the operation, whose value is the tuple, and one that picks each result out."""
    arrays = [np.asarray(each) for each in results]
    mode = thread.mode
    if not (mode.tracing or (live and mode.enabled)):
        tensors = [constant(each) for each in arrays]
    else:
        whole_form = _Tuple(arrays)
        plan = primitive.plan(wants if mode.enabled and whole_form.dtype.kind in "fc" else 0, len(values))
        whole = record(primitive, plan, whole_form, values, parents, True, settings, mode, depth + 1, owners)
        tensors = []
        for i, each in enumerate(arrays):
            differentiable = plan.differentiable and each.dtype.kind in "fc"
            only = PICK.plan(differentiable, 1)
            pick = record(PICK, only, each, [None], [whole], False, {"index": i}, mode, depth + 1)
            tensors.append(wrap(each, pick))
    return type(results)(*tensors) if hasattr(results, "_fields") else type(results)(tensors)


class _Tuple(tuple[Array, ...]):
    """The results of one operation together, with as much of an array's form as a node asks for."""

    __slots__ = ()

    @property
    def shape(self) -> Any:
        return tuple(each.shape for each in self)

    @property
    def dtype(self) -> np.dtype[Any]:
        return next((each.dtype for each in self if each.dtype.kind in "fc"), self[0].dtype)


def call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a NumPy function on tensors, through its rules or as the composition of others."""
    primitive = PRIMITIVES.get(function)
    body = COMPOSITES.get(function)
    if primitive is not None and (body is None or primitive.fits(args, kwargs)):
        inputs, settings = primitive.bind(args, kwargs)
        return apply(primitive, inputs, settings, 3)
    if body is None:
        raise missing(function)
    if kwargs.get("out") is not None:
        name = public_name(function) or function.__name__
        raise TypeError(f"{name}(..., out=...) on a tensor: a result is always a new tensor. Write y = {name}(...).")
    return body(*args, **kwargs)


def _ufunc_form(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What is not a plain call of a ufunc: its keywords, its reductions, or a clear refusal."""
    name = f"np.{ufunc.__name__}"
    if kwargs.pop("out", None) is not None:
        raise TypeError(
            f"{name} with out= an array, as in `array += tensor`, cannot carry gradients ({here()}): "
            "write array = array + tensor."
        )
    if method == "__call__":
        primitive = PRIMITIVES.get(ufunc)
        if primitive is None:
            body = COMPOSITES.get(ufunc)
            if body is None:
                raise missing(ufunc)
            return body(*inputs, **kwargs)
        if kwargs.pop("where", True) is not True:
            raise NotImplementedError(
                f"{name}(..., where=...) leaves entries undefined: use np.where(mask, {name}(x), other)."
            )
        if kwargs.keys() - NEUTRAL:
            raise NotImplementedError(f"{name} on a tensor does not take {sorted(kwargs.keys() - NEUTRAL)}.")
        return apply(primitive, inputs, kwargs, 3)
    if method == "outer":
        first, second = (each if isinstance(each, Tensor) else np.asarray(each) for each in inputs)
        return ufunc(np.reshape(first, first.shape + (1,) * second.ndim), second, **kwargs)
    function = form(ufunc, method)
    if function is None:
        remedy = "use np.where or x[index] = value" if method == "at" else "write it with functions that have a rule"
        raise NotImplementedError(f"{name}.{method} has no gradient rule: {remedy}.")
    kwargs.setdefault("axis", 0)
    return function(*inputs, **kwargs)
