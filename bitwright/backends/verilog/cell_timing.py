"""Cycles that each Verilog library cell takes, as pure functions of its parameters.

Latency counts the cycles from the handshake that completes the needed input to the first output
handshake, with nothing stalled. Every cell moves one beat per cycle on its busy side.
"""

SKID = FIFO = FORK = FRAME_IN = FRAME_OUT = 1
WIDTH = 1  # from the narrow beat that completes a wide one, or from the wide beat
LOOKUP = 2
ADD = 5
ADD_STAGES = 3  # default adder levels between registers
XNOR = 0  # the KIND of a matrix-vector unit that counts agreeing signs


def clog2(n: int) -> int:
    """Return the bits that number n things: ceil(log2(n)), n >= 1."""
    return (n - 1).bit_length()


def popcount_latency(n: int, add_stages: int = ADD_STAGES) -> int:
    """Return the registers of a popcount over n bits (bw_popcount)."""
    levels = 1 + clog2((n + 3) // 4)
    return max(1, levels // add_stages)


def dot_latency(kind: int, simd: int, add_stages: int = ADD_STAGES) -> int:
    """Return the registers of a dot product over simd elements (bw_dot_xnor, bw_dot_terms)."""
    if kind == XNOR:
        return popcount_latency(simd, add_stages)
    return 1 + clog2(simd) // add_stages


def mvu_latency(kind: int, simd: int, sf: int, add_stages: int = ADD_STAGES) -> int:
    """Return the cycles from a vector's first input beat to its first output beat (bw_mvu)."""
    return sf - 1 + 4 + dot_latency(kind, simd, add_stages)


def mvu_interval(nf: int, sf: int) -> int:
    """Return the cycles between vectors (bw_mvu)."""
    return nf * sf


def steps_latency(thresholds: int, table: bool) -> int:
    """Return the latency of a threshold search (bw_steps)."""
    return 2 + clog2(thresholds + 1) + int(table)


def requantize_latency(use_mul: bool) -> int:
    """Return the latency of scaling, rounding and clamping (bw_requantize)."""
    return 4 + int(use_mul)


def argmax_latency(pe: int, beats: int) -> int:
    """Return the cycles from a vector's first input beat to its index (bw_argmax)."""
    return beats - 1 + 2 + clog2(pe)


def width_latency(n_in: int, n_out: int) -> int:
    """Return the cycles from the first input beat to the first output beat (bw_width)."""
    return (n_out // n_in - 1 if n_out > n_in else 0) + WIDTH
