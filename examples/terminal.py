"""What a trainer says to a terminal and hears from it: its options, progress bars, lines that do not tear them.

Read next: `common.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any


def command_line(program: str, description: str) -> argparse.ArgumentParser:
    """The options that all trainers take."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--epochs", type=_whole(1), metavar="N", help="passes over the training rows")
    parser.add_argument("--seed", type=_whole(0), metavar="N", help="of everything random (default 0)")
    parser.add_argument("--as-posted", action="store_true", help="show what the author of the document saw")
    parser.add_argument("--quick", action="store_true", help="a short version that still has to learn")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of the data files (default $AUTOGRAD_LITE_DATA); `digits`: small ones instead of MNIST",
    )
    parser.add_argument("--download", action="store_true", help="fetch data files that are missing")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default out/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted run in that folder")
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} up")
        return int(text)

    return number


def progress(items: Iterable[Any], label: str, wanted: bool, total: int | None = None) -> Iterable[Any]:
    """The items under a progress bar, where tqdm is installed."""
    if not wanted:
        return items
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return items
    bar: Iterable[Any] = tqdm(items, label, total, leave=False, disable=None)  # None: shown on a terminal alone
    return bar


def say(line: str) -> None:
    """Print a line without tearing a progress bar."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        print(line, flush=True)
    else:
        tqdm.write(line)
