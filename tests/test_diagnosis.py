"""The diagnosis names what is wrong: the documents' faults, and mistakes written by hand in plain NumPy.

The mistakes here, and those of `benchmarks/by_hand.py`, know nothing of the catalogue.
"""

import inspect
import re
import subprocess
import sys
import time

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite import diagnosis
from autograd_lite.anatomy import network_of
from autograd_lite.mistakes import CATALOGUE, register
from autograd_lite.mistakes.base import Mistake
from autograd_lite.mistakes.slopes import SlopeMistake
from autograd_lite.tracing import recorded
from benchmarks.by_hand import Network, by_hand, loss_of
from benchmarks.diagnosis import NETWORKS, Case, false_alarms, right_ones, score
from tests.examples import test_formulas as documents

rng = np.random.default_rng(0)


def causes(report):
    """(name, places) of every cause, those that stand beside it included."""
    return [each for finding in report.findings for each in finding.mistakes]


# ---- the six documents, at their own sizes ---------------------------------------------------------------------------


def posted(make, seed=0, how="posted"):
    loss, params, formulas, *_, document = make(seed)
    return ag.check_backprop(loss, params, formulas(getattr(document, how), params))


@pytest.mark.parametrize("seed", range(2))
def test_document_1_a_sigmoid_too_many(seed):
    report = posted(documents.make_xor, seed)
    (finding,) = report.findings
    assert finding.mistakes == (("slope at the activation", ("z2", "z1")),)
    assert "one sigmoid too many" in finding.cause
    assert report["W1"].cause == report["W2"].cause == finding.cause
    assert report.scale == pytest.approx(-200)
    assert report.location.startswith("o")
    assert "(1 - " in finding.right
    assert "sigmoid(" in finding.written
    assert "sigmoid(" not in finding.right


@pytest.mark.parametrize("seed", range(2))
def test_document_2_the_diagonal_of_the_softmax(seed):
    report = posted(documents.make_mnist_ann, seed)
    (finding,) = report.findings
    assert finding.mistakes[0] == ("softmax elementwise", ("z3",))
    assert "only the diagonal of its Jacobian" in finding.cause
    assert set(finding.names) == {"W1", "b1", "W2", "b2", "W3", "b3"}
    assert report.scale == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(2))
def test_document_3_an_outer_product_for_elementwise(seed):
    report = posted(documents.make_mnist_mat, seed)
    assert causes(report) == [("matrix product for elementwise", ("z2", "z1"))]
    assert "np.mat" in report["W1"].cause
    assert "@ (o.T @ (1 - o))" in report["W2"].fix


@pytest.mark.parametrize("seed", range(2))
def test_document_6_another_loss_and_the_last_record_s_bias(seed):
    report = posted(documents.make_mnist_relu, seed)
    loss, bias = report.findings
    assert loss.mistakes[0] == ("squared error's gradient for the cross-entropy", ("z3",))
    assert bias.mistakes == (("bias of the last record, summed to one number", ("b3", "b2", "b1")),)
    assert "not of the cross-entropy that is reported" in report["W1"].cause
    assert "assigned in the loop over the records" in report["b1"].cause
    assert "not of the cross-entropy" in report["b1"].cause  # it is spoilt by both
    assert report.scale == pytest.approx(-1)
    assert not report.notes


@pytest.mark.parametrize("make", [documents.make_abs_sin, documents.make_heart])
def test_documents_4_and_5_are_right_and_so_is_every_repaired_one(make):
    report = posted(make)
    assert report.ok
    assert report.findings == report.notes == []
    assert "a direction to be added to the parameters" in str(report)


@pytest.mark.parametrize("make", documents.WRONG_AS_POSTED)
def test_repaired_derivations_are_right(make):
    assert posted(make, how="repaired").ok


def test_a_diagnosis_of_three_layers_takes_seconds():
    started = time.process_time()
    posted(documents.make_mnist_relu, 2)
    assert time.process_time() - started < 5


# ---- the interpreter -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_way_back_without_mistakes_is_the_engine_s(network):
    case = Case(network)
    generated = ag.grad(case.loss)(case.params)
    for variable in case.layers.program.inputs:
        expected = generated[variable.name]
        np.testing.assert_allclose(case.layers.right.totals[variable], expected, rtol=1e-10, atol=1e-14)


def test_every_head_is_recognised():
    for network in NETWORKS:
        (head,) = Case(network).layers.heads
        assert head.loss == {"mse": "squared error", "ce": "cross-entropy", "bce": "binary cross-entropy"}[network.loss]
        assert head.activation == network.output


@pytest.mark.parametrize(
    ("formula", "kind"),
    [
        (lambda z: np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), 1 - 1 / (1 + np.exp(-np.abs(z)))), "sigmoid"),
        (lambda z: 2 / (1 + np.exp(-2 * z)) - 1, "tanh"),
        (lambda z: (np.abs(z) + z) / 2, "relu"),
        (lambda z: (np.exp(z).T / np.exp(z).sum(axis=1)).T, "softmax"),
        (lambda z: np.exp(z - z.max(1)[:, None]) / np.exp(z - z.max(1)[:, None]).sum(1)[:, None], "softmax"),
    ],
)
def test_activations_are_recognised_however_they_are_written(formula, kind):
    X, W = rng.standard_normal((5, 4)), rng.standard_normal((4, 3))
    program = recorded(lambda p: np.sum(formula(X @ p["W"]) ** 2 * X[:, :3]), ({"W": W},), differentiate=True)
    (activation,) = network_of(program, ({"W": W},)).activations
    assert activation.kind == kind


# ---- mistakes written by hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear softmax", "xor", "one record"])
def test_mistakes_by_hand_are_named(name):
    case = Case(next(network for network in NETWORKS if network.name == name))
    right, total, _ = score(case, Case.by_hand, verbose=True)
    assert right == total >= 15


def test_a_few_of_the_catalogue_at_each_place_are_named():
    right, total, _ = score(Case(NETWORKS[0]), Case.catalogue, verbose=True)
    assert right == total >= 40


def test_pairs_by_hand_are_named():
    case = Case(NETWORKS[6])
    for made, names in [
        ((("slope missing", 1), ("sign", 2)), [("slope missing", ("z1",)), ("sign", ("W2",))]),
        ((("bias of the last record", 2), ("transposed", 1)),
         [("last record only", ("b2",)), ("weight gradient transposed", ("W1",))]),
        ((("squared error's gradient", 2), ("bias averaged", 1)),
         [("squared error's gradient for the cross-entropy", ("z2",)), ("bias averaged", ("b1",))]),
    ]:  # fmt: skip
        assert set(names) <= set(causes(case.check(case.written(*made), 1)))


