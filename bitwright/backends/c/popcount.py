"""Dot products of bit planes: count the ones of XORed, masked words, planes weighted by 2^b.

Each form returns a count `c` such that the dot product is a constant of the row minus a multiple
of `c`; the terms and constants are derived in `dot_planes`.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.csa import BLOCK, UNROLL, Adders, Lanes, Step, merge
from bitwright.backends.c.options import Cpu
from bitwright.backends.c.storage import Planes, Role, pack_rows
from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding

_BYTE, _HALF = 255, 65535


@dataclass(frozen=True, slots=True)
class Term:
    """A word to count: C text with `{i}` for the word's number, weighing 2^level."""

    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class PlaneDot:
    """`sum w x = k[o] + factor * count (+ nonzero elements of x)`, weights packed as `weights`."""

    terms: tuple[Term, ...]
    weights: Array
    step: int  # words of one row of weights
    k: Array
    factor: int
    counts_x: bool = False


@dataclass(frozen=True, slots=True)
class Bits:
    """One row of activations as a kernel reads it: planes `apart` words from each other."""

    row: Planes
    apart: int

    @property
    def words(self) -> int:
        """Words of the row in one plane."""
        return self.row.words

    def pack(self, bits: Array) -> Array:
        """Pack weights (outputs, inputs) as the activations are packed."""
        return pack_rows(bits, self.row.row, self.row.word)

    def plane(self, number: int) -> str:
        """Return the C text of word `{i}` of a plane."""
        return f"x[{number * self.apart} + {{i}}]" if number else "x[{i}]"


def dot_planes(x: Bits, w: Array, encoding: Encoding) -> PlaneDot:
    """Return the form for activations `x` and weights `w` (outputs, inputs).

    With m = popcount of products that are -1: bipolar x: sum = nonzero - 2 m.
    A plane b of an integer adds 2^b * (P - m_b), P the +1 weights, m_b counting x_b XOR (w = +1).
    """
    bipolar = encoding is Encoding.BIPOLAR
    return _FORMS[(x.row.role, bipolar)](x, w)


def _interleave(x: Bits, first: Array, second: Array) -> Array:
    pairs = np.stack([x.pack(first), x.pack(second)], axis=-1)
    return pairs.reshape(first.shape[0], -1)


def _bip_bip(x: Bits, w: Array) -> PlaneDot:
    k = np.full(w.shape[0], w.shape[1], np.int64)
    return PlaneDot((Term("x[{i}] ^ w[{i}]"),), x.pack(w > 0), x.words, k, -2)


def _bip_tern(x: Bits, w: Array) -> PlaneDot:
    weights = _interleave(x, w != 0, w > 0)
    k = (w != 0).sum(axis=1)
    term = Term("(x[{i}] & w[2 * {i}]) ^ w[2 * {i} + 1]")
    return PlaneDot((term,), weights, 2 * x.words, k, -2)


def _tern_bip(x: Bits, w: Array) -> PlaneDot:
    term = Term(f"x[{{i}}] & ~(w[{{i}}] ^ {x.plane(1)})")
    k = np.zeros(w.shape[0], np.int64)
    return PlaneDot((term,), x.pack(w > 0), x.words, k, -2, counts_x=True)


def _tern_tern(x: Bits, w: Array) -> PlaneDot:
    nonzero = "x[{i}] & w[2 * {i}]"
    wrong = f"({nonzero}) & ({x.plane(1)} ^ w[2 * {{i}} + 1])"
    k = np.full(w.shape[0], x.words * x.row.word, np.int64)
    weights = _interleave(x, w != 0, w < 0)
    return PlaneDot((Term(f"~({nonzero})"), Term(wrong, 1)), weights, 2 * x.words, k, -1)


def _int_bip(x: Bits, w: Array) -> PlaneDot:
    plus = (w > 0).sum(axis=1)
    planes = x.row.planes
    terms = [Term(f"{x.plane(b)} ^ w[{{i}}]", b) for b in range(planes)]
    k = ((1 << planes) - 1) * plus
    if x.row.role is Role.SIGNED:
        top = planes - 1
        terms[top] = Term(f"~({terms[top].text})", top)
        k = (x.words * x.row.word << top) - plus
    return PlaneDot(tuple(terms), x.pack(w > 0), x.words, k, -1)


