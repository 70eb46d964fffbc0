"""Cycles that each Verilog library cell takes, as pure functions of its parameters.

Latency counts the cycles from the handshake that completes the needed input to the first output
handshake, with nothing stalled. Every cell moves one beat per cycle on its busy side.
"""

SKID = FIFO = FORK = FRAME_IN = FRAME_OUT = CONCAT = 1
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


def steps_latency(thresholds: int, table: bool, classes: int = 1) -> int:
    """Return the latency of a threshold search (bw_steps)."""
    return 2 + clog2(thresholds + 1) + int(table) + int(classes > 1)


def requantize_latency(use_mul: bool, classes: int = 1) -> int:
    """Return the latency of scaling, rounding and clamping (bw_requantize)."""
    return 4 + int(use_mul) + int(classes > 1)


def mul_latency(repeat: int = 1) -> int:
    """Return the latency of a product of two streams; `repeat` pixels of a meet one of b (bw_mul)."""
    return 4 + 2 * int(repeat > 1)


def depthwise_latency(taps: int) -> int:
    """Return the cycles from a block's first tap to its output beat (bw_depthwise)."""
    return taps - 1 + 4


def pool_latency(taps: int, blocks: int = 1) -> int:
    """Return the cycles from the first input beat to the first output beat (bw_pool).

    `taps` pixels of `blocks` beats follow one another when the pixels come whole.
    """
    return (taps - 1) * blocks + 3


def reorder_latency(beats: int) -> int:
    """Return the cycles from a frame's first input beat to its first output beat (bw_reorder)."""
    return beats - 1 + 3


def reorder_interval(beats_in: int, beats_out: int) -> int:
    """Return the cycles between frames (bw_reorder)."""
    return max(beats_in, beats_out)


def argmax_latency(pe: int, beats: int) -> int:
    """Return the cycles from a vector's first input beat to its index (bw_argmax)."""
    return beats - 1 + 2 + clog2(pe)


def width_latency(n_in: int, n_out: int) -> int:
    """Return the cycles from the first input beat to the first output beat (bw_width)."""
    return (n_out // n_in - 1 if n_out > n_in else 0) + WIDTH