def test_right_derivations_are_called_right():
    assert false_alarms(60, verbose=True)[0] == 0
    assert any(network.ties for network, *_ in right_ones(60))


@pytest.mark.parametrize("mask", [lambda z: z > 0, lambda z: z >= 0])
def test_either_mask_is_right_and_a_mistake_beside_it_is_found(mask):
    X = np.array([[1.0, -1.0], [2.0, 1.0], [0.0, 0.0], [1.0, 2.0]])
    params = {"V": np.array([[1.0, 1.0, -1.0], [1.0, -1.0, 2.0]]), "W": np.array([[1.0], [2.0], [0.5]])}

    def loss(p):
        z = X @ p["V"]
        a = np.maximum(z, 0)
        return np.sum((a @ p["W"] - 1) ** 2)

    z = X @ params["V"]
    a = np.maximum(z, 0)
    d = a @ params["W"] - 1
    right = {"V": X.T @ (d @ params["W"].T * mask(z)), "W": a.T @ d}
    assert ag.check_backprop(loss, params, right).ok
    wrong = ag.check_backprop(loss, params, {**right, "V": -3 * right["V"]})
    assert [name for name, each in wrong.entries.items() if not each.ok] == ["V"]
    half = ag.check_backprop(loss, params, {"V": right["V"], "W": z.T @ d})
    assert ("input of the wrong layer", ("W with z",)) in causes(half)


# ---- loops, branches, penalties, the batch before --------------------------------------------------------------------

X, T = rng.standard_normal((6, 4)), rng.uniform(0.1, 0.9, (6, 2))
P = {
    "W1": rng.standard_normal((4, 5)), "b1": rng.standard_normal(5),
    "W2": rng.standard_normal((5, 2)), "b2": rng.standard_normal(2),
}  # fmt: skip


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loop_loss(p):
    total = 0.0
    for i in range(6):
        z1 = np.dot(X[i], p["W1"]) + p["b1"]
        a1 = sigmoid(z1)
        z2 = np.dot(a1, p["W2"]) + p["b2"]
        o = sigmoid(z2)
        total = total + np.sum((o - T[i]) ** 2)
    return total / 6


def loop_gradients(assigned=(), slope=True):
    found = {name: np.zeros_like(value) for name, value in P.items()}
    for i in range(6):
        a1 = sigmoid(X[i] @ P["W1"] + P["b1"])
        o = sigmoid(a1 @ P["W2"] + P["b2"])
        d2 = (o - T[i]) * (o * (1 - o) if slope else 1)
        d1 = P["W2"] @ d2 * a1 * (1 - a1)
        for name, value in {"W1": np.outer(X[i], d1), "b1": d1, "W2": np.outer(a1, d2), "b2": d2}.items():
            found[name] = value if name in assigned else found[name] + value
    return found


def test_in_a_loop_over_records():
    assert ag.check_backprop(loop_loss, P, loop_gradients()).ok
    one = ag.check_backprop(loop_loss, P, loop_gradients(("W2",)))
    assert causes(one) == [("last use only", ("W2",))]
    assert "`+=`, not `=`" in one["W2"].cause
    biases = ag.check_backprop(loop_loss, P, loop_gradients(("b1", "b2")))
    assert causes(biases) == [("last use only", ("b2", "b1"))]
    every = ag.check_backprop(loop_loss, P, loop_gradients(slope=False))
    (finding,) = every.findings
    assert "in each of the 6 copies of the loop" in finding.cause
    assert len(finding.mistakes[0][1]) == 6


Q = {"W1": P["W1"], "b1": P["b1"], "V": rng.standard_normal((5, 5)), "W2": P["W2"]}


def residual_loss(p):
    a1 = np.tanh(X @ p["W1"] + p["b1"])
    a2 = np.tanh(a1 @ p["V"]) + a1
    return np.mean((a2 @ p["W2"] - T) ** 2) + 0.1 * np.sum(p["V"] ** 2)


def residual_gradients(skip=1.0, penalty=0.2):
    a1 = np.tanh(X @ Q["W1"] + Q["b1"])
    inner = np.tanh(a1 @ Q["V"])
    d3 = ((inner + a1) @ Q["W2"] - T) / 6
    da = d3 @ Q["W2"].T
    d2 = da * (1 - inner**2)
    d1 = (d2 @ Q["V"].T + skip * da) * (1 - a1**2)
    return {"W1": X.T @ d1, "b1": d1.sum(0), "V": a1.T @ d2 + penalty * Q["V"], "W2": (inner + a1).T @ d3}


@pytest.mark.parametrize(
    ("made", "name", "spoilt", "words"),
    [
        ({"skip": 0.0}, "branch lost", ("b1", "W1"), "a1 is used more than once"),
        ({"skip": 2.0}, "branch twice", ("b1", "W1"), "counted twice"),
        ({"penalty": 0.0}, "branch lost", ("V",), "regularisation term of V"),
        ({"penalty": 0.4}, "branch twice", ("V",), "is doubled"),
    ],
)
def test_branches_and_penalties(made, name, spoilt, words):
    assert ag.check_backprop(residual_loss, Q, residual_gradients()).ok
    (finding,) = ag.check_backprop(residual_loss, Q, residual_gradients(**made)).findings
    assert finding.mistakes[0][0] == name
    assert set(finding.names) == set(spoilt)
    assert words in finding.cause


def batch(x, t):
    def loss(p):
        z1 = x @ p["W1"] + p["b1"]
        a1 = sigmoid(z1)
        z2 = a1 @ p["W2"] + p["b2"]
        o = sigmoid(z2)
        return np.mean((o - t) ** 2)

    return loss


def gradients(slope1=None, slope2=None, a=None):
    a1 = sigmoid(X @ P["W1"] + P["b1"])
    o = sigmoid(a1 @ P["W2"] + P["b2"])
    d2 = (o - T) * (o * (1 - o) if slope2 is None else slope2)
    d1 = d2 @ P["W2"].T * (a1 * (1 - a1) if slope1 is None else slope1)
    return {"W1": X.T @ d1, "b1": d1.sum(0), "W2": (a1 if a is None else a).T @ d2, "b2": d2.sum(0)}, d1, d2


