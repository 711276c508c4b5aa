"""nn.diagnose: nothing in sound trainings, the right thing in broken ones, and nothing changed by looking."""

import copy

import numpy as np
import pytest

import autograd_lite as ag
import nn
from nn.diagnosis import CHECKS, Diagnosis, Finding
from tests.nn.diagnosis_networks import adam, blobs, broken, line, looked_at_in_training, mlp, sgd, softmax, sound


def named(trainings):
    return [pytest.param(each, id=each.name) for each in trainings]


@pytest.mark.parametrize("training", named(sound(0)))
def test_nothing_is_found_in_a_sound_training(training):
    for steps, diagnosis in looked_at_in_training(training, 0):
        assert not diagnosis, f"after {steps} steps:\n{diagnosis}"


@pytest.mark.parametrize("training", named(broken(0)))
def test_what_is_wrong_is_found(training):
    diagnosis = training.diagnose()
    assert set(diagnosis.names) & set(training.expected), diagnosis
    for finding in diagnosis:
        assert finding.name
        assert finding.evidence
        assert finding.remedy
        assert finding.where
        assert 0 < finding.confidence <= 1
    gravest = [(each.severity, each.confidence) for each in diagnosis]
    assert gravest == sorted(gravest, reverse=True)


# ---- nothing is changed --------------------------------------------------------------------------------------------


def network(rng):
    return nn.Sequential(
        nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5, rng=rng), nn.Linear(8, 3)
    )


def state(model, optimizer, rng):
    """Everything that a training depends on, as bytes and plain data."""
    return {
        "values": {name: each.tobytes() for name, each in model.state_dict().items()},
        "grads": [None if each.grad is None else each.grad.tobytes() for each in model.parameters()],
        "attributes": [{k: v for k, v in vars(each).items() if k == "training"} for each in model.modules()],
        "random": (rng.bit_generator.state, nn.seeding.get_state()),
        "optimizer": [(k, sorted(v)) for k, v in optimizer.state_dict()["state"].items()],
        "memory": [
            v.tobytes()
            for each in optimizer.state_dict()["state"].values()
            for v in each.values()
            if isinstance(v, np.ndarray)
        ],
        "groups": [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups],
    }


@pytest.mark.parametrize("make", [adam, lambda model: sgd(model, 0.05, 0.9)], ids=["Adam", "momentum"])
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_looking_changes_nothing(make, mode):
    x, y = blobs(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    model = network(rng).train(mode)
    optimizer = make(model)
    step = nn.TrainStep(model, nn.CrossEntropyLoss(), optimizer)
    for _ in range(3):
        step(x[:50], y[:50])
    arrays = [each.data for each in model.parameters()]
    before = state(model, optimizer, rng)
    pending = nn.CrossEntropyLoss()(model(x[:50]), y[:50])
    after_forward = state(model, optimizer, rng)
    nn.diagnose(model, nn.CrossEntropyLoss(), 1000 * x, y, [{"loss": 1.0}] * 6, optimizer=optimizer)
    assert state(model, optimizer, rng) == after_forward
    assert before["grads"] == after_forward["grads"]
    assert all(a is b.data for a, b in zip(arrays, model.parameters(), strict=True))
    pending.backward()  # raises if one of the values it was computed from had been written to


def test_a_training_that_is_looked_at_goes_on_as_one_that_is_not():
    x, y = blobs(np.random.default_rng(0))
    ends = []
    for look in (False, True):
        nn.manual_seed(3)
        model = network(np.random.default_rng(1))
        optimizer = adam(model)
        step = nn.TrainStep(model, nn.CrossEntropyLoss(), optimizer)
        for k in range(6):
            if look:
                nn.diagnose(model, nn.CrossEntropyLoss(), x, y, optimizer=optimizer)
            step(x[40 * k : 40 * k + 40], y[40 * k : 40 * k + 40])
        ends.append([each.tobytes() for each in model.state_dict().values()])
    assert ends[0] == ends[1]


def test_a_function_around_a_module_changes_nothing_either():
    x, y = blobs(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    inner = network(rng)
    optimizer = adam(inner)
    before = state(inner, optimizer, rng)
    assert not nn.diagnose(lambda x: inner(x), nn.CrossEntropyLoss(), x, y, optimizer=optimizer)
    assert state(inner, optimizer, rng) == before


def test_an_interruption_changes_nothing_either():
    def interrupted(case):
        case.alive
        raise KeyboardInterrupt

    x, y = blobs(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    model = network(rng)
    optimizer = adam(model)
    before = state(model, optimizer, rng)
    with pytest.raises(KeyboardInterrupt):
        nn.diagnose(model, nn.CrossEntropyLoss(), x, y, optimizer=optimizer, checks=[*CHECKS, interrupted])
    assert state(model, optimizer, rng) == before


def test_the_same_twice():
    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3, drop=0.5)
    optimizer = sgd(model, 50.0)
    first, second = (nn.diagnose(model, nn.CrossEntropyLoss(), 200 * x, y, optimizer=optimizer) for _ in range(2))
    assert first
    assert str(first) == str(second)


def test_without_gradients_around_it_the_same():
    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3)
    with ag.no_grad():
        assert not nn.diagnose(model, nn.CrossEntropyLoss(), x, y, optimizer=adam(model))
        assert "inputs not scaled" in nn.diagnose(model, nn.CrossEntropyLoss(), 200 * x, y)
        assert not ag.is_grad_enabled()


# ---- the result ----------------------------------------------------------------------------------------------------


def test_the_result_is_a_list_with_names_and_a_text():
    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3, end=nn.Softmax(dim=1))
    found = nn.diagnose(model, nn.CrossEntropyLoss(), 500 * x, y)
    assert isinstance(found, Diagnosis)
    assert found
    assert len(found) == len(list(found)) == 2
    assert found[0] is found["activation twice"]
    assert "inputs not scaled" in found
    assert "dead units" not in found
    with pytest.raises(KeyError, match="dead units"):
        found["dead units"]
    text = str(found)
    assert text.startswith("nn.diagnose: 2 findings (300 records")
    assert all(each.name in text and each.where in text for each in found)
    assert max(map(len, text.splitlines())) <= 110
    assert "optimizer" in text  # what was not looked at is said


