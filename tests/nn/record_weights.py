"""Let torch write weights and read nn's, and record its outputs with both, into tests/nn/data.

    python -m tests.nn.record_weights            (with torch and safetensors)

Read next: `test_interchange.py`.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import nn

from .weights_cases import FROM_NN, FROM_TORCH, OUTPUTS, disturb, inputs, model


def outputs(torch: Any, net: Any) -> dict[str, Any]:
    """What each layer makes of its input, in eval()."""
    with torch.no_grad():
        return {name: net.eval()[name](torch.tensor(x)).numpy() for name, x in inputs().items()}


def main() -> None:
    """Record everything."""
    torch = importlib.import_module("torch")
    files = importlib.import_module("safetensors.torch")

    theirs = model(torch.nn)
    state = disturb({name: value.numpy() for name, value in theirs.state_dict().items()}, 1)
    theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    files.save_file(theirs.state_dict(), FROM_TORCH)
    found = {f"torch/{name}": value for name, value in outputs(torch, theirs).items()}

    ours = model(nn)
    ours.load_state_dict(disturb(ours.state_dict(), 2))
    nn.save(ours.state_dict(), FROM_NN)
    theirs.load_state_dict(files.load_file(FROM_NN))
    found |= {f"nn/{name}": value for name, value in outputs(torch, theirs).items()}
    np.savez_compressed(OUTPUTS, **found)


if __name__ == "__main__":
    main()