def test_activations_of_the_batch_before():
    x, t = rng.standard_normal((6, 4)), rng.uniform(0.1, 0.9, (6, 2))
    old = sigmoid(x @ P["W1"] + P["b1"])
    manual, *_ = gradients(a=old)
    report = ag.check_backprop(batch(X, T), P, manual, previous=batch(x, t))
    assert causes(report) == [("input of the batch before", ("W2",))]
    assert "a1_before" in report["W2"].fix
    manual, *_ = gradients(slope1=old * (1 - old))
    report = ag.check_backprop(batch(X, T), P, manual, previous=batch(x, t))
    assert causes(report) == [("slope of the batch before", ("z1",))]
    assert ag.check_backprop(batch(X, T), P, manual).notes  # without it nothing explains that
    with pytest.raises(ValueError, match="previous is another computation"):
        ag.check_backprop(batch(X, T), P, manual, previous=batch(x[:3], t[:3]))


# ---- other ways to write a network -----------------------------------------------------------------------------------


def test_one_output_without_an_axis_of_its_own():
    """A bias of one number fits on any scale: the weights say which one it is."""
    t = (T[:, 0] > 0.5) * 1.0
    p = {"w": P["W1"][:, 0], "b": np.array(0.3)}

    def loss(p):
        o = sigmoid(X @ p["w"] + p["b"])
        return -np.mean(t * np.log(o) + (1 - t) * np.log(1 - o))

    o = sigmoid(X @ p["w"] + p["b"])
    right = {"w": X.T @ (o - t) / 6, "b": np.mean(o - t)}
    assert ag.check_backprop(loss, p, right).ok
    report = ag.check_backprop(loss, p, {**right, "b": np.sum(o - t)})
    assert report["w"].ok
    assert not report["b"].ok
    assert "6 times too large: it is not divided by N" in report["b"].cause
    slopes = {"w": X.T @ ((o - t) * o * (1 - o)), "b": np.sum((o - t) * o * (1 - o))}
    report = ag.check_backprop(loss, p, slopes)
    assert causes(report)[0][0] == "squared error's gradient for the cross-entropy"
    assert report.scale == pytest.approx(6)


def test_weights_as_in_torch_and_labels():
    """(out, in) weights, and labels that pick from a log-softmax: the targets are read off the gradient."""
    labels = np.array([0, 2, 1, 1, 0, 2])
    p = {"W1": P["W1"].T.copy(), "b1": P["b1"], "W2": rng.standard_normal((3, 5)), "b2": np.ones(3)}

    def loss(p):
        h = np.tanh(X @ p["W1"].T + p["b1"])
        z = h @ p["W2"].T + p["b2"]
        logarithms = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -np.mean(logarithms[np.arange(6), labels])

    h = np.tanh(X @ p["W1"].T + p["b1"])
    e = np.exp(h @ p["W2"].T + p["b2"])
    q = e / e.sum(axis=1, keepdims=True)
    u = q - np.eye(3)[labels]

    def manual(d, slope):
        d1 = d @ p["W2"] * slope
        return {"W1": d1.T @ X, "b1": d1.sum(0), "W2": d.T @ h, "b2": d.sum(0)}

    assert ag.check_backprop(loss, p, manual(u, 1 - h**2)).ok
    report = ag.check_backprop(loss, p, manual(q * (u - (u * q).sum(1, keepdims=True)), 1 - h))
    named = causes(report)
    assert named[0] == ("squared error's gradient for the cross-entropy", (report.location.partition(" ")[0],))
    assert ("half of the slope's formula", ("z1",)) in named
    turned = manual(u, 1 - h**2)
    report = ag.check_backprop(loss, p, {**turned, "W1": turned["W1"].T})
    assert causes(report) == [("weight gradient transposed", ("W1",))]


# ---- what nothing explains, and what cannot be told apart ------------------------------------------------------------


def test_what_nothing_explains_is_told_with_its_beginning_and_its_pattern():
    odd = rng.uniform(0.5, 2, (6, 5))
    manual, d1, d2 = gradients(slope1=odd)
    report = ag.check_backprop(batch(X, T), P, manual)
    assert report.findings == []
    assert any("hand over deltas" in note for note in report.notes)
    assert "cosine" in str(report)
    with_deltas = ag.check_backprop(batch(X, T), P, {**manual, "z1": d1, "z2": d2})
    assert any("It begins at d_z1: a1 = sigmoid(z1)" in note and "z2 is as expected" in note
               for note in with_deltas.notes)  # fmt: skip
    manual["W2"] = manual["W2"] * np.array([1.0, 3.0])
    assert "each column is right up to a factor of its own, from 6 to 18" in " ".join(
        ag.check_backprop(batch(X, T), P, manual).notes
    )


def test_a_mistake_upstream_of_an_unexplained_delta_is_found():
    _, _, d2 = gradients()
    d2 = d2 * rng.uniform(0.5, 2, d2.shape)
    a1 = sigmoid(X @ P["W1"] + P["b1"])
    d1 = d2 @ P["W2"].T  # the slope is missing
    manual = {"W1": X.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0), "z2": d2, "z1": d1}
    report = ag.check_backprop(batch(X, T), P, manual)
    assert any("It begins at d_z2" in note for note in report.notes)


def test_causes_that_the_data_cannot_tell_apart_are_all_named_the_commoner_first():
    manual, *_ = gradients(slope2=1.0)
    (finding,) = ag.check_backprop(batch(X, T), P, manual).findings
    names = [name for name, _ in finding.mistakes]
    assert names[0] == "cross-entropy's gradient for the squared error"
    assert "slope missing" in names
    assert finding.apart == "For this network they come to the same line."
    # with positive weights and inputs only, all relus are open: no mask, another mask, all the same
    x, p = np.abs(X), {"V": np.abs(P["W1"]), "W": np.abs(P["W2"])}

    def loss(p):
        return np.sum((np.maximum(x @ p["V"], 0) @ p["W"] - T) ** 2)

    z = x @ p["V"]
    d = z @ p["W"] - T
    report = ag.check_backprop(loss, p, {"V": 2 * x.T @ (d @ p["W"].T * (1 - z**2)), "W": 2 * z.T @ d})
    (finding,) = report.findings
    assert "slope of a tanh" in [name for name, _ in finding.mistakes]


def test_what_would_tell_causes_apart_is_tried_out():
    """Through weights of minus the identity, a layer skipped and a wrong sign are one; through others they are not."""
    p = {"W1": P["W1"], "W2": -np.eye(5), "W3": P["W2"]}

    def loss(p):
        a1 = np.tanh(X @ p["W1"])
        a2 = np.tanh(a1 @ p["W2"])
        return np.sum((a2 @ p["W3"] - T) ** 2)

    a1 = np.tanh(X @ p["W1"])
    a2 = np.tanh(a1 @ p["W2"])
    d3 = 2 * (a2 @ p["W3"] - T)
    d2 = d3 @ p["W3"].T * (1 - a2**2)
    skipped = d2 * (1 - a1**2)
    report = ag.check_backprop(loss, p, {"W1": X.T @ skipped, "W2": a1.T @ d2, "W3": a2.T @ d3})
    (finding,) = report.findings
    assert {("layer skipped", ("a1",)), ("sign", ("W1",))} <= set(finding.mistakes)
    assert finding.apart.startswith("Other weights would tell these causes apart")


