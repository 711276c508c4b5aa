"""Every rule, by every call of its case: values, first and second order, float32, and that a broken rule is noticed."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import autograd_lite.rules
from autograd_lite.primitives import COMPOSITES, PICK, PRIMITIVES, Primitive
from autograd_lite.recording import history
from autograd_lite.tensors import Tensor, tensor
from autograd_lite.tracing import trace
from tests.numerical import WrongGradient, check, first_order, gradients, inner, like, results
from tests.op_cases import CASES, Call, Case, function_of, specs

PARAMETERS = [
    pytest.param(entry, one, id=f"{entry.name}-{k}") for entry in CASES.values() for k, one in enumerate(entry.calls)
]
ENTRIES = [pytest.param(entry, id=entry.name) for entry in CASES.values()]


def arrays_of(one: Call, seed: int = 0) -> list[Any]:
    """The differentiable arrays of a call."""
    rng = np.random.default_rng(seed)
    return [spec.array(rng) for spec in specs(one)]


@pytest.mark.parametrize(("entry", "one"), PARAMETERS)
def test_gradients_to_second_order(entry: Case, one: Call) -> None:
    check(function_of(entry, one), arrays_of(one), np.random.default_rng(1), entry.order)


@pytest.mark.parametrize("entry", ENTRIES)
def test_float32_in_float32_out(entry: Case) -> None:
    for one in entry.calls:
        doubles = arrays_of(one)
        if any(a.dtype.kind == "c" for a in doubles):
            continue
        singles = [a.astype(np.float32) for a in doubles]
        f = function_of(entry, one)
        plain = results(f(*(a.copy() for a in singles)))
        rng = np.random.default_rng(1)
        weights = [like(np.asarray(out, np.result_type(out.dtype, np.float64)), rng) for out in plain]
        outs, got = first_order(f, singles, [w.astype(p.dtype) for w, p in zip(weights, plain, strict=True)])
        assert [out.dtype for out in outs] == [out.dtype for out in plain], "NumPy's result has another dtype"
        assert all(g.dtype == np.float32 for g in got)
        _, wanted = first_order(f, doubles, weights)
        for g, w in zip(got, wanted, strict=True):
            scale = max(1.0, float(np.max(np.abs(w), initial=0)))
            np.testing.assert_allclose(g, w, rtol=0, atol=2e-3 * scale)


# Called on plain arrays these take initial=, left= and right= by float(t), which no tensor can tell from a user's own.
TAKES_A_NUMBER = {np.max, np.min, np.amax, np.amin, np.prod, np.interp}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_input_alone_gets_the_same_gradient(entry: Case) -> None:
    for one in entry.calls:
        arrays = arrays_of(one)
        if len(arrays) < 2:
            continue
        f = function_of(entry, one)
        rng = np.random.default_rng(1)
        weights = [like(np.asarray(out), rng) for out in results(f(*(a.copy() for a in arrays)))]
        _, together = first_order(f, arrays, weights)
        for k, wanted in enumerate(together):

            def alone(x: Any, k: int = k, arrays: Any = arrays, f: Any = f) -> Any:
                return f(*arrays[:k], x, *arrays[k + 1 :])

            try:
                out = alone(tensor(arrays[k], requires_grad=True))
            except TypeError as error:  # NumPy never asks an argument that the function does not dispatch on
                assert "cannot become a plain array" in str(error) or "on a tensor" in str(error)  # noqa: PT017  # either
                continue
            if not isinstance(out, (Tensor, tuple, list)):
                assert entry.key in TAKES_A_NUMBER
                continue
            _, (got,) = first_order(alone, [arrays[k]], weights)
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12, err_msg=f"input {k}")


# What their result is depends on the values, so a trace must not take it for granted.
DATA_DEPENDENT = {np.real_if_close, np.trim_zeros, np.linalg.lstsq, np.polymul}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_trace_holds_for_other_values(entry: Case) -> None:
    one = entry.calls[0]
    f = function_of(entry, one)

    def flat(*arrays: Any) -> Any:
        return tuple(results(f(*arrays)))

    if entry.key in DATA_DEPENDENT:
        with pytest.raises(TypeError, match="being traced"):
            trace(flat, *arrays_of(one))
        return
    program = trace(flat, *arrays_of(one))
    others = arrays_of(one, seed=1)
    for got, wanted in zip(program(*others), flat(*others), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


# ---- every rule has a case, and every case notices a broken rule ---------------------------------------------------


def rules_primitives() -> set[Primitive]:
    """Every primitive with a gradient that the rules define, registered or private."""
    modules = [
        import_module(f"autograd_lite.rules.{m.name}") for m in pkgutil.iter_modules(autograd_lite.rules.__path__)
    ]
    private = {each for module in modules for each in vars(module).values() if isinstance(each, Primitive)}
    return {each for each in private | set(PRIMITIVES.values()) if each.differentiable and each is not PICK}


def used(entry: Case) -> set[Primitive]:
    """The primitives that a case's results depend on, and those of its gradients."""
    found: set[Primitive] = set()
    for one in entry.calls:
        arrays = arrays_of(one)
        sources = [tensor(a, requires_grad=True) for a in arrays]
        outs = results(function_of(entry, one)(*sources))
        weights = [tensor(like(out.data, np.random.default_rng(1)), requires_grad=True) for out in outs]
        scalar = inner(outs, weights)
        second = gradients(scalar, sources, create=True)
        for each in [scalar, *second]:
            found |= {node.primitive for node in history(each._node) if node.primitive is not None}
    return found


