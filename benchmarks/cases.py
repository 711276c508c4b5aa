"""What is measured: the cases, which are the rows of the table, and the variants of a step, which are its columns.

    network = CASES["xor"]()
    step, parameters = build(network, "compiled")

Read next: `measuring.py`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import partial

from .chain import Chain
from .lenet import LeNet
from .networks import NETWORKS, Network, Read, Step, Wide
from .peers import PEERS

WIDTHS = (32, 128, 512, 2048, 4096)
CASES: dict[str, Callable[[], Network]] = {
    **NETWORKS,
    "lenet": LeNet,
    "chain": Chain,
    **{f"width_{width}": partial(Wide, width) for width in WIDTHS},
}
# Compiled code uses SciPy's BLAS where it is installed; a variant without it is what NumPy alone gives.
VARIANTS: tuple[str, ...] = (
    "by_hand", "modules", "plain", "compiled", "compiled_scipy", "compiled_plain", "compiled_plain_scipy", *PEERS,
)  # fmt: skip
EAGER = {
    "compiled": "modules", "compiled_scipy": "modules", "compiled_plain": "plain", "compiled_plain_scipy": "plain",
    "torch_compile": "torch",
}  # fmt: skip
# HIPS autograd's convolution is too slow for anybody to train with; a chain has neither modules nor products.
LEFT_OUT = {"lenet": {"autograd"}, "chain": {"modules", "compiled", "compiled_scipy", "compiled_plain_scipy"}}


def package(variant: str) -> str:
    """The package that a variant needs, by the name it is imported under."""
    if variant in PEERS:
        return variant.partition("_")[0]
    return "scipy" if variant.endswith("_scipy") else "autograd_lite"


def variants_of(name: str) -> list[str]:
    """The variants of a case that can be measured here: those whose package is installed."""
    found = [each for each in VARIANTS if importlib.util.find_spec(package(each)) is not None]
    return [each for each in found if each not in LEFT_OUT.get(name, ())]


def build(network: Network, variant: str) -> tuple[Step, Read]:
    """The step of a variant, and what reads its parameters. Take the first step before the next variant is built."""
    if variant in PEERS:
        return PEERS[variant](network)
    os.environ["AUTOGRAD_LITE_SCIPY"] = str(int(variant.endswith("_scipy")))  # read when the first step is compiled
    built: tuple[Step, Read] = getattr(network, variant.removesuffix("_scipy"))()
    return built