# ---- degenerate input: one clear line each ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"W1": np.zeros((4, 5))}, "the gradient of W1 is never computed: it is 0"),
        ({"b1": np.full(5, np.nan)}, "NOT FINITE: nan at (0,)"),
        ({"W1": np.ones((3, 3))}, "WRONG shape: (3, 3), must be (4, 5)"),
    ],
)
def test_degenerate_gradients(change, line):
    manual, *_ = gradients()
    report = ag.check_backprop(batch(X, T), P, {**manual, **change})
    (name,) = change
    assert [each for each, entry in report.entries.items() if not entry.ok] == [name]
    assert line in str(report)[0:1] + str(report)[1:].replace("The gradient", "the gradient")


def test_shapes_are_explained_where_a_mistake_gives_them():
    manual, d1, _ = gradients()
    report = ag.check_backprop(batch(X, T), P, {**manual, "W1": manual["W1"].T, "b1": d1})
    assert "transposed" in report["W1"].cause
    assert "not summed over the records" in report["b1"].cause


def test_a_loss_that_cannot_be_traced_is_still_compared():
    def loss(p):
        a = sigmoid(X @ p["W1"] + p["b1"])
        o = sigmoid(a @ p["W2"] + p["b2"])
        return np.mean((o - T) ** 2) if float(np.max(o)) < 2 else np.sum(o)

    manual, *_ = gradients(slope1=1.0)
    report = ag.check_backprop(loss, P, manual)
    assert [name for name, entry in report.entries.items() if not entry.ok] == ["W1", "b1"]
    assert any("There is no diagnosis" in note for note in report.notes)
    assert any("generated gradients may lack what goes through a plain number" in note for note in report.notes)


# ---- the rest --------------------------------------------------------------------------------------------------------


def test_a_right_derivation_does_not_pay(monkeypatch):
    monkeypatch.setattr(diagnosis, "diagnose", lambda *_: pytest.fail("a right derivation was diagnosed"))
    assert ag.check_backprop(batch(X, T), P, gradients()[0]).ok
    code = (
        "import sys, numpy as np, autograd_lite as ag\n"
        "ag.check_backprop(lambda p: np.sum(p['w'] ** 2), {'w': np.ones(2)}, {'w': np.ones(2)})\n"
        "assert 'autograd_lite.search' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("installed", [True, False])
def test_a_long_search_shows_how_far_it_is_on_a_terminal(monkeypatch, capsys, installed, terminal):
    monkeypatch.setattr(diagnosis, "_PATIENCE", 0.0)
    if not installed:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    report = ag.check_backprop(batch(X, T), P, gradients(slope1=1.0)[0])
    assert report.findings
    shown = capsys.readouterr().err
    assert "it/s" not in shown
    if not terminal:
        assert not shown
    else:
        assert ("diagnosing W1 (" in shown) if not installed else ("diagnosing" in shown)


def test_a_short_search_shows_nothing(capsys):
    ag.check_backprop(batch(X, T), P, gradients(slope1=1.0)[0])
    assert capsys.readouterr().err == ""


def test_a_mistake_of_one_s_own_is_found(monkeypatch):
    monkeypatch.setattr("autograd_lite.mistakes.base.CATALOGUE", CATALOGUE)
    before = list(CATALOGUE)

    class SlopeSquaredInput(SlopeMistake):
        """z^2 for the slope."""

        name = "slope z ** 2"

        def wrong(self, kind, g, y, z):
            return g * z**2

        def sentence(self, place):
            return f"the slope at {place.part.y.name} is {place.part.z.name} ** 2"

    try:
        register(SlopeSquaredInput)
        z1 = X @ P["W1"] + P["b1"]
        report = ag.check_backprop(batch(X, T), P, gradients(slope1=z1**2)[0])
        assert report["W1"].cause == "the slope at a1 is z1 ** 2"
        with pytest.raises(ValueError, match="a name of its own"):
            register(SlopeSquaredInput)
    finally:
        CATALOGUE[:] = before


def test_every_entry_of_the_catalogue_says_what_it_is():
    names = [mistake.name for mistake in CATALOGUE]
    assert len(set(names)) == len(names) > 50
    for mistake in CATALOGUE:
        assert isinstance(mistake, Mistake)
        assert type(mistake).__doc__
    case = Case(NETWORKS[8])
    known = {each.name for each in case.layers.values}
    for mistake in CATALOGUE:
        for place in mistake.places(case.layers):
            assert known.intersection(re.findall(r"\w+", mistake.sentence(place))), mistake


def test_the_lines_run_and_give_the_gradients():
    """The right line and the wrong one are NumPy code, and compute what they say."""
    case = Case(Network("lines", (3, 4, 2), "sigmoid", "sigmoid", "mse"))
    report = case.check(by_hand(case.network, case.params, case.x, case.t, frozenset({("slope twice", 1)})), 0)
    (finding,) = report.findings
    layers = case.layers
    values = {each.name: array for each, array in layers.values.items()}
    values |= {f"d_{each.name}": array for each, array in layers.right.totals.items()}
    for line, factor in ((finding.right, 1.0), (finding.written, None)):
        space = {"np": np, **values}
        exec(line, space)
        name = line.splitlines()[-1].partition(" = ")[0]
        z = name[2:]
        a = values["a"] if "a" in values else values["a1"]
        expected = values[f"d_{z}"] * (1.0 if factor else a * (1 - a))
        np.testing.assert_allclose(space[name], expected, rtol=1e-12)


def test_loss_of_is_what_by_hand_derives():
    """The hand-written pass of the score is right itself: against central differences."""
    for network in NETWORKS[:8]:
        params, x, t = network.make()
        loss = loss_of(network, x, t)
        found = by_hand(network, params, x, t)
        direction = {name: rng.standard_normal(value.shape) for name, value in params.items()}
        h = 1e-6
        ends = [loss({name: params[name] + sign * h * direction[name] for name in params}) for sign in (1, -1)]
        along = sum(np.sum(found[name] * direction[name]) for name in params)
        ratio = along / ((ends[0] - ends[1]) / (2 * h))
        sizes = {1, 2, 0.5, network.rows, network.rows * network.sizes[-1], network.rows * network.sizes[-1] / 2}
        assert any(ratio == pytest.approx(size, rel=1e-4) for size in sizes), (network.name, ratio)


# ---- nothing is said that the table contradicts ----------------------------------------------------------------------


def columns(wrong=""):
    """Twenty-five records as columns, a tanh and a sigmoid layer: the loss, the parameters, the gradients."""
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((4, 25)), (rng.random((1, 25)) > 0.5) * 1.0
    p = {"W1": rng.standard_normal((6, 4)) / 2, "b1": rng.standard_normal((6, 1)) / 10}
    p |= {"W2": rng.standard_normal((1, 6)), "b2": np.zeros((1, 1))}

    def forward(p):
        A1 = np.tanh(np.dot(p["W1"], X) + p["b1"])
        return A1, 1 / (1 + np.exp(-(np.dot(p["W2"], A1) + p["b2"])))

    def loss(p):
        _, A2 = forward(p)
        return -1 / 25 * np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))

    A1, A2 = forward(p)
    d2 = (A2 - Y) / 25
    d1 = (p["W2"].T @ d2) * (1 - A1**2)
    keep = wrong != "keepdims"
    manual = {"W1": d1 @ X.T, "b1": np.sum(d1, axis=1, keepdims=keep)}
    manual |= {"W2": d2 @ A1.T, "b2": np.sum(d2, axis=1, keepdims=keep)}
    if wrong == "copied":
        manual["b1"] = np.ones((6, 1)) * manual["b2"]
    if wrong == "exchanged":
        manual["W2"], manual["b2"] = manual["b2"], manual["W2"]
    if wrong == "one number":
        manual["b1"] = np.sum(d1)
    if wrong == "averaged":
        manual["b1"], manual["b2"] = manual["b1"] / 25, manual["b2"] / 25
    if wrong == "parameters":
        manual = {name: value.copy() for name, value in p.items()}
    return loss, p, manual


