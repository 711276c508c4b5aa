"""Every layer as a part of one model, for weights that go from torch to nn and back.

Read next: `record_weights.py`, `test_interchange.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cases import DATA, LAYERS, layer_input

FROM_TORCH = DATA / "from_torch.safetensors"
FROM_NN = DATA / "from_nn.safetensors"
OUTPUTS = DATA / "weights.npz"  # torch's, for both files


def model(library: Any) -> Any:
    """A ModuleDict of all layers of nn.cases, in `torch.nn` or `nn`, in float32."""
    return library.ModuleDict({name: getattr(library, kind)(*args, **kw) for name, kind, args, kw, _ in LAYERS})


def inputs() -> dict[str, Any]:
    """An input for each layer."""
    found = {}
    for name, kind, _, _, shape in LAYERS:
        x = layer_input(name, kind, shape)
        found[name] = x.astype(np.float32) if x.dtype.kind == "f" else x
    return found


def disturb(parameters: Any, seed: int) -> dict[str, Any]:
    """Values for parameters and buffers that no initialisation gives: running means, factors of norms."""
    rng = np.random.default_rng(seed)
    return {
        name: (np.array(rng.integers(1, 9)) if value.dtype.kind == "i" else rng.uniform(0.5, 1.5, value.shape)).astype(
            value.dtype
        )
        for name, value in parameters.items()
    }
