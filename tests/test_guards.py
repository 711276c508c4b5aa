"""A compiled function sees every change of what its function finds without being handed it."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import itertools
import random
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn

X = np.array([1.0, 2.0, 3.0])
FACTOR = 2.0
Change = Callable[[], Any]
Case = tuple[Callable[[Any], Any], list[Change]]


def helper(x: Any) -> Any:
    return x * FACTOR


class Slope:
    """An object with everything that an object may have."""

    k = 2.0

    def __init__(self) -> None:
        self.a = 3.0
        self.inner = types.SimpleNamespace(b=1.0)
        self.entries = [1.0, 2.0]
        self.table = {"p": 1.0}
        self._hidden = 5.0
        self._weight = 6.0

    @property
    def hidden(self) -> float:
        return self._hidden

    @staticmethod
    def doubled(x: Any) -> Any:
        return x * FACTOR

    @classmethod
    def scaled(cls, x: Any) -> Any:
        return x * cls.k

    def __mul__(self, other: Any) -> Any:
        return other * self._weight

    def times(self, x: Any) -> Any:
        return x * self.a * self.k * self.inner.b * self.hidden * self.entries[0] * self.table["p"]


class Slotted:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 2.0


@dataclasses.dataclass(slots=True)
class Record:
    a: float = 1.0


class Borrowed:
    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return owner.__dict__["lent"]


class Borrower:
    v = Borrowed()

    def __init__(self) -> None:
        self.lent = 2.0


class Dynamic:
    def __init__(self) -> None:
        self.__dict__["store"] = {"q": 2.0}

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__["store"]:
            raise AttributeError(name)
        return self.__dict__["store"][name]


class Mode(enum.Enum):
    UP = 1
    DOWN = 2


class Net(nn.Module):
    def __init__(self) -> None:
        self.lin = nn.Linear(3, 3, dtype=np.float64)
        self.scale = 2.0
        self._private = 3.0
        self.more = [nn.Linear(3, 3, dtype=np.float64)]
        self.flag = False

    def forward(self, x: Any) -> Any:
        x = self.lin(x) * self.scale * self._private
        for each in self.more:
            x = each(x)
        return -x if self.flag and self.training else x


def an_object() -> Case:
    c = Slope()
    changes = [
        lambda: setattr(c, "a", 4.0), lambda: setattr(c, "k", 1.5), lambda: setattr(c.inner, "b", 9.0),
        lambda: setattr(c, "_hidden", 2.0), lambda: c.entries.__setitem__(0, 4.0), lambda: setattr(c, "entries", [8.0]),
        lambda: c.table.__setitem__("p", 4.0),
    ]  # fmt: skip
    return lambda x: c.times(x), changes


def class_attributes() -> Case:
    class Own(Slope):
        pass

    c = Own()
    changes = [lambda: setattr(Own, "k", 7.0), lambda: setattr(Own, "times", lambda self, x: x * 100)]
    return lambda x: c.times(x), changes


def classes_themselves() -> Case:
    class Own(Slope):
        k = 2.0

    return lambda x: Own.scaled(x) + Own.k, [lambda: setattr(Own, "k", 3.0)]


def operators() -> Case:
    c = Slope()
    return lambda x: c * x, [lambda: setattr(c, "_weight", 2.0)]


def slots() -> Case:
    s, r = Slotted(), Record()
    return lambda x: x * s.a * r.a, [lambda: setattr(s, "a", 5.0), lambda: setattr(r, "a", 5.0)]


def descriptors() -> Case:
    b = Borrower()
    return lambda x: x * b.v, [lambda: setattr(b, "lent", 3.0)]


def dynamic_attributes() -> Case:
    d, c, name = Dynamic(), Slope(), ["a"]
    changes = [
        lambda: d.__dict__["store"].__setitem__("q", 3.0), lambda: setattr(c, "a", 8.0),
        lambda: name.__setitem__(0, "k"),
    ]  # fmt: skip
    return lambda x: x * d.q * getattr(c, "a") * getattr(c, name[0]), changes  # noqa: B009  (what is tested)


def containers() -> Case:
    s, q, d, o, b = {1.0, 2.0}, collections.deque([1.0]), collections.defaultdict(float, a=1.0), {}, bytearray(b"\x01")
    t = {("a", 1): 1.0}
    o.update(a=1.0, b=3.0)
    changes = [
        lambda: s.add(5.0), lambda: q.__setitem__(0, 3.0), lambda: q.append(1.0), lambda: d.__setitem__("a", 2.0),
        lambda: o.__setitem__("a", o.pop("a")), lambda: b.__setitem__(0, 9), lambda: t.__setitem__(("a", 1), 4.0),
    ]  # fmt: skip
    return lambda x: x * sum(s) * q[0] * len(q) * d["a"] * next(iter(o.values())) * b[0] * t["a", 1], changes


def methods_of_containers() -> Case:
    table, first = {"p": 2.0}, [4.0]
    get, at = table.get, first.__getitem__
    return lambda x: x * get("p") * at(0), [lambda: table.update(p=3.0), lambda: first.__setitem__(0, 5.0)]


def kinds_of_numbers() -> Case:
    k: list[Any] = [1, np.float32(1)]

    def f(x: Any) -> Any:
        return x * (2 if type(k[0]) is int else 3) * (2 if type(k[1]) is np.float32 else 3)

    return f, [lambda: k.__setitem__(0, 1.0), lambda: k.__setitem__(1, np.float64(1))]


def nested_containers() -> Case:
    n: Any = {"a": [{"b": np.ones(3)}]}
    changes = [
        lambda: n["a"][0]["b"].__setitem__(0, 5.0), lambda: n["a"][0].__setitem__("b", np.zeros(3)),
        lambda: n["a"].__setitem__(0, {"b": np.full(3, 2.0)}),
    ]  # fmt: skip
    return lambda x: x * n["a"][0]["b"], changes


def functions() -> Case:
    k = [2.0]
    p = functools.partial(lambda j, x: x * j[0], [2.0])

    @functools.wraps(helper)
    def wrapped(x: Any) -> Any:
        return helper(x) * k[0]

    def with_default(x: Any, j: Any = (2.0,)) -> Any:
        return x * j[0]

    changes = [
        lambda: p.args[0].__setitem__(0, 4.0), lambda: k.__setitem__(0, 3.0),
        lambda: setattr(with_default, "__defaults__", ((9.0,),)),
        lambda: setattr(with_default, "__code__", (lambda x, j: x * 5).__code__),
    ]  # fmt: skip
    return lambda x: p(x) + wrapped(x) + with_default(x), changes


def global_names() -> Case:
    return lambda x: helper(x) * globals()["FACTOR"], [lambda: globals().__setitem__("FACTOR", FACTOR + 1)]


def cells() -> Case:
    k = 2.0

    def move(to: float) -> None:
        nonlocal k
        k = to

    return lambda x: x * k, [lambda: move(5.0), lambda: move(7.0)]


def empty_cells() -> Case:
    late = 0.0
    del late

    def f(x: Any) -> Any:
        try:
            return x * late
        except NameError:
            return x

    def move(to: float) -> None:
        nonlocal late
        late = to

    return f, [lambda: move(5.0), lambda: move(7.0)]


def cached_properties() -> Case:
    class Sized:
        def __init__(self) -> None:
            self._edge = 2.0

        @functools.cached_property
        def area(self) -> float:
            return self._edge**2

    a = Sized()

    def resize() -> None:
        del a.area
        a._edge = 3.0

    return lambda x: x * a.area, [lambda: setattr(a, "area", 5.0), resize]


def primitives() -> Case:
    weight, slope = np.ones(3), np.full(50_000, 2.0)

    @ag.primitive
    def weighted(x: Any) -> Any:
        return x * weight

    weighted.def_rule(lambda g, y, x: g * np.sum(slope))

    def jointly(g: Any, y: Any, x: Any) -> Any:
        return (g * weight * FACTOR,)

    changes = [
        lambda: weight.__setitem__(0, 3.0), lambda: slope.__setitem__(7, 5.0),
        lambda: weighted.def_rule(lambda g, y, x: g * 4), lambda: weighted.def_rule(joint=jointly),
        lambda: weight.__setitem__(1, 9.0), lambda: globals().__setitem__("FACTOR", FACTOR + 1),
    ]  # fmt: skip
    return lambda x: weighted(x) + ag.grad(lambda x: np.sum(weighted(x) ** 2))(x), changes


def arrays() -> Case:
    base, big, wide, zero = np.arange(10.0), np.ones(100_000), np.zeros((3, 50_000)), np.array(2.0)
    view = base[:3]
    changes = [
        lambda: base.__setitem__(0, 5.0), lambda: big.__setitem__(77, 5.0), lambda: wide.__setitem__((0, 0), 5.0),
        lambda: zero.__setitem__((), 3.0),
    ]  # fmt: skip
    return lambda x: x * view * np.sum(big) * (1 + np.sum(wide[:, ::2])) * float(zero), changes


def enumerations() -> Case:
    mode = [Mode.UP]
    return lambda x: x * 2 if mode[0] is Mode.UP else x * 3, [lambda: mode.__setitem__(0, Mode.DOWN)]


def modules() -> Case:
    m = Net()
    changes = [
        lambda: setattr(m, "scale", 5.0), lambda: setattr(m, "_private", 7.0), lambda: setattr(m, "flag", True), m.eval,
        lambda: m.more.append(nn.Linear(3, 3, dtype=np.float64)), lambda: setattr(m.lin, "bias", None),
        lambda: setattr(m.lin, "weight", nn.Parameter(np.ones((3, 3)))), lambda: m.more.clear(), m.train,
        lambda: setattr(m, "lin", nn.Linear(3, 3, dtype=np.float64)),
    ]  # fmt: skip
    return m, changes


CASES = [
    an_object, class_attributes, classes_themselves, operators, slots, descriptors, dynamic_attributes, containers,
    methods_of_containers, kinds_of_numbers, nested_containers, functions, global_names, cells, empty_cells,
    cached_properties, primitives, arrays, enumerations, modules,
]  # fmt: skip


@pytest.fixture(autouse=True)
def factor() -> Iterator[None]:
    """The global number as it was."""
    before = FACTOR
    yield
    globals()["FACTOR"] = before


def values(result: Any) -> Any:
    return result.data if isinstance(result, ag.Tensor) else np.asarray(result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_change_is_seen(case: Callable[[], Case]) -> None:
    f, changes = case()
    fast = ag.compile(f)
    np.testing.assert_allclose(values(fast(X)), values(f(X)), rtol=1e-12)
    for number, change in enumerate(changes):
        before = values(f(X))
        change()
        after = values(f(X))
        if case is not modules:  # training mode alone changes nothing in a net without its flag
            assert not np.array_equal(before, after), f"change {number} changes nothing"
        np.testing.assert_allclose(values(fast(X)), after, rtol=1e-12, err_msg=f"change {number}")
        found = fast._last
        fast(X)
        assert fast._last is found, "traced again though nothing changed"


def test_a_large_array_is_seen_to_change_wherever_it_comes_from() -> None:
    @functools.cache
    def table() -> Any:
        return np.ones(100_000)

    fast = ag.compile(lambda x: np.sum(x * table()))
    assert fast(np.ones(100_000)) == 100_000
    table()[3] = 11.0
    assert fast(np.ones(100_000)) == 100_010


GENERATOR = np.random.default_rng(0)
COUNTER = itertools.count(1)


@pytest.mark.parametrize(
    "hidden",
    [
        lambda x: x * next(COUNTER), lambda x: x * np.random.rand(), lambda x: x * random.random(),  # noqa: NPY002
        lambda x: x * time.perf_counter(), lambda x: x * GENERATOR.standard_normal(3),
        lambda x: np.where(GENERATOR.random(3) > 0.5, x, 0),
    ],
)  # fmt: skip
def test_what_differs_from_run_to_run_is_refused(hidden: Any) -> None:
    with pytest.raises(RuntimeError, match="something else each time"):
        ag.compile(hidden)(X)