def consistent(report):
    """Whether no finding spoils what the table calls right."""
    wrong = {name for name in report.entries if not report[name].ok}
    return all(wrong.issuperset(each.names) for each in report.findings)


def test_no_cause_is_invented_for_one_wrong_bias():
    loss, p, manual = columns("copied")
    report = ag.check_backprop(loss, p, manual)
    assert [name for name in report.entries if not report[name].ok] == ["b1"]
    assert consistent(report)
    assert not report.findings, "b2's sum in every entry is no mistake that is known"
    assert str(report).endswith("The others are the generated ones.")


def test_parameters_in_the_place_of_gradients():
    loss, p, manual = columns("parameters")
    report = ag.check_backprop(loss, p, manual)
    assert "these are the parameters themselves" in report["W1"].cause
    assert all(len(each.mistakes) == 0 for each in report.findings), "no mistake has to be searched for"
    assert report.scale == 1


@pytest.mark.parametrize(
    ("wrong", "names", "words"),
    [
        ("keepdims", ("b1", "b2"), "keepdims=True"),
        ("exchanged", ("W2", "b2"), "exchanged"),
        ("one number", ("b1",), "summed to one number"),
    ],
)
def test_wrong_shapes_with_an_evident_cause(wrong, names, words):
    loss, p, manual = columns(wrong)
    report = ag.check_backprop(loss, p, manual)
    assert {name for name in report.entries if not report[name].ok} == set(names)
    (finding,) = report.findings
    assert sorted(finding.names) == sorted(names)
    assert words in finding.cause


def test_the_same_mistake_at_two_of_three_biases_is_one_finding():
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    p = {"W1": rng.standard_normal((3, 5)), "b1": np.zeros(5), "W2": rng.standard_normal((5, 4)), "b2": np.zeros(4)}
    p |= {"W3": rng.standard_normal((4, 2)), "b3": np.zeros(2)}

    def loss(p):
        h1 = np.tanh(x @ p["W1"] + p["b1"])
        h2 = np.tanh(h1 @ p["W2"] + p["b2"])
        return np.mean((h2 @ p["W3"] + p["b3"] - t) ** 2)

    manual = {name: np.array(value) for name, value in ag.grad(loss)(p).items()}
    manual |= {"b2": manual["b2"] / 20, "b3": manual["b3"] / 20}
    report = ag.check_backprop(loss, p, manual)
    (finding,) = report.findings
    assert finding.cause.startswith("the gradient of b3 is averaged over the records")
    assert finding.cause.endswith("and so at b2")
    assert set(finding.names) == {"b2", "b3"}
    assert not any("too large" in each for each in finding.alternatives), "the weights are right in the table"


# ---- mistakes with the relu's mask, and the places of helpers ------------------------------------------------------


def relu(z):
    return np.maximum(z, 0)


def relu_case():
    """A relu layer by helper, its loss, and its gradients with a delta of the user's own making."""
    rng = np.random.default_rng(11)
    x, t = rng.standard_normal((9, 4)), rng.standard_normal((9, 2))
    p = {"W1": rng.standard_normal((4, 6)), "b1": 0.1 * rng.standard_normal(6), "W2": rng.standard_normal((6, 2))}

    def loss(p):
        z1 = x @ p["W1"] + p["b1"]
        a1 = relu(z1)
        return np.mean(np.sum((a1 @ p["W2"] - t) ** 2, axis=1))

    def back(mask):
        z1 = x @ p["W1"] + p["b1"]
        a1 = relu(z1)
        d2 = 2 * (a1 @ p["W2"] - t) / 9
        d1 = mask(d2 @ p["W2"].T, z1, a1)
        return {"W1": x.T @ d1, "b1": d1.sum(axis=0), "W2": a1.T @ d2}

    return loss, p, back


@pytest.mark.parametrize(
    ("mask", "mistake", "written"),
    [
        (lambda d, z, a: d * a, "output for the slope", "d_z1 = d_a1 * a1"),
        (lambda d, z, a: d * np.where(z > 0, 1, 0.02), "slope of a leaky relu",
         "d_z1 = d_a1 * np.where(z1 > 0, 1, 0.02)"),
        (lambda d, z, a: relu(d) * (z > 0), "mask of the delta as well", "d_z1 = relu(d_a1) * (z1 > 0)"),
        (lambda d, z, a: relu(d), "mask of the delta", "d_z1 = relu(d_a1)"),
        (lambda d, z, a: d * ((z > 0) & (z < 1)), "slope of a clipped relu", "d_z1 = d_a1 * ((z1 > 0) & (z1 < 1))"),
    ],
)  # fmt: skip
def test_what_stands_in_the_place_of_a_mask(mask, mistake, written):
    loss, p, back = relu_case()
    assert ag.check_backprop(loss, p, back(lambda d, z, a: d * (z > 0))).ok
    (finding,) = ag.check_backprop(loss, p, back(mask)).findings
    assert [name for name, _ in finding.mistakes] == [mistake]
    assert finding.names == ("W1", "b1")
    assert finding.written == written