def test_every_rule_has_a_case() -> None:
    registered = {key for key, each in PRIMITIVES.items() if each.differentiable} | {
        key for key, body in COMPOSITES.items() if body.__module__ != "autograd_lite.rules.questions"
    }
    names = {key for key in registered if callable(key)} - {key for key in CASES if callable(key)}
    assert not {key for key in names if getattr(key, "__module__", "") != "_operator"}
    everything = set().union(*(used(entry) for entry in CASES.values()))
    assert not {each.name for each in rules_primitives() - everything}


def broken(rule: Any) -> Any:
    """A rule that is one per cent off, and not 0 where it should be."""

    def wrong(*args: Any, **settings: Any) -> Any:
        result = rule(*args, **settings)
        if isinstance(result, tuple):
            return tuple(None if each is None else each * 1.01 + 0.001 for each in result)
        return None if result is None else result * 1.01 + 0.001

    return wrong


def breakages(primitive: Primitive) -> Iterator[dict[str, Any]]:
    """The ways to break a primitive: each of its rules in turn, or the joint one."""
    if primitive.joint is not None:
        yield {"joint": broken(primitive.joint)}
    for k, rule in enumerate(primitive.rules):
        if rule is not None:
            yield {"rules": (*primitive.rules[:k], broken(rule), *primitive.rules[k + 1 :])}


def noticed(entry: Case) -> bool:
    """Whether the check fails for one of the case's calls."""
    for one in entry.calls:
        try:
            check(function_of(entry, one), arrays_of(one), np.random.default_rng(1), order=1)
        except WrongGradient:
            return True
    return False


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_broken_rule_is_noticed(entry: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    primitive = PRIMITIVES.get(entry.key)
    changes = breakages(primitive) if primitive is not None else []
    if primitive is None:  # a composition: break what its result was computed by
        primitive = last_step(entry)
        changes = [
            {
                "rules": tuple(rule and broken(rule) for rule in primitive.rules),
                "joint": primitive.joint and broken(primitive.joint),
            }
        ]
    assert primitive.takes is not None  # studied before it is broken
    for change in changes:
        with monkeypatch.context() as patch:
            for attribute, value in change.items():
                patch.setattr(primitive, attribute, value)
            assert noticed(entry), f"{primitive.name} broken, and no call of {entry.name} noticed"


def last_step(entry: Case) -> Primitive:
    """The newest primitive that a composition's results depend on."""
    for one in entry.calls:
        sources = [tensor(a, requires_grad=True) for a in arrays_of(one)]
        for out in results(function_of(entry, one)(*sources)):
            for node in reversed(history(out._node)):
                if node.primitive not in (None, PICK) and node.requires_grad and out.size:
                    return node.primitive
    raise AssertionError(f"no call of {entry.name} has a history")