def _int_tern(x: Bits, w: Array) -> PlaneDot:
    plus, minus = (w > 0).sum(axis=1), (w < 0).sum(axis=1)
    planes = x.row.planes
    terms = [Term(f"({x.plane(b)} & w[2 * {{i}}]) ^ w[2 * {{i}} + 1]", b) for b in range(planes)]
    k = ((1 << planes) - 1) * plus
    if x.row.role is Role.SIGNED:
        top = planes - 1
        inverted = f"(w[2 * {{i}}] & ~{x.plane(top)}) ^ w[2 * {{i}} + 1]"
        terms[top] = Term(inverted, top)
        k = k - ((plus - minus) << top)
    return PlaneDot(tuple(terms), _interleave(x, w != 0, w > 0), 2 * x.words, k, -1)


_FORMS = {
    (Role.BIPOLAR, True): _bip_bip,
    (Role.BIPOLAR, False): _bip_tern,
    (Role.TERNARY, True): _tern_bip,
    (Role.TERNARY, False): _tern_tern,
    (Role.UNSIGNED, True): _int_bip,
    (Role.SIGNED, True): _int_bip,
    (Role.UNSIGNED, False): _int_tern,
    (Role.SIGNED, False): _int_tern,
}


@dataclass(frozen=True, slots=True)
class CountView:
    """What popcount.h.j2 shows: one function that counts the terms of one row."""

    name: str
    note: str
    parameters: str
    word_t: str
    words: int
    builtin: bool
    terms: tuple[tuple[str, int], ...]  # of word i, with their weights
    states: tuple[str, ...]
    block: tuple[Step, ...]
    block_words: int
    looped: int  # words that the loop covers
    next_states: tuple[str, ...]
    gathered: tuple[str, ...]  # added to the total in each turn
    rest: tuple[Step, ...]
    returned: str


def count_view(name: str, terms: tuple[Term, ...], words: int, cpu: Cpu) -> CountView:
    """Return the view that counts `terms` over `words` words."""
    word_t = f"uint{cpu.word}_t"
    per_word = sum(1 << t.level for t in terms)
    block_words = max(BLOCK // len(terms), 1)
    looped = words - words % block_words if words * len(terms) > UNROLL else 0
    looped = 0 if cpu.has_popcount else looped
    depth = (block_words * per_word).bit_length() - 1 if looped else 0
    states = tuple(f"sum{level}" for level in range(depth))
    body = _network("b", terms, states, [f"(i + {i})" for i in range(block_words if looped else 0)])
    body.close(depth)
    lanes = merge({k - depth: v for k, v in body.pending.items() if k >= depth})
    gather, total_sum = _gathering(lanes, looped // block_words)
    span = range(looped, 0 if cpu.has_popcount else words)
    rest = _network("", terms, states, [str(i) for i in span])
    returned = [f"({total_sum}(total) << {depth})"] if looped else []
    returned += [_shifted(f"{_summing(s)}({s.text})", s.level) for s in merge(rest.pending)]
    reads_w = any("w[" in t.text for t in terms)
    return CountView(
        name=name,
        note=f"Ones in {words} words: {'; '.join(t.text.format(i='i') for t in terms)}.",
        parameters=f"const {word_t} *x, const {word_t} *w" if reads_w else f"const {word_t} *x",
        word_t=word_t,
        words=words,
        builtin=cpu.has_popcount,
        terms=tuple((t.text.format(i="i"), 1 << t.level) for t in terms),
        states=states,
        block=tuple(body.steps),
        block_words=block_words,
        looped=looped,
        next_states=tuple(body.pending[k][0] for k in range(depth)),
        gathered=tuple(_shifted(f"{gather}({lane.text})", lane.level) for lane in lanes),
        rest=tuple(rest.steps),
        returned=" + ".join(returned),
    )


def _network(
    prefix: str, terms: tuple[Term, ...], states: tuple[str, ...], at: list[str]
) -> Adders:
    adders = Adders(prefix)
    for level, state in enumerate(states):
        adders.push(state, level)
    for i in at:
        for t in terms:
            adders.load(t.text.format(i=i), t.level)
    return adders


def _shifted(text: str, level: int) -> str:
    return f"({text} << {level})" if level else text


def _gathering(lanes: list[Lanes], turns: int) -> tuple[str, str]:
    """Return how the lanes of a turn are kept, and how the total is summed at the end."""
    per_byte = sum(lane.per_byte << lane.level for lane in lanes)
    if per_byte * turns <= _BYTE:
        return "", "sum_octets"
    if 2 * per_byte * turns <= _HALF:
        return "halves", "sum_halves"
    return "sum_octets", ""


def _summing(lane: Lanes) -> str:
    return "sum_octets_small" if 4 * lane.per_byte <= _BYTE else "sum_octets"