def test_the_place_of_a_helper_is_where_it_is_called():
    loss, p, back = relu_case()
    report = ag.check_backprop(loss, p, back(lambda d, z, a: d))
    lines, first = inspect.getsourcelines(loss)
    called = first + next(i for i, line in enumerate(lines) if "relu(z1)" in line)
    assert report.location == f"a1 = relu(z1)  (test_diagnosis.py:{called})"


def test_a_layer_in_a_helper_that_is_called_twice_is_told_apart():
    rng = np.random.default_rng(12)
    x, t = rng.standard_normal((7, 3)), rng.standard_normal((7, 3))
    p = {"V": rng.standard_normal((3, 3)), "W": rng.standard_normal((3, 3))}

    def layer(x, w):
        return np.tanh(x @ w)

    def loss(p):
        h = layer(x, p["V"])
        o = layer(h, p["W"])
        return np.sum((o - t) ** 2)

    h = layer(x, p["V"])
    o = layer(h, p["W"])
    d = 2 * (o - t) * (1 - o**2)
    report = ag.check_backprop(loss, p, {"W": h.T @ d, "V": x.T @ (d @ p["W"].T)})
    lines, first = inspect.getsourcelines(loss)
    called = first + next(i for i, line in enumerate(lines) if 'layer(x, p["V"])' in line)
    assert str(report.location).endswith(f"(test_diagnosis.py:{called})")


@pytest.mark.parametrize(
    ("slope", "mistake"),
    [
        (lambda y: 1 + y**2, "plus in the slope's formula"),
        (lambda y: (1 - y) ** 2, "square around the difference"),
        (lambda y: y, "output for the slope"),
    ],
)
def test_what_people_write_for_the_slope_of_a_tanh(slope, mistake):
    rng = np.random.default_rng(13)
    x, t = rng.standard_normal((3, 8)), rng.integers(0, 2, (1, 8))  # in columns
    p = {"W1": rng.standard_normal((4, 3)), "W2": rng.standard_normal((1, 4))}

    def forward(p):
        a1 = np.tanh(p["W1"] @ x)
        return a1, 1 / (1 + np.exp(-(p["W2"] @ a1)))

    def loss(p):
        a1, a2 = forward(p)
        return -np.sum(t * np.log(a2) + (1 - t) * np.log(1 - a2)) / 8

    a1, a2 = forward(p)
    d2 = (a2 - t) / 8
    manual = {"W1": ((p["W2"].T @ d2) * slope(a1)) @ x.T, "W2": d2 @ a1.T}
    (finding,) = ag.check_backprop(loss, p, manual).findings
    assert [name for name, _ in finding.mistakes] == [mistake]
    sign = -(t / a2) - (1 - t) / (1 - a2)  # the second term's inner derivative is -1
    d2 = sign * a2 * (1 - a2) / 8
    manual = {"W1": ((p["W2"].T @ d2) * (1 - a1**2)) @ x.T, "W2": d2 @ a1.T}
    (finding,) = ag.check_backprop(loss, p, manual).findings
    assert [name for name, _ in finding.mistakes] == ["sign of the second term"]
    skipped = {"W1": (((a2 - t) / 8) * (1 - a1**2)) @ x.T, "W2": ((a2 - t) / 8) @ a1.T}
    (finding,) = ag.check_backprop(loss, p, skipped).findings
    assert [name for name, _ in finding.mistakes] == ["layer skipped"]


def test_clipped_gradients_and_zeros_among_parameters_handed_over():
    loss, p, back = relu_case()
    right = back(lambda d, z, a: d * (z > 0))
    report = ag.check_backprop(loss, p, {name: np.clip(-3 * g, -2.5, 2.5) for name, g in right.items()})
    (finding,) = report.findings
    assert finding.cause == "W1, b1, W2: clipped at 2.5, and right up to there: compare before clipping"
    p = {**p, "b1": np.zeros(6)}
    (finding,) = ag.check_backprop(loss, p, {name: value.copy() for name, value in p.items()}).findings
    assert finding.cause == "W1, b1, W2: these are the parameters themselves, not their gradients"


# ---- activations of one's own, safety constants, dropout, penalties --------------------------------------------------


@pytest.mark.parametrize(
    ("f", "slope", "cause"),
    [
        (lambda z: np.where(z > 0, z, 0.01 * z), lambda z, a: z > 0,
         "a1 is no relu, but the slope is that of one: its mask, z1 > 0"),
        (lambda z: np.log(1 + np.exp(z)), lambda z, a: 1, "the slope of the activation is missing between a1 and z1"),
        (lambda z: z / (1 + np.exp(-z)), lambda z, a: a * (1 - a),
         "a1 is no sigmoid, but the slope is that of one: a1 * (1 - a1)"),
        (np.sin, lambda z, a: 1 - a**2, "a1 is no tanh, but the slope is that of one: 1 - a1 ** 2"),
    ],
)  # fmt: skip
def test_an_activation_of_ones_own(f, slope, cause):
    rng = np.random.default_rng(14)
    x, t = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    p = {"W1": rng.standard_normal((3, 5)), "W2": rng.standard_normal((5, 2))}

    def loss(p):
        z1 = x @ p["W1"]
        a1 = f(z1)
        return np.mean((a1 @ p["W2"] - t) ** 2)

    z1 = x @ p["W1"]
    a1 = f(z1)
    d2 = (a1 @ p["W2"] - t) / 8
    report = ag.check_backprop(loss, p, {"W1": x.T @ (d2 @ p["W2"].T * slope(z1, a1)), "W2": a1.T @ d2})
    assert [each.cause for each in report.findings] == [cause]
    assert str(report.location).startswith("a1 = ")


def test_the_slope_of_an_activation_that_a_linear_output_does_not_have():
    rng = np.random.default_rng(15)
    x, t, p = rng.standard_normal((8, 3)), rng.standard_normal((8, 2)), {"W": rng.standard_normal((3, 2))}

    def loss(p):
        out = x @ p["W"]
        return np.mean((out - t) ** 2)

    out = x @ p["W"]
    report = ag.check_backprop(loss, p, {"W": x.T @ ((out - t) * out * (1 - out))})
    cause = "the output out is linear, but its error is multiplied by the slope of a sigmoid, out * (1 - out)"
    assert [each.cause for each in report.findings] == [cause]


