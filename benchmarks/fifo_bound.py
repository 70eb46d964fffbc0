"""FIFO and ring bits of small designs against the least that keep their cycles: a Markdown table.

`planned` sizes come from the schedule of whole frames alone, `emitted` are those of the compiler;
the bound is found from the emitted ones by taking beats away, one memory after another, until every
further beat costs cycles in an exact run of the design's control.
"""

import sys
from collections.abc import Mapping

from results import finish, output_path, table

from bitwright.backends.verilog import Fold, VerilogOptions
from bitwright.backends.verilog.design import network_of
from bitwright.backends.verilog.fifos import size_fifos
from bitwright.backends.verilog.network import Network
from bitwright.backends.verilog.plan import planned_sizes
from bitwright.backends.verilog.schedule import simulate, slowest_cycles
from tests.backends.verilog.bodies import residual
from tests.backends.verilog.images import BODIES

TEXT = """# FIFO and ring bits

    PYTHONPATH=. python benchmarks/fifo_bound.py -o benchmarks/fifo_bound.md

`planned` bits follow from the schedule of whole frames alone, `emitted` are the compiler's, and the bound
is what is left of them when every further beat less would cost cycles, memory after memory.

"""
MOST = 1.1  # emitted bits over the bound
HEAD = ("design", "folding", "cycles", "planned bits", "emitted bits", "bound", "emitted / bound")


def least_of(network: Network) -> dict[str, int]:
    """Return the rings below which no window works."""
    return {unit.name: unit.ring.least_depth for unit in network.units if unit.ring}


def bits_of(network: Network, sizes: Mapping[str, int]) -> int:
    """Return the bits of FIFOs and rings."""
    widths = {link.name: link.bits for link in network.links}
    widths |= {unit.name: unit.inputs[0].bits for unit in network.units if unit.ring}
    return sum(widths[name] * size for name, size in sizes.items())


def bound(network: Network, sizes: Mapping[str, int], interval: int) -> dict[str, int]:
    """Return sizes none of which can be less, from the widest memory to the narrowest."""
    found, floor = dict(sizes), least_of(network)
    weights = {name: bits_of(network, {name: size}) for name, size in found.items()}
    for name in sorted(found, key=lambda n: -weights[n]):
        low, high = floor.get(name, 0), found[name]
        while low < high:
            middle = (low + high) // 2
            timing = simulate(network, {**found, name: middle})
            keeps = timing is not None and timing.interval <= interval
            low, high = (low, middle) if keeps else (middle + 1, high)
        found[name] = high
    return found


def main() -> int:
    """Measure every design and fail where one exceeds the bound by more than a tenth."""
    output = output_path(__doc__)
    rows: list[tuple[object, ...]] = []
    failures = []
    for name, body in {**BODIES, "residual": residual}.items():
        for fold in (None, *Fold):
            network = network_of(body(), VerilogOptions(fold=fold))
            sizing = size_fifos(network)
            emitted = {**sizing.depths, **sizing.rings}
            interval = sizing.timing.interval
            planned = least_of(network) | planned_sizes(network, slowest_cycles(network))
            counts = [bits_of(network, sizes) for sizes in (planned, emitted)]
            least = bits_of(network, bound(network, emitted, interval))
            ratio = counts[1] / least if least else 1.0
            folding = fold.value if fold else "default"
            rows.append((name, folding, interval, *counts, least, ratio))
            if ratio > MOST:
                failures.append(f"{name} {folding}: {ratio:.2f} times the bound, at most {MOST}")
    data = {"rows": [dict(zip(HEAD, row, strict=True)) for row in rows]}
    return finish(output, TEXT + table(HEAD, rows) + "\n", data, failures)


if __name__ == "__main__":
    sys.exit(main())