def test_nothing_found_is_false_and_says_so():
    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3)
    found = nn.diagnose(model, nn.CrossEntropyLoss(), x, y, optimizer=adam(model))
    assert not found
    assert list(found) == []
    assert str(found) == f"nn.diagnose: nothing found (300 records, {len(CHECKS)} checks)"


def test_a_check_of_ones_own():
    def few_records(case):
        if len(case.records) < 100:
            yield Finding("few records", f"There are {len(case.records)}.", "Find more.", "x", 0.5, 1)

    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3)
    found = nn.diagnose(model, nn.CrossEntropyLoss(), x[:50], y[:50], checks=[*CHECKS, few_records])
    assert found.names == ["few records"]


def test_numbers_that_are_evidence_are_right():
    rng = np.random.default_rng(0)
    x, y = line(rng)
    model = mlp(rng, 4, 1, end=nn.Sigmoid())
    finding = nn.diagnose(model, nn.MSELoss(), x, y)["targets out of reach"]
    outside = int(((y < 0) | (y > 1)).sum())
    assert f"{outside} of 300 ({outside / 300:.1%})" in finding.evidence
    assert f"{y.min():.4g} to {y.max():.4g}" in finding.evidence

    model = mlp(rng, 4, 1)
    optimizer = sgd(model, 100.0)
    finding = nn.diagnose(model, nn.MSELoss(), x[:200], y[:200], optimizer=optimizer)["step larger than the weights"]
    nn.TrainStep(model, nn.MSELoss(), optimizer).gradients(x[:200], y[:200])
    by_hand = max(
        100 * np.linalg.norm(each.grad) / np.linalg.norm(each.data) for each in model.parameters() if each.ndim > 1
    )
    assert f"by {by_hand:.3g} times" in finding.evidence

    W = ag.tensor(rng.standard_normal((4, 3)), requires_grad=True, name="W")
    whole = lambda x: np.exp(x @ W) / np.sum(np.exp(x @ W))
    finding = nn.diagnose(whole, nn.MSELoss(), x[:60], softmax(np.ones((60, 3))))["softmax rows do not sum to 1"]
    sums = whole(ag.tensor(x[:60])).detach().numpy().sum(axis=1)
    assert f"{sums.min():.3g} up to {sums.max():.3g}" in finding.evidence


# ---- histories, shapes, and what is refused --------------------------------------------------------------------------


def test_histories_in_all_forms():
    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3)
    batches = nn.DataLoader(x, y, batch_size=60)
    history = nn.fit(model, nn.CrossEntropyLoss(), adam(model), batches, epochs=4, metrics=[nn.accuracy])
    for each in (history, history.rows, {"loss": history["loss"], "accuracy": history["accuracy"]}):
        assert not nn.diagnose(model, nn.CrossEntropyLoss(), x, y, each)
    with pytest.raises(ValueError, match="unequal lengths"):
        nn.diagnose(model, nn.CrossEntropyLoss(), x, y, {"loss": [1.0], "accuracy": [0.5, 0.6]})
    with pytest.raises(TypeError, match="history is"):
        nn.diagnose(model, nn.CrossEntropyLoss(), x, y, [1.0, 0.9])


