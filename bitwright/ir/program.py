"""A compiled model: what the host does before, what the device does, what the host does after."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph


@dataclass(frozen=True, slots=True)
class Program:
    """Three graphs in a row: `head` and `tail` run on the host, `body` is what gets compiled.

    The outputs of each are the inputs of the next, by name and in order.
    """

    name: str
    head: Graph
    body: Graph
    tail: Graph

    def verify(self) -> None:
        """Verify the three graphs; VerifyError names the rule that breaks."""
        for graph in (self.head, self.body, self.tail):
            graph.verify()

    def run(self, inputs: Mapping[str, Array], *, dtype: type = np.float64) -> dict[str, Array]:
        """Return the model's outputs for inputs of shape (samples, *shape)."""
        codes = evaluate(self.head, inputs, dtype=dtype)
        return evaluate(self.tail, evaluate(self.body, codes, dtype=dtype), dtype=dtype)
