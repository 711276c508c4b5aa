"""Modules: what they find, how they are copied, saved, shown and traced."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn


class Net(nn.Module):
    """Everything a module may hold, in every kind of place."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(2.0)
        self.layers = [nn.Linear(2, 3), (nn.Linear(3, 3), nn.Tanh())]
        self.heads = {"a": nn.Linear(3, 1), "b": nn.ReLU()}
        self.register_buffer("table", np.arange(3))
        self.register_buffer("cache", np.zeros(2), persistent=False)
        self.tied = self.layers[0].weight
        self.parent = self
        self.notes = [1, "text", {"deep": [self.scale]}]

    def forward(self, x: Any) -> Any:
        x = self.layers[1][0](self.layers[0](x))
        return self.heads["a"](x) * self.scale


def names(pairs: Any) -> list[str]:
    return [name for name, _ in pairs]


def test_everything_is_found_once_and_in_order() -> None:
    net = Net()
    assert names(net.named_parameters()) == [
        "scale", "layers.0.weight", "layers.0.bias", "layers.1.0.weight", "layers.1.0.bias",
        "heads.a.weight", "heads.a.bias",
    ]  # fmt: skip
    assert names(net.named_buffers()) == ["table", "cache"]
    assert names(net.named_modules()) == ["", "layers.0", "layers.1.0", "layers.1.1", "heads.a", "heads.b"]
    assert names(net.named_children()) == ["layers.0", "layers.1.0", "layers.1.1", "heads.a", "heads.b"]
    assert len(list(net.parameters())) == 7


def test_state_has_every_name_of_a_tied_parameter_and_no_transient_buffer() -> None:
    net = Net()
    state = net.state_dict()
    assert "tied" in state
    assert "cache" not in state
    assert state["table"].dtype == np.int64
    state["scale"][...] = 9
    assert float(net.scale) == 2  # a copy


def test_loading_lists_everything_and_changes_nothing() -> None:
    net = Net()
    state = {name: value + 1 for name, value in net.state_dict().items()}
    good = dict(state)
    state["extra"] = np.zeros(1)
    state["layers.0.bias"] = np.zeros(4)
    state["table"] = np.array([0.5, 1, 2])
    del state["scale"], state["heads.a.bias"]
    before = net.state_dict()
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    for part in (
        "missing: scale", "missing: heads.a.bias", "unexpected: extra",
        "shape of layers.0.bias: (4,) given, (3,) needed", "dtype of table: float64 given",
    ):  # fmt: skip
        assert part in str(error.value)
    after = net.state_dict()
    assert all((after[k] == before[k]).all() for k in before)
    assert net.load_state_dict(good) == ([], [])
    assert all((net.state_dict()[k] == good[k]).all() for k in good)
    missing = net.load_state_dict({"scale": np.array(7.0), "more": np.array(1)}, strict=False)
    assert "table" in missing.missing_keys
    assert missing.unexpected_keys == ["more"]
    assert float(net.scale) == 7


def test_a_parameter_is_not_replaced_by_its_successor() -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"Linear\.weight is a Parameter"):
        layer.weight = layer.weight - 1  # type: ignore[assignment]  # the mistake that is tested
    layer.bias = None
    assert names(layer.named_parameters()) == ["weight"]


def test_a_buffer_stays_a_buffer() -> None:
    net = Net()
    net.table = net.table + 1
    assert isinstance(net.table, nn.Buffer)
    assert net.state_dict()["table"].tolist() == [1, 2, 3]


def test_modes_gradients_and_freezing() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1)))
    assert all(module.training for module in net.modules())
    assert not any(module.training for module in net.eval().modules())
    net[0].requires_grad_(False)
    np.sum(net(np.ones((3, 2), np.float32))).backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_conversion_keeps_the_parameters_and_stops_stale_histories() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weight = net[0].weight
    loss = np.sum(net(np.ones((3, 2), np.float32)))
    assert net.to(np.float64)[0].weight is weight
    assert weight.dtype == np.float64
    assert {b.dtype.kind for b in net.buffers()} == {"f", "i"}
    with pytest.raises(RuntimeError, match="written to"):
        loss.backward()
    np.sum(net(np.ones((3, 2)))).backward()
    assert weight.grad is not None
    assert weight.grad.dtype == np.float64
    with pytest.raises(TypeError, match="floating"):
        net.to(np.int64)


def test_copies_are_independent_and_keep_ties() -> None:
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.tied is twin.layers[0].weight
        assert twin.layers[0].weight is not net.layers[0].weight
        x = np.ones((1, 2), np.float32)
        assert float(twin(x).item()) == float(net(x).item())