def test_a_safety_constant_that_is_left_out_stands_beside_the_mistake():
    rng = np.random.default_rng(16)
    x, t = rng.standard_normal((8, 3)), np.eye(3)[rng.integers(0, 3, 8)]
    p = {"W1": rng.standard_normal((3, 5)), "W2": 5 * rng.standard_normal((5, 3))}

    def forward(p):
        h = 1 / (1 + np.exp(-(x @ p["W1"])))
        e = np.exp(h @ p["W2"])
        return h, e / np.sum(e, axis=1, keepdims=True)

    def loss(p):
        return -np.mean(np.sum(t * np.log(forward(p)[1] + 1e-8), axis=1))

    h, o = forward(p)
    d = (o - t) / 8
    names = []
    for slope in (h * (1 - h), h):
        report = ag.check_backprop(loss, p, {"W1": x.T @ (d @ p["W2"].T * slope), "W2": h.T @ d})
        names.append([name for each in report.findings for name, _ in each.mistakes])
    assert names == [["epsilon left out"], ["epsilon left out", "half of the slope's formula"]]


def test_the_mask_of_a_dropout_is_lost_on_the_way_back():
    rng = np.random.default_rng(17)
    x, t, mask = rng.standard_normal((8, 3)), rng.standard_normal((8, 2)), (rng.random((8, 5)) < 0.7) / 0.7
    p = {"W1": rng.standard_normal((3, 5)), "W2": rng.standard_normal((5, 2))}

    def loss(p):
        h = np.tanh(x @ p["W1"])
        kept = h * mask
        return np.mean((kept @ p["W2"] - t) ** 2)

    h = np.tanh(x @ p["W1"])
    d = ((h * mask) @ p["W2"] - t) / 8
    report = ag.check_backprop(loss, p, {"W1": x.T @ (d @ p["W2"].T * (1 - h * h)), "W2": (h * mask).T @ d})
    (finding,) = report.findings
    assert finding.cause.startswith("h is multiplied by mask on the way forward, and not on the way back")
    assert (finding.right, finding.written) == ("d_h = d_kept * mask", "d_h = d_kept")


@pytest.mark.parametrize(("share", "name"), [(0.0, "branch lost"), (0.5, "regularisation of another size"),
                                             (-1.0, "regularisation subtracted"), (2.0, "branch twice")])  # fmt: skip
def test_a_penalty_that_the_loss_has(share, name):
    rng = np.random.default_rng(18)
    x, t = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    p = {"W1": rng.standard_normal((3, 5)), "W2": rng.standard_normal((5, 2))}

    def loss(p):
        o = np.tanh(x @ p["W1"]) @ p["W2"]
        return np.mean((o - t) ** 2) + 0.1 * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))

    h = np.tanh(x @ p["W1"])
    d = 2 * (h @ p["W2"] - t) / 16
    for shares in ({"W1": share, "W2": 1}, {"W1": share, "W2": share}):
        manual = {"W1": x.T @ (d @ p["W2"].T * (1 - h * h)), "W2": h.T @ d}
        manual = {key: g + shares[key] * 0.2 * p[key] for key, g in manual.items()}
        (finding,) = ag.check_backprop(loss, p, manual).findings
        assert finding.mistakes[0][0] == name
        assert finding.names == tuple(key for key in p if shares[key] != 1)


def test_a_loop_over_records_has_as_many_as_it_has_turns():
    rng = np.random.default_rng(19)
    x, p = rng.standard_normal((6, 3)), {"W": rng.standard_normal((3, 2))}

    def loss(p):
        total = 0
        for each in x:
            total = total + np.sum(np.tanh(np.dot(each, p["W"])))
        return total / 6

    report = ag.check_backprop(loss, p, {"W": x.T @ (1 - np.tanh(x @ p["W"]) ** 2)})
    assert "N times the generated ones (N = 6): of the summed loss." in str(report)


# ---- found by trying to mislead it ---------------------------------------------------------------------------------


def square_case():
    """A network whose layers and batch all have four of everything, with the parts of its right backward pass."""
    rng = np.random.default_rng(20)
    x, t = rng.standard_normal((4, 4)), np.eye(4)[rng.integers(0, 4, 4)]
    p = {"W1": rng.standard_normal((4, 4)), "b1": rng.standard_normal(4),
         "W2": rng.standard_normal((4, 4)), "b2": rng.standard_normal(4)}  # fmt: skip

    def forward(p):
        h = 1 / (1 + np.exp(-(x @ p["W1"] + p["b1"])))
        e = np.exp(h @ p["W2"] + p["b2"])
        return h, e / np.sum(e, axis=1, keepdims=True)

    def loss(p):
        return -np.mean(np.sum(t * np.log(forward(p)[1]), axis=1))

    h, o = forward(p)

    def back(d=None, slope=None, weights=lambda a, d: a.T @ d):
        d2 = (o - t) / 4 if d is None else d(o, t)
        d1 = d2 @ p["W2"].T * (h * (1 - h) if slope is None else slope)
        return {"W1": weights(x, d1), "b1": d1.sum(axis=0), "W2": weights(h, d2), "b2": d2.sum(axis=0)}

    return loss, p, x, back


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("made", "names"),
    [
        ({"d": lambda o, t: (softmax(o) - t) / 4}, ["activation of the output once more"]),
        ({"d": lambda o, t: (o + t) / 4}, ["target added"]),
        ({"weights": lambda a, d: a @ d}, ["input not transposed"] * 2),
        ({"weights": lambda a, d: np.outer(a.mean(axis=0), d.sum(axis=0))}, ["averaged before the product"] * 2),
        ({"weights": lambda a, d: np.tile(d.sum(axis=0), (4, 1))}, ["input forgotten"] * 2),
    ],
)  # fmt: skip
def test_what_else_people_write(made, names):
    loss, p, _, back = square_case()
    assert ag.check_backprop(loss, p, back()).ok
    (finding,) = ag.check_backprop(loss, p, back(**made)).findings
    assert [name for name, _ in finding.mistakes][:2] == names[: len(finding.mistakes)]


def test_the_slope_may_be_taken_at_the_data():
    loss, p, x, back = square_case()
    (finding,) = ag.check_backprop(loss, p, back(slope=x * (1 - x))).findings
    assert finding.mistakes == (("slope of another layer", ("z1 with x",)),)


def test_exchanged_gradients_of_one_shape():
    loss, p, _, back = square_case()
    right = back()
    (finding,) = ag.check_backprop(loss, p, {**right, "b1": right["b2"], "b2": right["b1"]}).findings
    assert finding.cause == "the gradients of b1 and b2 are exchanged: each is handed over as the other's"


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_not_explained_by_a_constant_that_fits_a_few_numbers(seed):
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    p = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)}
    noise = {name: rng.standard_normal(value.shape) for name, value in p.items()}
    report = ag.check_backprop(lambda p: np.mean((np.tanh(x @ p["W"] + p["b"]) - t) ** 2), p, noise)
    assert not report.findings
    assert "No mistake that is known explains" in str(report)


