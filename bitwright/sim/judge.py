"""Compare compressed forms of a model with the float one on the same samples."""

from collections.abc import Mapping

import numpy as np

from bitwright.backends.report.before_after import Accuracy
from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.sim.accuracy import predictions


class Judge:
    """Knows what the float model chooses."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Array], labels: Array | None) -> None:
        """Run the float model on inputs (samples, *shape), whose `labels` may be unknown.

        CompileError where the model gives a single number instead of choosing a class.
        """
        self._inputs, self._labels = inputs, labels
        self._before = predictions(graph, inputs)
        if self._before.dtype.kind == "f":
            raise CompileError(
                "an accuracy needs a model that chooses a class; this one gives a single number"
            )

    def accuracy(self, graph: Graph) -> Accuracy:
        """Return the accuracy of both models, and how often they agree."""
        after = predictions(graph, self._inputs)
        same = float(np.mean(after == self._before))
        if self._labels is None:
            return Accuracy(len(after), None, None, same)
        before, right = (float(np.mean(c == self._labels)) for c in (self._before, after))
        return Accuracy(len(after), before, right, same)

    def percent(self, graph: Graph) -> float:
        """Return the percentage of labels that are met, without labels of classes that are kept."""
        found = self.accuracy(graph)
        return 100 * (found.same_class if found.after is None else found.after)

    @property
    def best(self) -> float:
        """The percentage of the float model."""
        return 100.0 if self._labels is None else 100 * float(np.mean(self._before == self._labels))

    @property
    def labelled(self) -> bool:
        """Whether percentages are of labels."""
        return self._labels is not None

    def loss(self, graph: Graph) -> float:
        """Return the points that are lost against the float model."""
        return self.best - self.percent(graph)