def test_containers() -> None:
    row = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 3))
    assert row[-1].out_features == 3
    assert len(row[:2]) == 2
    row.append(nn.ReLU()).insert(0, nn.Flatten())
    del row[1]
    assert [type(m).__name__ for m in row] == ["Flatten", "Tanh", "Linear", "ReLU"]
    named = nn.Sequential({"first": nn.Linear(1, 2), "second": nn.ReLU()})
    assert named.first.out_features == 2
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    with pytest.raises(AttributeError):
        named.third  # that it raises is the test
    with pytest.raises(TypeError, match="no module"):
        nn.Sequential(np.tanh)
    assert (
        repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    )
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Tanh()
    assert list(table) == ["a", "b"]
    assert repr(nn.Sequential(nn.Sequential(nn.Linear(1, 2)), nn.ReLU())) == (
        "Sequential(\n  (0): Sequential(\n    (0): Linear(in_features=1, out_features=2, bias=True)\n  )\n"
        "  (1): ReLU()\n)"
    )


def test_sequential_is_its_modules_one_after_another() -> None:
    rng = np.random.default_rng(0)
    for activation in (nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.GELU()):
        for bias in (True, False):
            row = nn.Sequential(nn.Linear(3, 4, bias=bias), activation, nn.Linear(4, 2), activation).to(np.float64)
            x = ag.tensor(rng.standard_normal((5, 3)), requires_grad=True)
            c = rng.standard_normal((5, 2))
            row(x).backward(c)
            fused = [x.grad, *(p.grad for p in row.parameters())]
            row.zero_grad()
            x.grad = None
            y = x
            for module in row:
                y = module(y)
            y.backward(c)
            for a, b in zip(fused, [x.grad, *(p.grad for p in row.parameters())], strict=True):
                assert a is not None
                np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_trace_knows_the_modules_names() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.features = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
            self.rest = [nn.ReLU()]

        def forward(self, x: Any) -> Any:
            return self.rest[0](self.features(x)) + 1

    program = ag.trace(Two(), np.ones((1, 2), np.float32))
    scopes = [operation.scope for operation in program.operations]
    assert ("features", "0") in scopes
    assert ("features", "1") in scopes
    assert ("rest", "0") in scopes
    assert scopes[-1] == ()


def test_default_initialisation_is_torchs_distribution() -> None:
    nn.manual_seed(0)
    for layer, fan_in in ((nn.Linear(50, 400), 50), (nn.Conv2d(6, 100, 5, groups=2), 75), (nn.Conv1d(4, 300, 7), 28)):
        bound = fan_in**-0.5
        for p in layer.parameters():
            assert p.dtype == np.float32
            assert np.abs(p.data).max() <= bound
            assert np.abs(p.data).max() > 0.98 * bound
            assert abs(float(p.data.std()) - bound / 3**0.5) < 0.05 * bound
    table = nn.Embedding(500, 20, padding_idx=3)
    assert abs(float(table.weight.data.std()) - 1) < 0.05
    assert not table.weight.data[3].any()


@pytest.mark.parametrize(
    ("call", "std"),
    [
        (lambda w: nn.init.xavier_uniform_(w, 2.0), 2 * (2 / 500) ** 0.5),
        (lambda w: nn.init.xavier_normal_(w), (2 / 500) ** 0.5),
        (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"), (2 / 200) ** 0.5),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"), 5 / 3 / 300**0.5),
        (lambda w: nn.init.uniform_(w, -1, 3), 4 / 12**0.5),
        (lambda w: nn.init.normal_(w, 5.0, 0.3), 0.3),
    ],
)
def test_initialisers_have_their_deviation(call: Any, std: float) -> None:
    nn.manual_seed(0)
    w = nn.Parameter(np.empty((300, 200), np.float32))
    assert call(w) is w
    assert abs(float(w.data.std()) / std - 1) < 0.02


def test_seeds() -> None:
    def draw() -> Any:
        return nn.Linear(3, 2).weight.data.copy()

    nn.manual_seed(3)
    a, b = draw(), draw()
    nn.manual_seed(3)
    assert (draw() == a).all()
    assert (a != b).any()
    mine = [nn.Linear(3, 2, rng=np.random.default_rng(1)).weight.data for _ in range(2)]
    assert (mine[0] == mine[1]).all()
    with pytest.raises(TypeError, match="Generator"):
        nn.Linear(3, 2, rng=7)  # type: ignore[arg-type]  # the mistake that is tested


@pytest.mark.parametrize("last", [nn.Identity, nn.Tanh, nn.Sigmoid, nn.ReLU])
@pytest.mark.parametrize("bias", [True, False])
def test_rows_of_another_width_are_named_alike_with_and_without_an_activation(last: Any, bias: bool) -> None:
    said = r"^linear: input of shape \(5, 3\) and weight \(1, 16\): .* must be in_features 16\.$"
    with pytest.raises(ValueError, match=said):
        nn.Sequential(nn.Linear(16, 1, bias=bias), last())(np.ones((5, 3), np.float32))


def test_bad_sizes_and_names() -> None:
    with pytest.raises(ValueError, match="groups"):
        nn.Conv2d(3, 4, 2, groups=2)
    with pytest.raises(ValueError, match="padding_idx"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(ValueError, match="axes"):
        nn.BatchNorm2d(3)(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="no such axis"):
        nn.Flatten()(np.zeros(3))
    with pytest.raises(KeyError, match="already"):
        nn.Linear(1, 1).register_buffer("weight", np.zeros(1))
    with pytest.raises(TypeError, match="cannot require gradients"):
        nn.Parameter([1, 2])
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)
