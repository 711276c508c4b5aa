"""gradcheck and check_backprop: right is found right, wrong is found wrong, and the message says where."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import autograd_lite as ag

rng = np.random.default_rng(0)
A, B = rng.standard_normal((2, 3)), rng.standard_normal((3, 2))


# ---- gradcheck -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_rules_pass(order):
    assert ag.gradcheck(lambda a, b: np.tanh(a @ b) / (2 + a[0, 0] ** 2), A, B, order=order) is True


def test_structures_integers_and_several_results():
    def f(p, labels, power=2):
        z = p["w"][0] ** power
        return {"picked": z[labels], "all": (np.exp(z), np.argmax(z), 3.0)}

    assert ag.gradcheck(f, {"w": [A[0], A[1]]}, np.array([0, 0, 2]), 2, order=2)


def test_complex_arguments_and_results():
    z = A[0] + 1j * A[1]
    assert ag.gradcheck(lambda z: np.exp(z) * np.conj(z), z, order=2)


def test_what_is_captured_is_a_constant():
    w = ag.tensor(A, requires_grad=True)
    assert ag.gradcheck(lambda x: w @ x, B, order=2)
    assert w.grad is None


def test_a_kink_is_found():
    with pytest.raises(AssertionError, match=r"generated .*, central difference"):
        ag.gradcheck(np.sqrt, np.array([0.0, 1.0]))


def scaled_sine(first=1.0, second=1.0):
    """sin as a primitive whose derivatives of order 1 and 2 are wrong by the given factors."""
    slope = ag.primitive(lambda x: first * np.cos(x))
    slope.def_rule(lambda g, y, x: -g * first * second * np.sin(x))
    sine = ag.primitive(lambda x: np.sin(x))
    sine.def_rule(lambda g, y, x: g * slope(x))
    return sine


def test_a_right_primitive_passes_to_order_2():
    assert ag.gradcheck(scaled_sine(), A, order=2)


def test_a_broken_rule_is_caught_at_order_1():
    with pytest.raises(AssertionError, match=r"order 1: argument 0, index \(\d, \d\).*6 of 6 entries"):
        ag.gradcheck(scaled_sine(first=1.001), A)


def test_a_broken_rule_of_the_rule_is_caught_at_order_2_only():
    broken = scaled_sine(second=1.001)
    assert ag.gradcheck(broken, A)
    with pytest.raises(AssertionError, match=r"order 2: argument 0, index"):
        ag.gradcheck(broken, A, order=2)


def test_a_rule_that_cuts_g_off_is_caught_at_order_2():
    odd = ag.primitive(lambda x: 1.0 * x)
    odd.def_rule(lambda g, y, x: 1.0 * (g.detach() if isinstance(g, ag.Tensor) else g))
    assert ag.gradcheck(odd, A)
    with pytest.raises(AssertionError, match=r"order 2: seed 0"):
        ag.gradcheck(odd, A, order=2)


def test_the_worst_entry_is_named_with_both_numbers():
    def off(g, y, x):
        factor = np.ones((2, 3))
        factor[1, 2] = 1.5
        factor[0, 0] = 1.0001
        return g * factor

    broken = ag.primitive(lambda x: x + 0.0)
    broken.def_rule(off)
    named = r"argument 0\['w'\], index \(1, 2\): generated .* \(2 of 7 entries"
    with pytest.raises(AssertionError, match=named) as caught:
        ag.gradcheck(lambda p: broken(p["w"]) * p["b"], {"b": 2.0, "w": A})
    words = str(caught.value).split()
    generated, expected = (float(words[words.index(key) + 1].strip(",")) for key in ("generated", "difference"))
    assert generated / expected == pytest.approx(1.5, rel=1e-6)


def test_a_nan_is_the_worst_entry():
    broken = ag.primitive(lambda x: x + 0.0)
    broken.def_rule(lambda g, y, x: g * np.array([2.0, np.nan, 3.0]))
    with pytest.raises(AssertionError, match=r"index \(1,\): generated nan.*3 of 3"):
        ag.gradcheck(broken, A[0])


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, r"argument 0 is float32.*astype\(np\.float64\)", lambda: ag.gradcheck(np.exp, A.astype("f4"))),
        (TypeError, "the result is float32.*captures", lambda: ag.gradcheck(lambda x: x.astype(np.float32), A)),
        (TypeError, "no argument is floating", lambda: ag.gradcheck(np.exp, [1, 2])),
        (TypeError, "nothing to check", lambda: ag.gradcheck(np.argmax, A)),
        (ValueError, "order=0", lambda: ag.gradcheck(np.exp, A, order=0)),
    ],
)
def test_gradcheck_refuses(error, message, call):
    with pytest.raises(error, match=message):
        call()


# ---- check_backprop: documents 1 and 2 -------------------------------------------------------------------------------


def sigma(z):
    return 1 / (1 + np.exp(-z))


def slope(z):
    return sigma(z) * (1 - sigma(z))


N, H = 24, 4
X = np.column_stack([np.arange(N) % 2, np.arange(N) // 2 % 2, np.ones(N)]).astype(float)
Y = (X[:, :1] != X[:, 1:2]).astype(float)
XOR = {"W1": rng.standard_normal((3, H)), "W2": rng.standard_normal((H, 1))}


def xor_loss(p):
    z1 = np.dot(X, p["W1"])
    a1 = sigma(z1)
    z2 = np.dot(a1, p["W2"])
    return np.mean(0.5 * (Y - sigma(z2)) ** 2)


def xor_directions(p, at_output, at_hidden):
    z1 = X @ p["W1"]
    a1 = sigma(z1)
    z2 = a1 @ p["W2"]
    o = sigma(z2)
    d2 = (Y - o) * slope(z2 if at_output else o)
    d1 = (d2 @ p["W2"].T) * slope(z1 if at_hidden else a1)
    return {"W1": X.T @ d1, "W2": a1.T @ d2, "z2": d2, "z1": d1}


def weights_only(manual):
    return {name: manual[name] for name in XOR}


def test_xor_repaired_agrees_up_to_minus_n():
    report = ag.check_backprop(xor_loss, XOR, weights_only(xor_directions(XOR, True, True)))
    assert report.ok
    assert report.scale == pytest.approx(-N, rel=1e-12)
    assert all(report[name].relative_error < 1e-10 for name in XOR)
    assert f"-N times the generated ones (N = {N})" in str(report)
    assert "a direction to be added to the parameters, of the summed loss" in str(report)


def test_xor_posted_is_wrong_in_both_weights():
    report = ag.check_backprop(xor_loss, XOR, weights_only(xor_directions(XOR, False, False)))
    assert not report["W1"].ok
    assert not report["W2"].ok
    assert "2 of 2 wrong: W1, W2" in str(report)
    assert "Apart from that, your gradients are -N times the generated ones (N = 24)" in str(report)


def test_xor_wrong_at_the_hidden_layer_alone_is_wrong_there_alone():
    report = ag.check_backprop(xor_loss, XOR, weights_only(xor_directions(XOR, True, False)))
    assert not report["W1"].ok
    assert report["W2"].ok
    assert report["W1"].relative_error > 0.01
    assert report.scale == pytest.approx(-N, rel=1e-12)


def test_deltas_of_named_variables():
    report = ag.check_backprop(xor_loss, XOR, xor_directions(XOR, True, True))
    assert report.ok
    assert report["z2"].shape == (N, 1)
    report = ag.check_backprop(xor_loss, XOR, xor_directions(XOR, True, False))
    assert [name for name in report.entries if not report[name].ok] == ["W1", "z1"]


SIZES = (12, 7, 6, 5)
MNIST = {
    **{f"W{i + 1}": rng.standard_normal((SIZES[i + 1], SIZES[i])) / 2 for i in range(3)},
    **{f"b{i + 1}": rng.standard_normal((SIZES[i + 1], 1)) / 2 for i in range(3)},
}
PIXELS, TARGET = rng.uniform(0.01, 1, (12, 1)), np.eye(5)[:, 2:3]


def mnist_loss(p):
    a1 = sigma(p["W1"] @ PIXELS + p["b1"])
    a2 = sigma(p["W2"] @ a1 + p["b2"])
    e = np.exp(p["W3"] @ a2 + p["b3"])
    return np.mean((e / np.sum(e) - TARGET) ** 2)


def mnist_gradients(p, diagonal_only):
    a1 = sigma(p["W1"] @ PIXELS + p["b1"])
    a2 = sigma(p["W2"] @ a1 + p["b2"])
    e = np.exp(p["W3"] @ a2 + p["b3"])
    out = e / e.sum()
    error = 2 * (out - TARGET) / 5
    d3 = out * (1 - out) * (out - TARGET) / 5 if diagonal_only else out * (error - np.sum(error * out))
    d2 = (p["W3"].T @ d3) * a2 * (1 - a2)
    d1 = (p["W2"].T @ d2) * a1 * (1 - a1)
    return {"W1": d1 @ PIXELS.T, "W2": d2 @ a1.T, "W3": d3 @ a2.T, "b1": d1, "b2": d2, "b3": d3}


def test_mnist_ann_repaired_agrees():
    report = ag.check_backprop(mnist_loss, MNIST, mnist_gradients(MNIST, False))
    assert report.ok
    assert report.scale == pytest.approx(1, rel=1e-12)
    assert all(report[name].relative_error < 1e-10 for name in MNIST)
    assert (
        "All 6 right.\nYour gradients are the generated ones.\nIf it does not learn all the same, nn.diagnose"
        in str(report)
    )


def test_mnist_ann_posted_is_wrong_everywhere():
    report = ag.check_backprop(mnist_loss, MNIST, mnist_gradients(MNIST, True))
    assert not any(report[name].ok for name in MNIST)


# ---- the common scale ------------------------------------------------------------------------------------------------

C = rng.standard_normal((6, 3))
THREE = {"a": np.array([1.0, 2.0]), "b": np.array([0.5, -1.0]), "c": np.array([2.0, 1.0])}


def three_loss(p):
    return np.sum(np.tanh(np.tanh(p["a"]) * p["b"]) * p["c"])


def three_gradients(**factors):
    a, b, c = THREE.values()
    u = np.tanh(a) * b
    back = c * (1 - np.tanh(u) ** 2)
    right = {"a": back * b * (1 - np.tanh(a) ** 2), "b": back * np.tanh(a), "c": np.tanh(u)}
    return {name: factors.get(name, 1.0) * right[name] for name in right}


def wrong(report):
    return [name for name in report.entries if not report[name].ok]


def test_the_scale_of_the_majority():
    assert wrong(ag.check_backprop(three_loss, THREE, three_gradients(a=-2.0, b=-2.0))) == ["c"]
    report = ag.check_backprop(three_loss, THREE, three_gradients(b=3.0))
    assert wrong(report) == ["b"]
    assert report["b"].own_scale == pytest.approx(3)
    assert "3 times what it should be" in report["b"].verdict


def test_on_a_tie_the_scale_of_the_name_nearest_the_loss():
    report = ag.check_backprop(three_loss, THREE, three_gradients(a=2.2, b=3.3, c=5.7))
    assert wrong(report) == ["a", "b"]
    assert report.scale == pytest.approx(5.7)
    reverse = {name: THREE[name] for name in reversed(THREE)}  # the order of the dict does not matter
    assert wrong(ag.check_backprop(three_loss, reverse, three_gradients(a=2.2, b=3.3, c=5.7))) == ["a", "b"]


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (1.0, "are the generated ones."),
        (-1.0, "-1 times the generated ones: a direction to be added to the parameters."),
        (2.0, "2 times the generated ones: with a factor 2 that the loss does not have."),
        (-0.5, "-1/2 times the generated ones: a direction to be added to the parameters, without the factor 2"),
        (6.0, "N times the generated ones (N = 6): of the summed loss."),
        (1 / 6, "1/N times the generated ones (N = 6): of the averaged loss."),
        (12.0, "2 N times the generated ones (N = 6): of the summed loss, with a factor 2"),
        (-1 / 12, "-1/(2 N) times the generated ones (N = 6): a direction"),
        (0.037, "0.037 times the generated ones."),
    ],
)
def test_the_scale_in_words(scale, words):
    gradient = C.T @ np.exp(C @ A[0])
    report = ag.check_backprop(lambda p: np.sum(np.exp(C @ p["w"])), {"w": A[0]}, {"w": scale * gradient})
    assert report.ok
    assert words in str(report)


# ---- tolerances and kinks --------------------------------------------------------------------------------------------


def test_the_tolerance_follows_the_dtype_of_manual():
    def off(by, dtype):
        return {name: (value * (1 + by * np.array([1, -1]))).astype(dtype) for name, value in three_gradients().items()}

    assert ag.check_backprop(three_loss, THREE, off(1e-9, np.float64)).ok
    assert len(wrong(ag.check_backprop(three_loss, THREE, off(1e-6, np.float64)))) == 3
    assert ag.check_backprop(three_loss, THREE, off(2e-5, np.float32)).ok
    assert len(wrong(ag.check_backprop(three_loss, THREE, off(1e-3, np.float32)))) == 3


def test_one_wrong_entry_of_many_is_wrong():
    manual = three_gradients()
    manual["a"][1] *= 1 + 1e-6
    assert wrong(ag.check_backprop(three_loss, THREE, manual)) == ["a"]


def test_a_gradient_that_cancels_to_rounding_is_right():
    """A softmax does not feel a shift: its gradient along one is 0, and rounding is not compared with rounding."""
    w = rng.standard_normal(5)

    def loss(p):
        e = np.exp(p["w"] + p["shift"])
        return -np.log(e[2] / np.sum(e))

    e = np.exp(w)
    gradient = e / e.sum() - np.eye(5)[2]
    report = ag.check_backprop(loss, {"w": w, "shift": np.zeros(1)}, {"w": gradient, "shift": np.array([1e-17])})
    assert report.ok
    off = {"w": gradient, "shift": np.array([1e-6])}
    assert wrong(ag.check_backprop(loss, {"w": w, "shift": np.zeros(1)}, off)) == ["shift"]


Z = np.array([[0.0, 1.0, -1.0], [0.0, 0.0, 2.0]])
KINKS = {
    "maximum": (lambda z: np.maximum(z, 0), lambda z: z > 0, lambda z: z >= 0),
    "maximum reversed": (lambda z: np.maximum(0, z), lambda z: z > 0, lambda z: z >= 0),
    "minimum": (lambda z: np.minimum(z, 0), lambda z: z <= 0, lambda z: z < 0),
    "abs": (np.abs, lambda z: np.where(z > 0, 1, -1), lambda z: np.where(z >= 0, 1, -1)),
    "clip": (lambda z: np.clip(z, 0, 1), lambda z: (z > 0) & (z <= 1), lambda z: (z >= 0) & (z < 1)),
}


@pytest.mark.parametrize("kink", KINKS)
@pytest.mark.parametrize("side", [1, 2])
def test_either_side_of_a_kink_passes(kink, side):
    f, *slopes = KINKS[kink]
    g = rng.standard_normal(Z.shape)
    report = ag.check_backprop(lambda p: np.sum(f(p["z"]) * g), {"z": Z}, {"z": slopes[side - 1](Z) * g})
    assert report.ok
    assert "At ties" in str(report)
    outside = slopes[side - 1](Z) * g + 3.0 * (Z == 0)
    assert not ag.check_backprop(lambda p: np.sum(f(p["z"]) * g), {"z": Z}, {"z": outside}).ok


def test_a_tie_with_a_bound_that_is_broadcast():
    """Of np.maximum(low, z) the full-size operand moves, wherever it stands."""
    g, low = rng.standard_normal(Z.shape), np.zeros(3)
    manual = {"z": (Z > 0) * g, "low": ((Z <= 0) * g).sum(0)}
    report = ag.check_backprop(lambda p: np.sum(np.maximum(p["low"], p["z"]) * g), {"low": low, "z": Z}, manual)
    assert report.ok


@pytest.mark.parametrize("pick", [np.argmax, lambda x, axis: x.shape[1] - 1 - np.argmax(x[:, ::-1], axis)])
def test_first_or_last_of_equal_maxima_passes(pick):
    x, g = np.array([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]]), np.array([2.0, 5.0])
    manual = np.zeros((2, 3))
    manual[[0, 1], pick(x, axis=1)] = g
    assert ag.check_backprop(lambda p: np.sum(np.max(p["x"], axis=1) * g), {"x": x}, {"x": manual}).ok


def test_a_network_with_ties_in_two_layers():
    """A row of zeros and dead units: every pre-activation of that row is exactly 0."""
    x = np.vstack([rng.standard_normal((4, 3)), np.zeros((1, 3))])
    p = {"V": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 2)), "c": np.zeros(2)}

    def loss(p):
        h = np.maximum(x @ p["V"], 0)
        return np.sum(np.maximum(h @ p["W"] + p["c"], 0) ** 2 + np.maximum(h @ p["W"] + p["c"], 0))

    z = x @ p["V"]
    h = z * (z > 0)
    y = h @ p["W"] + p["c"]
    d = (2 * y + 1) * (y > 0)
    manual = {"V": x.T @ ((d @ p["W"].T) * (z > 0)), "W": h.T @ d, "c": d.sum(0)}
    assert ag.check_backprop(loss, p, manual).ok
    manual["c"] = ((2 * y + 1) * (y > 1)).sum(0)
    assert wrong(ag.check_backprop(loss, p, manual)) == ["c"]


# ---- degenerate input ------------------------------------------------------------------------------------------------


def verdict(loss, params, manual, name):
    report = ag.check_backprop(loss, params, manual)
    assert not report[name].ok
    assert not report.ok
    assert report[name].verdict in str(report)
    return report[name].verdict


def test_zero_gradients():
    loss = lambda p: np.sum(p["a"] ** 2) + 0 * np.sum(p["b"])
    params = {"a": A[0], "b": A[1]}
    report = ag.check_backprop(loss, params, {"a": 2 * A[0], "b": np.zeros(3)})
    assert report.ok
    assert report["b"].verdict == "right: both are 0"
    assert verdict(loss, params, {"a": 2 * A[0], "b": A[1]}, "b") == "WRONG: it should be 0"
    assert verdict(loss, params, {"a": 0 * A[0], "b": np.zeros(3)}, "a") == "WRONG: it is 0"


def test_nan_and_shapes():
    loss = lambda p: np.sum(p["a"] ** 2) + np.sum(p["b"])
    params = {"a": A, "b": A[1]}
    bad = 2 * A
    bad[1, 2] = np.nan
    assert verdict(loss, params, {"a": bad, "b": np.ones(3)}, "a") == "NOT FINITE: nan at (1, 2)"
    assert verdict(loss, params, {"a": 2 * A.T, "b": np.ones(3)}, "a") == "WRONG shape: (3, 2), must be (2, 3)"
    assert ag.check_backprop(loss, params, {"a": 2 * A.T, "b": np.ones(3)})["b"].ok
    with np.errstate(divide="ignore"):
        infinite = verdict(lambda p: np.sum(np.sqrt(p["a"])), {"a": np.zeros(2)}, {"a": np.ones(2)}, "a")
    assert infinite == "the generated gradient is not finite: inf at (0,)"


def test_gradients_of_any_size_compare():
    for size in (1e-300, 1e-12, 1e200):
        manual = {"a": 3 * size * np.array([1.0, 2.0])}
        report = ag.check_backprop(lambda p, s=size: np.sum(p["a"] * np.array([s, 2 * s])), {"a": np.ones(2)}, manual)
        assert report.ok
        assert report.scale == pytest.approx(3)


def test_scalars_tensors_and_the_arguments_untouched():
    w = ag.tensor(3.0, requires_grad=True)
    assert ag.check_backprop(lambda p: p["w"] ** 2, {"w": w}, {"w": 6.0}).ok
    assert w.grad is None
    manual = three_gradients()
    kept = {name: value.copy() for name, value in manual.items()}
    ag.check_backprop(three_loss, THREE, manual)
    for name in kept:
        assert_allclose(manual[name], kept[name], rtol=0)


@pytest.mark.parametrize(
    ("error", "message", "loss", "params", "manual"),
    [
        (ValueError, "no gradient for 'b', 'c'", three_loss, THREE, {"a": A[0]}),
        (ValueError, r"\['d'\] is neither a parameter nor a variable.*whose variables are a1, .*z1, z2", xor_loss, XOR,
         {**xor_directions(XOR, True, True), "d": Y}),
        (TypeError, r"manual\['a'\] is a list.*np\.asarray", np.sum, {"a": A}, {"a": [1.0]}),
        (TypeError, r"manual\['a'\] is a Tensor.*detach", np.sum, {"a": A}, {"a": ag.tensor(A)}),
        (TypeError, r"manual\['a'\] is int64", np.sum, {"a": A}, {"a": np.ones((2, 3), int)}),
        (TypeError, r"\['a'\] is int64.*astype", lambda p: np.sum(p["a"]), {"a": np.ones(3, int)}, {"a": np.ones(3)}),
        (TypeError, "params is a dict", np.sum, [A], {"a": A}),
        (TypeError, "manual is empty", np.sum, {"a": A}, {}),
        (RuntimeError, r"check_backprop.*shape \(2, 3\)", lambda p: p["a"] * 2, {"a": A}, {"a": A}),
        (ValueError, "does not depend on params: loss_fn has to compute", lambda p: np.sum(A), {"a": A}, {"a": A}),
        (ValueError, r"leaves the tensors.*float\(x\)", lambda p: float(np.sum(p["a"])), {"a": A}, {"a": A}),
        (ValueError, r"leaves the tensors.*item", lambda p: np.sum(p["a"]).item(), {"a": A}, {"a": A}),
        (TypeError, r"not its value \(float64\): pass loss, not loss\(params\)", np.float64(2.0), {"a": A}, {"a": A}),
        (TypeError, r"lambda p: loss\(\*\*p\)", lambda a, b: np.sum(a * b), {"a": A, "b": A}, {"a": A, "b": A}),
        (TypeError, r"lambda p: loss\(p, \.\.\.\)", lambda p, x: np.sum(x @ p["a"]), {"a": A}, {"a": A}),
        (TypeError, "make params its argument", lambda: np.sum(A), {"a": A}, {"a": A}),
        (TypeError, r"dict\(zip\(names, arrays\)\), not a list", lambda p: np.sum(p[0]), [A], [A]),
        (TypeError, "params is empty", lambda p: np.sum(A), {}, {}),
    ],
)  # fmt: skip
def test_one_clear_line(error, message, loss, params, manual):
    with pytest.raises(error, match=message) as caught:
        ag.check_backprop(loss, params, manual)
    assert "\n" not in str(caught.value)


def test_the_table_is_aligned():
    report = ag.check_backprop(xor_loss, XOR, weights_only(xor_directions(XOR, True, False)))
    lines = str(report).splitlines()
    assert lines[0].split() == ["name", "shape", "agreement", "relative", "error", "verdict"]
    column = lines[0].index("verdict")
    assert lines[2][column:] == "WRONG"
    assert lines[3][column:] == "right"
    assert lines[4] == "1 of 2 wrong: W1."
    assert repr(report) == str(report)


def test_a_cause_stands_beside_what_it_spoils_and_in_the_report():
    report = ag.check_backprop(three_loss, THREE, three_gradients(a=7.0))
    assert report["a"].cause == report.findings[0].cause
    assert "the gradient of a" in report["a"].cause
    assert report["b"].cause is report["b"].fix is None
    assert report.findings[0].cause[1:] in str(report)


def test_single_precision_is_judged_by_what_its_roundings_leave():
    """Behind a softmax that is nearly one-hot terms cancel, and two right float32 derivations differ by 1e-3."""
    x = np.array([[3.0, -2.0], [1.0, 4.0], [-3.0, 2.0]], np.float32)
    W = {"W": np.array([[1.7, -1.73], [0.6, -0.54]], np.float32)}  # e to the 8 between the classes of every row
    t = np.array([[1, 0], [1, 0], [0, 1]], np.float32)

    def loss(p):
        e = np.exp(x @ p["W"])
        return np.mean((e / np.sum(e, axis=1, keepdims=True) - t) ** 2)

    z = x @ W["W"]
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d = p * ((p - t) - np.sum(p * (p - t), axis=1, keepdims=True))
    assert ag.check_backprop(loss, W, {"W": x.T @ d}).ok
    assert not ag.check_backprop(loss, W, {"W": x.T @ (d * np.float32([1.1, 1]))}).ok


def test_divided_by_the_classes_where_the_records_are_meant():
    x, t = rng.standard_normal((12, 3)), rng.standard_normal((12, 5))
    W = rng.standard_normal((3, 5))
    report = ag.check_backprop(lambda p: np.sum((x @ p["W"] - t) ** 2) / 12, {"W": W}, {"W": 2 * x.T @ (x @ W - t) / 5})
    assert report.ok
    assert "12/5 times the generated ones: divided by 5 where the loss is divided by 12." in str(report)


# ---- the common scale is that of the parameters ----------------------------------------------------------------------


def relu_layers(wrong=""):
    """The loss, the parameters, the deltas without 1/N and the gradients of two relu layers and a softmax."""
    rng = np.random.default_rng(2)
    x, labels = rng.standard_normal((30, 5)), rng.integers(0, 3, 30)
    shapes = {"W1": (5, 8), "b1": (1, 8), "W2": (8, 7), "b2": (1, 7), "W3": (7, 3), "b3": (1, 3)}
    p = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}

    def forward(p):
        z1 = x @ p["W1"] + p["b1"]
        a1 = np.maximum(z1, 0)
        z2 = a1 @ p["W2"] + p["b2"]
        a2 = np.maximum(z2, 0)
        z3 = a2 @ p["W3"] + p["b3"]
        e = np.exp(z3 - np.max(z3, axis=1, keepdims=True))
        return z1, a1, z2, a2, z3, e / np.sum(e, axis=1, keepdims=True)

    def loss(p):
        probs = forward(p)[-1]
        return -np.mean(np.log(probs[np.arange(30), labels]))

    z1, a1, z2, a2, z3, probs = forward(p)
    d3 = probs - np.eye(3)[labels]
    d2 = (d3 @ p["W3"].T) * (a2 * np.sin(a2) if wrong == "slope" else z2 > 0)
    d1 = (d2 @ p["W2"].T) * (z1 > 0)
    gradients = {}
    for i, a, d in ((1, x, d1), (2, a1, d2), (3, a2, d3)):
        gradients[f"W{i}"], gradients[f"b{i}"] = a.T @ d / 30, np.sum(d, axis=0, keepdims=True) / 30
    if wrong == "input":
        gradients["W2"] = z1.T @ d2 / 30
    return loss, p, {"z3": d3, "z2": d2, "z1": d1}, gradients


def test_deltas_without_the_mean_leave_right_gradients_right():
    loss, p, deltas, gradients = relu_layers()
    for given in ({"z3": deltas["z3"]}, {"z2": deltas["z2"]}, deltas):
        report = ag.check_backprop(loss, p, gradients | given)
        assert report.ok
        assert np.isclose(report.scale, 1, rtol=1e-9)
        assert not report.findings
        assert "Your gradients are the generated ones." in str(report)
        assert all(report[name].verdict.startswith("right up to a factor: 30 times") for name in given)
        assert "30 (= N) times what the parameters' scale gives" in report.notes[0]


def test_a_mistake_is_found_beside_deltas_without_the_mean():
    loss, p, deltas, gradients = relu_layers("input")
    report = ag.check_backprop(loss, p, gradients | deltas)
    assert [name for name in report.entries if not report[name].ok] == ["W2"]
    assert [each.mistakes[0][0] for each in report.findings] == ["input of the wrong layer"]


def test_an_unknown_mistake_is_located_by_deltas_without_the_mean():
    loss, p, deltas, gradients = relu_layers("slope")
    report = ag.check_backprop(loss, p, gradients | deltas)
    assert not report.findings, "what is upstream of the wrong delta follows from it"
    assert "It begins at d_z2" in report.notes[-1]


def test_on_a_tie_the_scale_is_the_plainest():
    loss, p, _, gradients = relu_layers()
    for name in ("b1", "b2", "b3"):
        gradients[name] = gradients[name] / 30
    report = ag.check_backprop(loss, p, gradients)
    assert np.isclose(report.scale, 1, rtol=1e-9)
    assert [name for name in report.entries if not report[name].ok] == ["b1", "b2", "b3"]


def test_a_single_number_sets_no_scale_for_the_others():
    x, t = np.random.default_rng(0).standard_normal((2, 9, 4)), np.ones((9, 1))
    p = {"W": np.ones((4, 1)), "b": np.zeros((1, 1))}
    manual = {"W": np.arange(4.0)[:, None], "b": np.full((1, 1), 11.3)}
    report = ag.check_backprop(lambda p: np.mean((x[0] @ p["W"] + p["b"] - t) ** 2), p, manual)
    assert not report["b"].ok
    assert "times the generated ones" not in str(report)
    assert "Your gradients are the generated ones" not in str(report)


def test_classes_are_not_taken_for_records():
    rng = np.random.default_rng(4)
    x, t = rng.standard_normal((30, 5)), np.eye(3)[rng.integers(0, 3, 30)]
    params = {"W": rng.standard_normal((5, 3))}

    def loss(p):
        return np.mean(np.sum((x @ p["W"] - t) ** 2, axis=1))

    gradient = x.T @ (x @ params["W"] - t) * 2 / 30
    report = ag.check_backprop(loss, params, {"W": gradient / 3})
    assert "1/3 times the generated ones: of the loss averaged over 3 units." in str(report)
    report = ag.check_backprop(loss, params, {"W": gradient * 30})
    assert "N times the generated ones (N = 30): of the summed loss." in str(report)


def test_a_single_number_on_a_scale_that_nobody_writes_is_not_called_right():
    x = np.linspace(-1, 1, 8)[:, None]

    def loss(p):
        return np.mean((x @ p["w"] - 1) ** 2)

    params = {"w": np.array([[0.7]])}
    right = 2 * x.T @ (x @ params["w"] - 1) / 8
    assert ag.check_backprop(loss, params, {"w": 8 * right}).ok
    report = ag.check_backprop(loss, params, {"w": 0.188556 * right})
    assert report["w"].verdict == "WRONG by a factor: 0.188556 times what it should be"


@pytest.mark.parametrize("scale", [1.0, -35.0, 0.25, 6.0])
def test_in_a_dead_network_one_number_may_be_on_any_scale_that_people_write(scale):
    rng = np.random.default_rng(6)
    x, t = np.abs(rng.standard_normal((5, 3))), rng.integers(0, 2, (5, 1))
    params = {"V": -np.ones((3, 7)), "W": rng.standard_normal((7, 1)), "c": np.array([0.2])}

    def loss(p):
        o = 1 / (1 + np.exp(-(np.maximum(x @ p["V"], 0) @ p["W"] + p["c"])))
        return -np.mean(t * np.log(o) + (1 - t) * np.log(1 - o))

    d = 1 / (1 + np.exp(-0.2)) - t
    dead = {"V": np.zeros((3, 7)), "W": np.zeros((7, 1))}
    assert ag.check_backprop(loss, params, {**dead, "c": scale * d.mean(axis=0)}).ok
    assert not ag.check_backprop(loss, params, {**dead, "c": 0.1234567 * d.mean(axis=0)}).ok
    assert not ag.check_backprop(loss, params, {**dead, "W": np.ones((7, 1)), "c": 6 * d.mean(axis=0)})["c"].ok
