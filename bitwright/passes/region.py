"""Cut the real ops between integer values out of a graph, to evaluate or to move them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bitwright.ir.graph import Constants, Graph
from bitwright.ir.ops import Op, Permute, Reshape, Transpose, Value

INDEX_MAPS = (Reshape, Transpose, Permute)


@dataclass(frozen=True, slots=True)
class Region:
    """Real ops in execution order, and the values that they read from outside."""

    ops: tuple[Op, ...]
    leaves: tuple[Value, ...]

    def graph(self, outputs: Sequence[Value], constants: Constants, name: str = "region") -> Graph:
        """Return the region as a graph of its own, reading the leaves."""
        read = {v.name for op in self.ops for v in op.inputs} | {v.name for v in outputs}
        kept = {n: a for n, a in constants.items() if n in read}
        return Graph(name, self.leaves, tuple(outputs), self.ops, kept)


def cut(targets: Sequence[Value], producers: Mapping[str, Op], constants: Constants) -> Region:
    """Return all ops behind `targets`, back to the values that `producers` does not define."""
    ops: dict[str, Op] = {}
    leaves: dict[str, Value] = {}
    stack: list[tuple[Value, bool]] = [(v, False) for v in reversed(targets)]
    while stack:
        value, done = stack.pop()
        if value.name in ops or value.name in leaves or value.name in constants:
            continue
        op = producers.get(value.name)
        if op is None:
            leaves[value.name] = value
        elif done:
            ops[value.name] = op
        else:
            stack.append((value, True))
            stack.extend((v, False) for v in reversed(op.inputs))
    return Region(tuple(ops.values()), tuple(leaves.values()))
