"""Program -> straight-line NumPy: one line an operation, results written into memory that was allocated once.

Read next: `kernels.py` (how an operation is written), `binding.py` (names), `buffers.py` (memory), `layouts.py` (in
which order), `compiler.py` (who runs the code).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .binding import Binder, Place
from .buffers import lifetimes
from .kernels import plain, writer
from .layouts import tall
from .program import Operation, Program, Variable
from .recording import Array, Node, tick
from .trees import Structure


class Emitter(Binder):
    """Writes the lines of one program and binds the names that they read.

    `targets` says where results shall be written. The products in `owed` are not computed where memory of the program's
    own can keep their factors until the next run: `factors` holds these.
    """

    def __init__(
        self,
        program: Program,
        targets: dict[Variable, Array],
        constants: Iterable[Variable],
        owed: Iterable[Variable] = (),
    ) -> None:
        super().__init__(program, targets)
        self.leaves: set[Node] = set()  # whose arrays the code reads
        self.owed = set(owed)
        writers = {each: writer(each) for each in program.operations}
        kept = [each for step in program.operations if step.outputs[0] in self.owed for each in step.reads]
        self.roots, self.last = lifetimes(program, {each for each in writers if writers[each] is None}, kept)
        constants = set(constants)
        copied = self._worth_copying(kept)
        for variable in program.inputs:
            self.places[variable] = Place(variable.name)
            if variable in copied:
                self.places[variable] = place = self.memory(variable, tall(variable.shape), variable.name + "_kept")
                self.write(np.copyto, [place.text, variable.name])
        for variable, leaf in program.values.items():
            self.names[variable.name] = leaf.array
            self.places[variable] = Place(variable.name, leaf.array, None, variable in constants)
            if variable not in constants:
                self.leaves.add(leaf)
        for i, operation in enumerate(program.operations):
            before = len(self.lines)
            write = writers[operation]
            if write is None:
                plain(self, operation)
            else:
                self.places[operation.outputs[0]] = write(self, i, operation)
            self._annotate(before, operation)
            self.release(i, operation)

    def _worth_copying(self, kept: list[Variable]) -> set[Variable]:
        """The inputs to copy: those that are kept, and those that two products read and whose layout slows both."""
        products = [each for each in self.program.operations if each.primitive.called in (np.matmul, np.dot)]
        reads = Counter(root for each in products for variable in each.reads for root in self.roots[variable])
        held = {root for each in kept for root in self.roots[each]}
        return {
            each
            for each in self.program.inputs
            if each.shape and (each in held or (tall(each.shape) and reads[each] > 1 and each.dtype.kind == "f"))
        }

    def _annotate(self, before: int, operation: Operation) -> None:
        """Say at the end of an operation's lines what they made, and where it was asked for."""
        if len(self.lines) > before:
            notes = f"  # {operation.outputs[0].form}" + (f"  {operation.place}" if operation.place else "")
            self.lines[-1] = f"{self.lines[-1]:<60}{notes}"

    # ---- what the code ends with -----------------------------------------------------------------------------------

    def fresh(self, values: Iterable[Any]) -> list[str]:
        """Results as expressions: arrays that nobody else holds, or literals."""
        texts = []
        given = set()
        for each in values:
            place = self.place(each)
            own = not isinstance(each, Variable) or (place.fresh and each not in given)
            texts.append(place.text if own else f"{self.function(np.array)}({place.text})")
            given.add(each)
        return texts

    def returned(self, structure: Structure, texts: Iterable[str]) -> str:
        """Results in their structure, as an expression."""
        return self._arranged(structure, iter(texts))

    def _arranged(self, structure: Structure, texts: Iterator[str]) -> str:
        kind = structure.kind
        if kind is None:
            return next(texts)
        parts = [self._arranged(each, texts) for each in structure.parts]
        if issubclass(kind, dict):
            keys = [repr(key) if type(key) in (str, int) else self.bind("key", key) for key in structure.keys]
            text = f"{{{', '.join(f'{key}: {part}' for key, part in zip(keys, parts, strict=True))}}}"
            return text if kind is dict else f"{self.bind(kind.__name__, kind)}({text})"
        if kind is list:
            return f"[{', '.join(parts)}]"
        text = f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        if kind is tuple:
            return text
        return f"{self.bind(kind.__name__, kind)}({'*' * hasattr(kind, '_fields')}{text})"

    def stores(self, written: Iterable[tuple[Any, Node]]) -> list[str]:
        """Lines that write new values into leaves, which notice it."""
        lines = []
        for number, (value, leaf) in enumerate(written):
            array, name = self.view(leaf.array, f"state_{number}"), self.bind(f"leaf_{number}", leaf)
            lines.append(f"{self.function(np.copyto)}({array}, {self.place(value).text})")
            lines.append(f"{name}.when = {self.bind('tick', tick)}()")
        return lines
