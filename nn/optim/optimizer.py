"""The base of all optimizers: groups of parameters with their settings, and a state for each parameter.

An optimizer writes into the parameters' own arrays, between two histories. It stamps each write, so that a history
recorded before raises at backward instead of using values that are gone.

Read next: `descent.py`, `adaptive.py`, `lr_scheduler/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

import autograd_lite as ag
from autograd_lite.recording import tick

Array: TypeAlias = np.ndarray[Any, Any]
Group: TypeAlias = dict[str, Any]


class Optimizer:
    """Takes parameters, or a list of groups {"params": [...], "lr": ...} whose settings replace the common ones.

    Raises TypeError for what is no leaf tensor, ValueError for no parameters at all, for one given twice, and for
    settings out of range.
    """

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[ag.Tensor, dict[str, Any]] = {}
        self._work: dict[ag.Tensor, Array] = {}
        if isinstance(params, ag.Tensor):
            raise TypeError(f"{type(self).__name__}: give an iterable of parameters, [tensor], and not a tensor.")
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: there are no parameters to optimize.")
        for group in groups if isinstance(groups[0], Mapping) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with settings of their own; settings that are not given are the common ones."""
        params = group["params"]
        params = [params] if isinstance(params, ag.Tensor) else list(params)
        known = {id(each) for other in self.param_groups for each in other["params"]}
        for each in params:
            if not isinstance(each, ag.Tensor) or not each.is_leaf:
                raise TypeError(
                    f"{type(self).__name__}: optimizes leaf tensors (nn.Parameter), not {type(each).__name__}"
                    + (" that was computed." if isinstance(each, ag.Tensor) else ".")
                )
            if id(each) in known:
                raise ValueError(f"{type(self).__name__}: a parameter of shape {each.shape} was given twice.")
            known.add(id(each))
        unknown = group.keys() - self.defaults.keys() - {"params", "initial_lr"}
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: no settings {sorted(unknown)}; there are {sorted(self.defaults)}."
            )
        complete = {**self.defaults, **group, "params": params}
        self.check(complete)
        self.param_groups.append(complete)

    def check(self, group: Group) -> None:
        """Raise ValueError for settings out of range: none of a group's numbers may be negative."""
        for name, value in group.items():
            if name != "params" and isinstance(value, (int, float)) and not value >= 0:
                raise ValueError(f"{type(self).__name__}: {name} must not be negative or nan, and it is {value}.")

    def zero_grad(self) -> None:
        """Forget the gradients: the next backward starts afresh."""
        for group in self.param_groups:
            for each in group["params"]:
                each._node.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient, by this optimizer's rule."""
        for group in self.param_groups:
            for each in group["params"]:
                node = each._node
                if node.grad is not None:
                    self.update(each._data, node.grad, self.work(each), self.state.setdefault(each, {}), group)
                    node.when = tick()

    def update(self, values: Array, gradient: Array, work: Array, memory: dict[str, Any], group: Group) -> None:
        """Change one parameter's values in place; `memory` keeps what the rule needs from step to step, and `work` is
        an array of the same form to compute in."""
        raise NotImplementedError

    def work(self, each: ag.Tensor) -> Array:
        """An array of a parameter's form to compute in, made once: large ones cost more to make than to fill."""
        found = self._work.get(each)
        if found is None or found.dtype is not each._data.dtype:
            found = self._work[each] = np.empty_like(each._data)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: {"state": {number: ...}, "param_groups": [...]}, the parameters by number."""
        numbers = self._numbered()
        positions = {id(each): i for i, each in enumerate(numbers)}
        return {
            "state": {
                i: {key: _copied(value) for key, value in self.state[each].items()}
                for i, each in enumerate(numbers)
                if each in self.state
            },
            "param_groups": [
                {**group, "params": [positions[id(each)] for each in group["params"]]} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state_dict; raises ValueError, and changes nothing, if it belongs to other parameters."""
        groups = state_dict["param_groups"]
        mine, theirs = ([len(group["params"]) for group in each] for each in (self.param_groups, groups))
        if mine != theirs:
            raise ValueError(f"load_state_dict: groups of {theirs} parameters given, this optimizer has {mine}.")
        numbers = self._numbered()
        state = {}
        for key, memory in state_dict["state"].items():
            each = numbers[int(key)]
            for name, value in memory.items():
                if isinstance(value, np.ndarray) and value.ndim and value.shape != each.shape:
                    raise ValueError(
                        f"load_state_dict: {name} of parameter {key} is {value.shape}, the parameter {each.shape}."
                    )
            state[each] = {name: _copied(value) for name, value in memory.items()}
        settings = [{key: value for key, value in given.items() if key != "params"} for given in groups]
        for given in settings:
            self.check(given)
        self.state = state
        for group, given in zip(self.param_groups, settings, strict=True):
            group.update(given)

    def _numbered(self) -> list[ag.Tensor]:
        return [each for group in self.param_groups for each in group["params"]]

    def __repr__(self) -> str:
        groups = [
            f"group {i}: {len(group['params'])} parameters, "
            + ", ".join(f"{key}={value}" for key, value in group.items() if key != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__}(\n  " + "\n  ".join(groups) + "\n)"


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
