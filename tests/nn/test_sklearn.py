"""nn.sklearn: scikit-learn's own checks, and what its tools make of networks."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nn

pytest.importorskip("sklearn", reason='scikit-learn is not installed: pip install "autograd-lite[sklearn]"')

from sklearn.datasets import load_iris, make_moons
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator


def network(inputs: int, outputs: int, hidden: int = 8, dtype: Any = np.float64) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden, dtype=dtype), nn.Tanh(), nn.Linear(hidden, outputs, dtype=dtype))


def one_logit(inputs: int, outputs: int) -> nn.Sequential:
    return network(inputs, 1)


def own_checks() -> Any:
    """scikit-learn's checks of both estimators, under names that hold no addresses: workers must agree on them."""
    for estimator in (nn.sklearn.Classifier(), nn.sklearn.Regressor(network, epochs=40, lr=0.03)):
        for i, (each, check) in enumerate(estimator_checks_generator(estimator)):
            name = getattr(check, "func", check).__name__
            yield pytest.param(each, check, id=f"{type(estimator).__name__}-{i}-{name}")


@pytest.mark.filterwarnings("ignore:Skipping check:sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(("estimator", "check"), list(own_checks()))
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_cross_validation_in_a_pipeline_reaches_what_iris_is_known_for() -> None:
    X, y = load_iris(return_X_y=True)
    labels = np.array(["setosa", "versicolor", "virginica"])[y]
    model = make_pipeline(StandardScaler(), nn.sklearn.Classifier(network, epochs=30, random_state=0))
    assert np.mean(cross_val_score(model, X, labels, cv=3)) > 0.95


def test_a_search_tries_networks_and_rates() -> None:
    X, y = make_moons(200, noise=0.15, random_state=0)
    grid = {"lr": [1e-5, 0.05], "module": [partial(network, hidden=1), partial(network, hidden=16)]}
    search = GridSearchCV(nn.sklearn.Classifier(random_state=0, epochs=30), grid, cv=2).fit(X, y)
    assert search.best_params_["lr"] == 0.05
    assert search.best_params_["module"].keywords == {"hidden": 16}
    assert search.best_score_ > 0.93


@pytest.mark.parametrize("module", [network, one_logit, None])
def test_probabilities_and_scores_belong_to_the_labels(module: Any) -> None:
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]] * 5)
    y = np.where(X[:, 0] > 0, "b", "a")
    model = nn.sklearn.Classifier(module, lr=0.1, random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["a", "b"]
    probabilities, scores = model.predict_proba(X), model.decision_function(X)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert_allclose(np.log(probabilities[:, 1] / probabilities[:, 0]), scores, rtol=1e-9)
    assert model.score(X, y) == 1
    assert_array_equal(model.predict(X) == "b", scores > 0)


def test_the_regressor_finds_the_least_squares_solution() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    y = X @ rng.standard_normal((3, 2)) + 1 + 0.1 * rng.standard_normal((50, 2))
    model = nn.sklearn.Regressor(lr=0.05, epochs=400, batch_size=None, random_state=0).fit(X, y)
    assert_allclose(model.predict(X), LinearRegression().fit(X, y).predict(X), atol=1e-6)


def test_a_module_is_copied_and_its_dtype_rules() -> None:
    given = network(2, 2, dtype=np.float32)
    before = given.state_dict()
    X, y = make_moons(40, random_state=0)
    model = nn.sklearn.Classifier(given, epochs=2, random_state=0).fit(X, y)
    for name, value in before.items():
        assert_array_equal(given.state_dict()[name], value)
    assert model.module_ is not given
    assert model.module_[0].weight.dtype == np.float32
    assert model.predict_proba(X).dtype == np.float64
    assert model.n_iter_ == len(model.history_) == 2


def test_images_reach_a_convolution() -> None:
    def convolution(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 6 * 6, outputs))

    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.standard_normal((40, 1, 8, 8)) + 3 * y[:, None, None, None]
    assert nn.sklearn.Classifier(convolution, epochs=10, random_state=0).fit(X, y).score(X, y) == 1


def test_the_seed_decides_everything_and_the_common_generator_goes_on_as_before() -> None:
    def dropped(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, 4), nn.Dropout(0.5), nn.Linear(4, outputs))

    X, y = make_moons(40, random_state=0)
    nn.manual_seed(3)
    wanted = nn.manual_seed(3).random()
    nn.manual_seed(3)
    models = [nn.sklearn.Classifier(dropped, epochs=2, random_state=seed).fit(X, y) for seed in (1, 1, 2)]
    assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    assert (models[0].predict_proba(X) != models[2].predict_proba(X)).any()
    assert np.random.Generator.random(nn.seeding.default_rng()) == wanted


def test_what_cannot_be_trained_is_told() -> None:
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match="one output cannot tell 3 classes apart"):
        nn.sklearn.Classifier(one_logit).fit(X, [0, 1, 2, 0])
    with pytest.raises(ValueError, match="all labels are of one class"):
        nn.sklearn.Classifier().fit(X, [1, 1, 1, 1])
    with pytest.raises(TypeError, match="a function \\(inputs, outputs\\) that makes one, not 3"):
        nn.sklearn.Classifier(lambda inputs, outputs: 3).fit(X, [0, 1, 0, 1])


def test_ctrl_c_ends_a_search_and_not_one_training(monkeypatch: Any) -> None:
    class Interrupted(list):
        interrupted = True

    monkeypatch.setattr(nn.sklearn, "fit", lambda *args, **kwargs: Interrupted())
    with pytest.raises(KeyboardInterrupt):
        nn.sklearn.Classifier().fit([[0.0], [1.0]], [0, 1])


def test_without_scikit_learn_nn_works_and_the_call_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import nn\n"
        "try: nn.sklearn.Classifier()\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "autograd-lite[sklearn]"' in done.stdout


@pytest.mark.parametrize("module", [network, one_logit])
def test_compiled_steps_train_the_same_network(module: Any) -> None:
    """This has no end where a step watches the estimator, and through it scikit-learn."""
    X, y = load_iris(return_X_y=True)
    X, y = X[:100], y[:100]
    compiled, eager = (
        nn.sklearn.Classifier(module, epochs=3, compile=each, random_state=0).fit(X, y) for each in (True, False)
    )
    assert np.allclose(compiled.predict_proba(X), eager.predict_proba(X), atol=1e-6)
