"""A Sequential is recorded as one node, and nobody can tell: everything is as with its modules called one by one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite.recording import Node, history
from autograd_lite.rows import Row
from tests.numerical import differences

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "none": None}


def network(*activations: str, bias: bool = True, dtype: Any = np.float64) -> nn.Sequential:
    rng = np.random.default_rng(len(activations))
    modules: list[Any] = []
    for name in activations:
        modules.append(nn.Linear(3, 3, bias=bias, rng=rng, dtype=dtype))
        if ACTIVATIONS[name] is not None:
            modules.append(ACTIVATIONS[name]())
    return nn.Sequential(*modules)


def inputs(*shape: int) -> Any:
    return np.random.default_rng(7).normal(size=shape or (5, 3))


def one_by_one(model: nn.Sequential, x: Any) -> Any:
    for module in model:
        x = module(x)
    return x


def is_folded(tensor: Any) -> bool:
    return isinstance(tensor._node.primitive, Row)


def gradients(model: nn.Sequential, call: Callable[..., Any], x: Any) -> dict[str, Any]:
    model.zero_grad()
    leaf = ag.tensor(x, requires_grad=True)
    y = call(model, leaf)
    np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape)).backward()
    return {"x": leaf.grad, **{name: each.grad for name, each in model.named_parameters()}}


NETWORKS = [
    network("sigmoid"), network("none"), network("tanh", "sigmoid", "relu"), network("relu", "none", "tanh", "none"),
    network("sigmoid", "none", bias=False),
]  # fmt: skip


@pytest.mark.parametrize("model", NETWORKS, ids=repr)
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3), (1, 3)], ids=str)
def test_gradients_are_those_of_the_modules_one_by_one(model: nn.Sequential, shape: tuple[int, ...]) -> None:
    assert is_folded(model(ag.tensor(inputs(*shape))))
    expected = gradients(model, one_by_one, inputs(*shape))
    found = gradients(model, lambda model, x: model(x), inputs(*shape))
    for name, each in expected.items():
        np.testing.assert_allclose(found[name], each, rtol=1e-13, atol=1e-15, err_msg=name)
        assert found[name].dtype == each.dtype


def test_gradients_are_central_differences() -> None:
    model = network("tanh", "sigmoid")
    x = inputs()
    found = gradients(model, lambda model, x: model(x), x)
    weights = np.cos(np.arange(15)).reshape(5, 3)

    def by(parameter: Any) -> Callable[[Any], float]:
        def loss(value: Any) -> float:
            before = parameter.data.copy()
            parameter.data[...] = value
            result = np.sum(model(x).data * weights)
            parameter.data[...] = before
            return result

        return loss

    for name, parameter in model.named_parameters():
        expected = differences(by(parameter), [parameter.data.copy()], [1.0])[0]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("frozen", [("0.weight",), ("2.weight",), ("4.bias",), ("0.weight", "0.bias", "2.bias"), ()])
@pytest.mark.parametrize("leaf", [True, False])
def test_parameters_that_are_frozen_get_no_gradient(frozen: tuple[str, ...], leaf: bool) -> None:
    model = network("sigmoid", "tanh", "relu")
    expected = gradients(model, one_by_one, inputs())
    model.zero_grad()
    for name, each in model.named_parameters():
        each.requires_grad = name not in frozen
    x = ag.tensor(inputs(), requires_grad=leaf)
    y = model(x)
    assert is_folded(y)
    np.sum(y * np.cos(np.arange(15)).reshape(5, 3)).backward()
    for name, each in model.named_parameters():
        if name in frozen:
            assert each.grad is None, name
        else:
            np.testing.assert_allclose(each.grad, expected[name], rtol=1e-13)
    if leaf:
        np.testing.assert_allclose(x.grad, expected["x"], rtol=1e-13)


def test_the_same_layer_twice_gets_both_gradients() -> None:
    layer = nn.Linear(3, 3, rng=np.random.default_rng(0), dtype=np.float64)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh())
    expected = gradients(model, one_by_one, inputs())
    found = gradients(model, lambda model, x: model(x), inputs())
    assert is_folded(model(ag.tensor(inputs())))
    np.testing.assert_allclose(found["0.weight"], expected["0.weight"], rtol=1e-13)


@pytest.mark.parametrize("freed", [False, True])
def test_a_history_that_is_looked_at_shows_every_operation(freed: bool) -> None:
    model = network("tanh", "none", "relu")
    x = ag.tensor(inputs(), name="x")

    def told(call: Callable[..., Any]) -> list[tuple[Any, ...]]:
        loss = np.mean(call(x))
        if freed:
            loss.backward()
        nodes = history(loss._node)
        place = {node: i for i, node in enumerate(nodes)}
        return [
            (node.primitive and node.primitive.label, node.shape, node.dtype, node.requires_grad,
             [None if each is None else place[each] for each in node.parents],
             [each if isinstance(each, Node) else each.tolist() for each in node.inputs or ()] if node.primitive else 0,
             node.primitive and node.value is None)
            for node in nodes
        ]  # fmt: skip

    def by_hand(x: Any) -> Any:
        row = model(ag.tensor(inputs()))._node.primitive
        for link, layer in row.links:
            x = link(x, layer.weight, layer.bias)
        return x

    found, expected = told(model), told(by_hand)
    assert [each[0] for each in found] == [each[0] for each in expected]
    assert [each[1:5] for each in found] == [each[1:5] for each in expected]
    assert [each[6] for each in found] == [each[6] for each in expected]
    values = [[v for v in each[5] if not isinstance(v, Node)] if each[5] else each[5] for each in found]
    assert values == [[v for v in each[5] if not isinstance(v, Node)] if each[5] else each[5] for each in expected]


def test_a_tensor_is_drawn_as_its_modules() -> None:
    model = network("tanh", "relu")
    loss = np.mean(model(ag.tensor(inputs())))
    assert is_folded(model(ag.tensor(inputs())))
    source = ag.draw(loss).source
    assert source.count("linear tanh") == source.count("linear relu") == 1
    assert "d_0_weight" in ag.draw(loss, backward=True).source


def test_second_derivatives_go_through_a_row() -> None:
    """Of a loss whose first derivative by x was itself computed: d/dw sum((dy/dx)^2) by central differences."""
    model = network("tanh", "sigmoid")
    x = inputs()

    def penalty(w: Any) -> Any:
        model[0].weight.data[...] = w
        slope = ag.grad(lambda x: np.sum(model(x)))(x)
        return np.sum(slope.data**2)

    start = model[0].weight.data.copy()
    expected = differences(penalty, [start.copy()], [1.0])[0]
    model[0].weight.data[...] = start
    model.zero_grad()
    slope = ag.grad(lambda x: np.sum(model(x)))(x)
    np.sum(slope**2).backward()
    np.testing.assert_allclose(model[0].weight.grad, expected, rtol=1e-5, atol=1e-8)


def test_a_hessian_through_a_row_is_the_modules() -> None:
    model = network("sigmoid", "tanh")
    x = inputs(3)
    found = ag.hessian(lambda x: np.sum(model(x)))(x)
    expected = ag.hessian(lambda x: np.sum(one_by_one(model, x)))(x)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-12)
    assert np.abs(expected.data).max() > 1e-3


def test_a_row_within_a_checkpoint() -> None:
    model = network("sigmoid", "tanh")
    expected = gradients(model, one_by_one, inputs())
    found = gradients(model, lambda model, x: ag.checkpoint(model)(x), inputs())
    for name, each in expected.items():
        np.testing.assert_allclose(found[name], each, rtol=1e-13)


def test_backward_twice_with_retain_graph_adds_up_and_without_it_raises() -> None:
    model = network("sigmoid", "tanh")
    loss = np.sum(model(ag.tensor(inputs())))
    loss.backward(retain_graph=True)
    once = model[0].weight.grad.copy()
    loss.backward()
    np.testing.assert_allclose(model[0].weight.grad, 2 * once)
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_a_weight_that_was_written_to_is_named_and_a_bias_may_be() -> None:
    model = network("sigmoid", "tanh")
    expected = gradients(model, one_by_one, inputs())
    model.zero_grad()
    y = model(ag.tensor(inputs()))
    with ag.no_grad():
        model[2].bias -= 1.0
    np.sum(y * np.cos(np.arange(15)).reshape(5, 3)).backward()
    np.testing.assert_allclose(model[0].weight.grad, expected["0.weight"], rtol=1e-13)
    y = model(ag.tensor(inputs()))
    with ag.no_grad():
        model[0].weight[0] = 0.0
    with pytest.raises(RuntimeError, match=r"written to after nn\.Sequential recorded it.*test_rows"):
        np.sum(y).backward()


def test_hooks_on_the_result_see_and_replace_its_gradient() -> None:
    model = network("sigmoid", "tanh")
    y = model(ag.tensor(inputs()))
    seen = []
    y.register_hook(lambda g: (seen.append(g.copy()), np.zeros_like(g))[1])
    np.sum(y).backward()
    np.testing.assert_array_equal(seen, [np.ones((5, 3))])
    assert not model[0].weight.grad.any()


def test_anomaly_mode_that_begins_at_backward_finds_the_operation_within() -> None:
    model = network("none", "none")
    model[1].weight.data[0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        loss = np.sum(model(ag.tensor(np.zeros((2, 3)))))
    with np.errstate(invalid="ignore"), ag.detect_anomaly(), pytest.raises(FloatingPointError, match="of linear"):
        loss.backward()


@pytest.mark.parametrize("call", ["no_grad", "view", "computed", "array"])
def test_what_no_row_is_made_of_is_applied_one_by_one(call: str) -> None:
    model = network("sigmoid", "tanh")
    x = ag.tensor(inputs(), requires_grad=True)
    expected = one_by_one(model, x).data
    if call == "no_grad":
        with ag.no_grad():
            y = model(x)
        assert not y.requires_grad
    elif call == "view":
        y = model(x[:])
    elif call == "computed":
        weight = model[0].weight
        vars(model[0])["weight"] = weight * 1.0  # which a module refuses to be told
        y = model(x)
        vars(model[0])["weight"] = weight
        np.sum(y).backward()
        assert weight.grad is not None
    else:
        y = model(inputs())
    assert not is_folded(y)
    np.testing.assert_allclose(y.data, expected, rtol=1e-15)


def test_a_module_that_is_exchanged_or_loses_its_bias_counts_at_the_next_call() -> None:
    model = network("sigmoid", "tanh")
    x = ag.tensor(inputs())
    model(x)
    model[1] = nn.ReLU()
    np.testing.assert_allclose(model(x).data, one_by_one(model, x).data, rtol=1e-15)
    model[0].bias = None
    np.testing.assert_allclose(model(x).data, one_by_one(model, x).data, rtol=1e-15)
    np.sum(model(x)).backward()
    assert model[0].weight.grad is not None


def test_wrong_shapes_are_explained_by_the_layer() -> None:
    model = network("sigmoid", "tanh")
    with pytest.raises(ValueError, match=r"linear: input of shape \(5, 4\) and weight \(3, 3\)"):
        model(ag.tensor(inputs(5, 4)))


def test_a_model_that_was_called_is_pickled() -> None:
    model = network("sigmoid", "tanh")
    x = ag.tensor(inputs())
    again = pickle.loads(pickle.dumps((model(x), model)[1]))  # of our own making
    np.testing.assert_array_equal(again(x).data, model(x).data)