def test_rows_that_are_picked_several_times():
    rng = np.random.default_rng(21)
    index, t = np.array([0, 2, 2, 1, 0]), rng.standard_normal((5, 2))
    p = {"E": rng.standard_normal((4, 3)), "W": rng.standard_normal((3, 2))}

    def loss(p):
        h = p["E"][index]
        return np.mean((h @ p["W"] - t) ** 2)

    h = p["E"][index]
    d = (h @ p["W"] - t) / 5
    rows = np.zeros((4, 3))
    rows[index] += d @ p["W"].T
    (finding,) = ag.check_backprop(loss, p, {"E": rows, "W": h.T @ d}).findings
    assert finding.mistakes == (("repeated indices", ("E",)),)
    assert finding.right.splitlines()[1] == "np.add.at(d_E, index, d_h)"
    np.add.at(rows := np.zeros((4, 3)), index, d @ p["W"].T)
    assert ag.check_backprop(loss, p, {"E": rows, "W": h.T @ d}).ok


@pytest.mark.parametrize("name", ["labels index whole columns", "labels index records"])
def test_labels_that_index_other_places(name):
    rng = np.random.default_rng(22)
    x, labels, p = rng.standard_normal((7, 4)), np.array([0, 1, 1, 0, 1, 0, 1]), {"W": rng.standard_normal((4, 3))}

    def loss(p):
        return -np.mean(np.log(softmax(x @ p["W"])[np.arange(7), labels]))

    d = softmax(x @ p["W"])
    if name == "labels index records":
        d[labels] -= 1
    else:
        d[:, labels] -= 1
    (finding,) = ag.check_backprop(loss, p, {"W": x.T @ d / 7}).findings
    assert finding.mistakes[0][0] == name


def test_the_lines_of_a_fix_stand_below_one_another():
    rng = np.random.default_rng(23)
    x, t, p = rng.standard_normal((5, 3)), rng.standard_normal((5, 1)), {"W": rng.standard_normal((3, 1))}

    def loss(p):
        o = 1 / (1 + np.exp(-(x @ p["W"])))
        return np.mean((o - t) ** 2)

    o = 1 / (1 + np.exp(-(x @ p["W"])))
    again = 1 / (1 + np.exp(-o))
    report = ag.check_backprop(loss, p, {"W": x.T @ ((o - t) * again * (1 - again))})
    right, *written = report["W"].fix.splitlines()
    assert right == "right  d_z1 = d_o * (o * (1 - o))"
    assert written == ["yours  s = sigmoid(o)", "       d_z1 = d_o * (s * (1 - s))"]


@pytest.mark.parametrize("seed", range(4))
def test_one_number_off_is_off_by_a_factor_and_no_more_is_claimed(seed):
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((9, 3)), rng.integers(0, 2, (9, 1))
    p = {"W": rng.standard_normal((3, 1)), "b": np.array([0.3])}

    def loss(p):
        o = 1 / (1 + np.exp(-(x @ p["W"] + p["b"])))
        return -np.mean(t * np.log(o) + (1 - t) * np.log(1 - o))

    d = (1 / (1 + np.exp(-(x @ p["W"] + p["b"]))) - t) / 9
    manual = {"W": x.T @ d, "b": d.sum(axis=0) + rng.uniform(0.1, 1)}
    (finding,) = ag.check_backprop(loss, p, manual).findings
    assert finding.cause == "the gradient of b is off by a factor"
    assert not finding.alternatives


def units_case():
    """Three layers in columns with one output unit, and the parts of the right backward pass."""
    rng = np.random.default_rng(24)
    x, t = rng.standard_normal((5, 14)), rng.integers(0, 2, (1, 14))
    shapes = {"W1": (4, 5), "b1": (4, 1), "W2": (3, 4), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    def forward(p):
        a1 = np.tanh(p["W1"] @ x + p["b1"])
        a2 = np.tanh(p["W2"] @ a1 + p["b2"])
        return a1, a2, 1 / (1 + np.exp(-(p["W3"] @ a2 + p["b3"])))

    def loss(p):
        o = forward(p)[-1]
        return -np.mean(t * np.log(o) + (1 - t) * np.log(1 - o))

    def back(bias):
        a1, a2, o = forward(p)
        d3 = o - t
        d2 = p["W3"].T @ d3 * (1 - a2**2)
        d1 = p["W2"].T @ d2 * (1 - a1**2)
        layers = zip("123", (x, a1, a2), (d1, d2, d3), strict=True)
        return {k: g for i, a, d in layers for k, g in ((f"W{i}", d @ a.T / 14), (f"b{i}", bias(d) + 0 * p[f"b{i}"]))}

    return loss, p, back


def test_a_mistake_is_not_told_where_it_changes_nothing():
    loss, p, back = units_case()
    assert ag.check_backprop(loss, p, back(lambda d: d.sum(axis=1, keepdims=True) / 14)).ok
    (finding,) = ag.check_backprop(loss, p, back(lambda d: d.sum() / 14)).findings
    assert finding.cause == (
        "the gradient of b2 is one number, the sum over records and units, in every component; and so at b1"
    )  # b3 has one unit, and is right
    assert finding.names == ("b1", "b2")


def test_what_most_gradients_agree_on_stays_right():
    loss, p, back = units_case()
    report = ag.check_backprop(loss, p, back(lambda d: d.mean()))
    assert report.scale == pytest.approx(1)
    assert [each.cause for each in report.findings] == [
        "the gradient of b2 is one number, averaged over the units, in every component; and so at b1"
    ]
    report = ag.check_backprop(loss, p, back(lambda d: np.median(d)))  # nobody's mistake
    assert report.scale == pytest.approx(1)
    assert [name for name, each in report.entries.items() if not each.ok] == ["b1", "b2", "b3"]


def test_a_single_number_does_not_choose_the_scale_against_the_others():
    rng = np.random.default_rng(25)
    x, t = rng.standard_normal((9, 4)), rng.standard_normal((9, 1))
    p = {"w": rng.standard_normal((4, 1)), "b": np.zeros(1)}
    right = 2 * (x @ p["w"] - t) / 9
    manual = {"w": rng.standard_normal((4, 1)), "b": 2 * right.sum(axis=0)}
    report = ag.check_backprop(lambda p: np.mean((x @ p["w"] + p["b"] - t) ** 2), p, manual)
    assert report.scale == 1
    assert report["b"].verdict == "WRONG by a factor: 2 times what it should be"