def test_a_validation_loss_that_rises_is_another_matter():
    x, y = blobs(np.random.default_rng(0))
    rows = {"loss": [0.9, 0.7, 0.5, 0.4], "valid_loss": [0.9, 1.0, 1.1, 1.2], "valid_accuracy": [0.6, 0.7, 0.71, 0.72]}
    assert not nn.diagnose(mlp(np.random.default_rng(1), 6, 3), nn.CrossEntropyLoss(), x, y, rows)


@pytest.mark.parametrize(("x", "y"), [((6,), (3,)), ((1, 6), (1, 3)), ((7,), (7,)), ((2, 6), (2, 3))])
def test_one_record_or_a_few(x, y):
    rng = np.random.default_rng(0)
    inputs = x[-1] if x != (7,) else None
    model = nn.Linear(inputs, 3, rng=rng) if inputs else lambda x: x * ag.tensor(2.0, requires_grad=True)
    target = rng.standard_normal(y)
    loss = nn.MSELoss() if len(x) == len(y) else lambda o, t: np.mean((o - t[0]) ** 2)
    assert not nn.diagnose(model, loss, rng.standard_normal(x), target)


def test_what_is_refused():
    x, y = blobs(np.random.default_rng(0))
    model = mlp(np.random.default_rng(1), 6, 3)
    with pytest.raises(TypeError, match="one number"):
        nn.diagnose(model, nn.CrossEntropyLoss(reduction="none"), x, y)
    with pytest.raises(TypeError, match="one array of predictions"):
        nn.diagnose(lambda x: (model(x), model(x)), nn.CrossEntropyLoss(), x, y)
    with pytest.raises(TypeError, match="x must be an array of real numbers"):
        nn.diagnose(model, nn.CrossEntropyLoss(), np.array([["a"]]), y)
    with pytest.raises(TypeError, match="y must be an array of real numbers"):
        nn.diagnose(model, nn.CrossEntropyLoss(), x, np.zeros(0))


def test_arguments_in_another_order_are_named():
    x, y = blobs(np.random.default_rng(0))
    model, loss = mlp(np.random.default_rng(1), 6, 3), nn.CrossEntropyLoss()
    for arguments in ((loss, model, x, y), (model, x, y, loss), (model, x, y, []), (x, y, model, loss)):
        with pytest.raises(TypeError, match=r"the order is nn\.diagnose\(model, loss, x, y"):
            nn.diagnose(*arguments)


def test_weights_that_are_plain_arrays_are_told_and_nothing_is_claimed_of_steps_that_were_not_taken():
    x, y = line(np.random.default_rng(0))
    W = np.zeros((4, 1))
    found = nn.diagnose(lambda x: np.tanh(x) @ W + 1, nn.MSELoss(), x, y, [{"loss": 1.0}] * 6)
    assert found.names == ["no parameters"]
    assert "requires_grad=True" in found[0].remedy
    assert "Adam" not in str(found)


def test_data_without_one_finite_record_are_told_and_nothing_else():
    x, y = blobs(np.random.default_rng(0))
    found = nn.diagnose(mlp(np.random.default_rng(1), 6, 3), nn.CrossEntropyLoss(), np.full_like(x, np.nan), y)
    assert found.names == ["data not finite"]


def test_a_rate_that_a_schedule_has_brought_down_is_not_too_low():
    x, y = blobs(np.random.default_rng(0), noise=6)
    model = mlp(np.random.default_rng(1), 6, 3)
    optimizer = sgd(model, 1e-6)
    assert "rate too low" in nn.diagnose(model, nn.CrossEntropyLoss(), x, y, optimizer=optimizer)
    rows = [{"loss": 1.0, "lr": 0.1}, {"loss": 0.9, "lr": 1e-6}]
    assert "rate too low" not in nn.diagnose(model, nn.CrossEntropyLoss(), x, y, rows, optimizer=optimizer)


def test_a_copied_optimizer_is_another_one():
    """The trial steps a copy: of the same class and settings, with the state that it has now."""
    model = nn.Linear(4, 1, rng=np.random.default_rng(0))
    optimizer = sgd(model, 0.1, 0.9)
    x, y = line(np.random.default_rng(1))
    step = nn.TrainStep(model, nn.MSELoss(), optimizer)
    step(x, y)
    twin, twins = copy.deepcopy((model, optimizer))
    nn.diagnose(model, nn.MSELoss(), x, y, optimizer=optimizer)
    assert step(x, y) == nn.TrainStep(twin, nn.MSELoss(), twins)(x, y)
    assert model.weight.data.tobytes() == twin.weight.data.tobytes()
