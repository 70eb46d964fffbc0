"""The tables of combinations.py, and what can be read off them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from combinations_rows import (
    DENSITY,
    FURTHER,
    OUTPUT_BYTES,
    ROWS,
    SPARSER,
    Effort,
    Row,
    first_recipe,
    second_recipe,
)
from numpy.typing import NDArray
from results import table

Data = dict[str, Any]
Array = NDArray[Any]

_RIGHT = re.compile(r"accuracy [^(]*\((\d+ of \d+)\)")
_NEAR = 0.005  # of the density, which counts whole weights; 8 bits round some of them to 0

HEAD = """# Pruned, then binarized, then distilled: every subset

    python benchmarks/combinations.py ZOO DATA --cache CACHE -o benchmarks/combinations.md

A MobileNet v1 at a quarter of its width for 28x28 digits (`mobilenet-small` of `examples/zoo`: 36,874
parameters, {pointwise:,} of its {weights:,} weights in 1x1 convolutions), trained on MNIST; {held:,}
images are held out, of which the float original has {original:.2f} % right. Each row is fine-tuned from
it on the same {samples:,} images in two stages of {first} and {second} epochs, one thread, seeds
{seeds}:

- **prune**: in the first stage the smallest weights of the 1x1 convolutions and of the last layer go,
  more each epoch, until {density:.0%} of each layer are left; these train on, and the zeros stay in the
  second stage. Rows without it train as long on all weights. Weights and activations are floats, the
  loss is that of the labels.
- **binarize**: in the second stage the weights of the 1x1 convolutions are ±alpha, alpha = mean |w| of
  a filter (BWN). With prune alpha is the mean of the weights left, and the weights are ternary: 0 or
  ±alpha. Rows without it have 8-bit weights there. In every row the depthwise convolutions, the first
  and the last layer have 8-bit weights and all activations 8 bits, their steps trained but for the
  image's.
- **distill**: in the second stage half of the loss is Hinton's (temperature 4) against the scores of
  the float original, half that of the labels; rows without it learn from labels alone.
"""
BYTES = """Bytes: of each layer's weights the fewest among packed (8 bits; signs 1 bit; signs and zeros
1.6 bits, five in a byte) and the forms of `--store` (codebook, sparse, sparse-codebook, huffman, with
their tables), and 4 for each of the {outputs} outputs. "as packed" is the same without the forms. Bits
a weight: bytes of weights without the outputs' over all {weights:,} weights. Multiplications and
additions are those of nonzero weights, in thousands an image: a weight ±alpha adds. Lost: points below
the float original, ± one standard error over the {held:,} images (paired; it says nothing of other
seeds, which the two values in the column before do).
"""


def _rights(data: Data, row: Row) -> list[float]:
    return [found["right"] for _, found in sorted(data["rows"][row.key].items())]


def _mean(data: Data, row: Row) -> float:
    return float(np.mean(_rights(data, row)))


def _hits(data: Data, row: Row) -> Array:
    """Return the share of seeds that have each held-out image right."""
    seeds = data["rows"][row.key].values()
    hits = np.ones((len(seeds), data["held"]))
    for k, found in enumerate(seeds):
        hits[k, found["wrong"]] = 0
    return np.asarray(hits.mean(axis=0))


def _original(data: Data) -> Array:
    hits = np.ones(data["held"])
    hits[data["original"]["wrong"]] = 0
    return hits


def _points(differences: Array) -> tuple[float, float]:
    """Return the mean of differences of images in points and its standard error."""
    return 100 * float(differences.mean()), 100 * float(differences.std() / differences.size**0.5)


def total(data: Data, row: Row) -> float:
    """Return the bytes of a row, the mean of its seeds."""
    sizes = [f["size"] for f in data["rows"][row.key].values()]
    return float(np.mean([s["least"] + s["outputs"] for s in sizes]))


def _row(data: Data, row: Row) -> list[object]:
    found = data["rows"][row.key]
    size = {k: np.mean([f["size"][k] for f in found.values()])
            for k in ("packed", "least", "outputs", "weights", "multiplications", "additions")}  # fmt: skip
    forms = sorted({f for x in found.values() for f in x["size"]["forms"]})
    lost, error = _points(_original(data) - _hits(data, row))
    return [
        row.name, _mean(data, row), " / ".join(f"{r:.2f}" for r in _rights(data, row)),
        f"{lost:.2f} ± {error:.2f}", round(total(data, row)),
        round(float(size["packed"] + size["outputs"])),
        float(8 * size["least"] / size["weights"]), ", ".join(forms),
        round(float(size["multiplications"]) / 1000), round(float(size["additions"]) / 1000),
    ]  # fmt: skip


def rows_table(data: Data, rows: Sequence[Row]) -> str:
    """Return the table of the rows that have results."""
    head = ["steps", "right %", "by seed", "lost points", "bytes", "as packed", "bits a weight",
            "1x1 stored as", "k mult", "k add"]  # fmt: skip
    return table(head, [_row(data, r) for r in rows if r.key in data["rows"]])


def _pair(data: Data, first: Row, second: Row, both: Row, what: str) -> list[object]:
    """Return what two changes of a row of 8 bits come to, apart and together."""
    none = ROWS[0]
    zero = _hits(data, none)
    one, two, three = (_hits(data, r) for r in (first, second, both))
    sum_of, _ = _points((zero - one) + (zero - two))
    got, _ = _points(zero - three)
    beyond, error = _points((one + two) - zero - three)
    small, smaller, together = (total(data, none) / total(data, r) for r in (first, second, both))
    return [
        what, f"{sum_of:.2f}", f"{got:.2f}", f"{beyond:+.2f} ± {error:.2f}",
        verdict(beyond, error), f"{small * smaller:.2f}", f"{together:.2f}",
        f"{together / max(small, smaller):.2f}",
    ]  # fmt: skip


def verdict(beyond: float, error: float) -> str:
    """Return how two losses of accuracy combine: told apart from a sum at two standard errors."""
    if abs(beyond) <= 2 * error:
        return "add up"
    return "more than the sum" if beyond > 0 else "less than the sum"


def pairs_table(data: Data, density: float) -> str:
    """Return the losses and the factors of pairs of steps beside what they would be apart."""
    p, b, d = Row(density, False, False), Row(1.0, True, False), Row(1.0, False, True)
    pb, pd, bd = Row(density, True, False), Row(density, False, True), Row(1.0, True, True)
    head = ["steps", "lost: sum", "lost: together", "beyond the sum", "points", "factor: product",
            "factor: together", "over the greater alone"]  # fmt: skip
    rows = [
        _pair(data, p, b, pb, "prune, binarize"),
        _pair(data, p, d, pd, "prune, distill"),
        _pair(data, b, d, bd, "binarize, distill"),
        _pair(data, pb, d, Row(density, True, True), "prune + binarize, distill"),
    ]
    return table(head, rows)


def _distilling(data: Data, rows: Sequence[Row]) -> list[tuple[str, float, float]]:
    """Return for each row without distillation what it gains by it in points, and the error."""
    out: list[tuple[str, float, float]] = []
    for row in rows:
        if row.distill or row.key not in data["rows"]:
            continue
        taught = Row(row.density, row.binarize, distill=True)
        if taught.key in data["rows"]:
            gain, error = _points(_hits(data, taught) - _hits(data, row))
            share = f" ({row.density:.0%} left)" if row.prune else ""
            out.append((row.name + share, gain, error))
    return out


def _compiled(data: Data) -> str:
    names = {row.key: row.name for row in ROWS}
    head = ["steps", "rungs", "flash of tables", "arena", "RTL: bits of weights", "multipliers",
            "cycles a frame", "right: C, RTL", "outcome"]  # fmt: skip
    rows = [
        [names[key], " ".join(map(str, c["rungs"])), c["flash"], c["arena"], c["weight_bits"],
         c["multipliers"], c["cycles"], ", ".join(_RIGHT.findall(" ".join(c["told"]))),
         "all pass" if c["verified"] else "; ".join(c["bad"])]
        for key, c in data["checks"].items()
    ]  # fmt: skip
    return table(head, rows)


def _after_first(data: Data, rows: Sequence[Row]) -> str:
    found: dict[str, float] = {}
    for row in rows:
        share = f"{row.density:.0%} left" if row.prune else "not pruned"
        seeds = data["rows"][row.key].values()
        found[share] = float(np.mean([f["first"]["right"] for f in seeds]))
    return ", ".join(f"{share} {right:.2f} % right" for share, right in found.items())


def _densities(data: Data) -> str:
    dense = data["pointwise"]
    rows = [
        [f"{float(d):.0%}", shared, dense / shared, signed, dense / 8 / signed]
        for d, (shared, signed) in data["by_density"].items()
    ]
    return table(["left", "int8: bytes", "dense over it", "signs: bytes", "dense over it"], rows)


def _reading(data: Data, density: float) -> list[str]:
    """Return what the figures of one density say, as sentences."""
    none, p, b = ROWS[0], Row(density, False, False), Row(1.0, True, False)
    pb = Row(density, True, False)
    inner = {r: _inner(data, r) for r in (none, p, b, pb)}
    ratio = inner[pb] / inner[b]
    change = f"{abs(ratio - 1):.0%} {'fewer' if ratio < 1 else 'more'} bytes than binarizing alone"
    cause = ", because zero is a third value" if ratio > 1 else ""
    lost = {r: _points(_hits(data, none) - _hits(data, r))[0] for r in (p, b, pb)}
    further, error = _points(_hits(data, b) - _hits(data, pb))
    left = f"- {density:.0%} left"
    return [
        f"{left}, bytes: the 1x1 weights take {inner[none]:,.0f}, pruned {inner[p]:,.0f}, binarized "
        f"{inner[b]:,.0f}, both {inner[pb]:,.0f}: on 8-bit weights pruning is a factor of "
        f"{inner[none] / inner[p]:.2f}, on binary ones it takes {change}{cause}. The whole network is "
        f"{_factor(data, p):.2f} times smaller pruned, "
        f"{_factor(data, b):.2f} binarized, {_factor(data, pb):.2f} both (product "
        f"{_factor(data, p) * _factor(data, b):.2f}); the last layer, 8 bits in all rows, is pruned "
        "too and gives its share of that.",
        f"{left}, accuracy: against `none` pruning alone loses {lost[p]:.2f} points, binarizing alone "
        f"{lost[b]:.2f}, both {lost[pb]:.2f} (sum {lost[p] + lost[b]:.2f}); pruning in addition to "
        f"binarizing costs {further:.2f} ± {error:.2f}.",
    ]


def _taught(data: Data, rows: Sequence[Row]) -> str:
    gains = _distilling(data, rows)
    clear = [f"{name} ({gain:+.2f})" for name, gain, error in gains if gain > 2 * error]
    other = [f"{name} ({gain:+.2f})" for name, gain, error in gains if gain <= 2 * error]
    return (
        "- Distillation changes no form and hardly a byte. It gains more than two standard errors on "
        f"{', '.join(clear) or 'no row'}, not on {', '.join(other) or 'none left'}."
    )


def _inner(data: Data, row: Row) -> float:
    return float(np.mean([f["size"]["pointwise"] for f in data["rows"][row.key].values()]))


def _factor(data: Data, row: Row) -> float:
    return total(data, ROWS[0]) / total(data, row)


def _front(data: Data, rows: Sequence[Row]) -> str:
    """Return which rows no other beats in both accuracy and bytes."""
    at = {r: (_mean(data, r), total(data, r)) for r in rows}
    best = [r for r in rows if not any(
        m >= at[r][0] and s <= at[r][1] and (m, s) != at[r] for m, s in at.values())]  # fmt: skip
    named = (f"{_called(r)} ({at[r][1]:,.0f} bytes, {at[r][0]:.2f} %)" for r in
             sorted(best, key=lambda r: at[r][1]))  # fmt: skip
    return "- No other row is both smaller and more often right than: " + "; ".join(named) + "."


def _called(row: Row) -> str:
    return row.name + (f" at {row.density:.0%}" if row.prune else "")


def text(data: Data) -> str:
    """Return the whole Markdown; ROWS must have results, FURTHER may."""
    size = data["rows"][ROWS[0].key]["0"]["size"]
    effort = Effort(**{k: data["effort"][k] for k in ("samples", "first", "second")})
    have = [*ROWS, *(r for r in FURTHER if r.key in data["rows"])]
    densities = [
        d
        for d in (DENSITY, SPARSER)
        if all(Row(d, b, t) in have for b in (False, True) for t in (False, True))
    ]
    facts = {
        **size, **vars(effort), "outputs": size["outputs"] // OUTPUT_BYTES, "density": DENSITY,
        "pointwise": data["pointwise"], "held": data["held"],
        "original": 100 * float(_original(data).mean()),
        "seeds": " and ".join(map(str, data["seeds"])),
    }  # fmt: skip
    parts = [HEAD.format(**facts), rows_table(data, ROWS), "", BYTES.format(**facts),
             f"After the first stage, floats: {_after_first(data, have)}.\n"]  # fmt: skip
    if len(densities) > 1:
        parts += [f"## With {SPARSER:.0%} left\n", rows_table(data, FURTHER), ""]
    parts += ["## Apart and together\n", TOGETHER]
    for density in densities:
        parts += [f"{density:.0%} left:\n", pairs_table(data, density), ""]
    gains = [[name, f"{gain:+.2f} ± {error:.2f}"] for name, gain, error in _distilling(data, have)]
    parts += ["What distillation gains, in points:\n",
              table(["row", "gain"], gains), "", DENSITIES.format(**facts),
              _densities(data), "", "## Reading\n",
              *(line for d in densities for line in _reading(data, d)),
              _taught(data, have), _front(data, have), "",
              "## In C and Verilog\n", CHECKS, _compiled(data), "", "## Recipes\n", RECIPES]  # fmt: skip
    for row in (ROWS[0], ROWS[-1]):
        parts.append(f"First stage of `{row.name}`, then the second:\n")
        for recipe in (first_recipe(row, effort), second_recipe(row, effort)):
            parts.append(f"```toml\n{recipe}```\n")
    parts += ["Commands of the last:\n", *_commands(data, ROWS[-1]), "", _time(data, have)]
    return "\n".join(parts) + "\n"


TOGETHER = """"Sum" adds what the steps lose or gain alone, against `none`; "beyond the sum" is how much
more the steps lose together, and "add up" means that this is within two standard errors of 0. The
factors are bytes of `none` over bytes of the row; the product is what the steps would give if one knew
nothing of the other. "over the greater alone" is what the second step still gives when the stronger one
is taken already.
"""
DENSITIES = """## Where pruning pays, by density

The weights of all 1x1 convolutions ({pointwise:,}) of the float original, the smallest set to zero in
each layer without training, in the form of the fewest bytes; dense they take {pointwise:,} bytes as
int8, an eighth as signs. "dense over it" below 1: pruning makes the layer larger.
"""
CHECKS = """Seed 0 of two rows, compiled with `--store small` and compared by `bitwright verify` (rungs:
1 onnxruntime, 3 integers, 4 C under gcc, clang and sanitizers, 6 simulated RTL); "flash of tables" holds
weights, scales and thresholds.
"""
RECIPES = "The other rows mix these: the sparsities, the `bwn` rule, `distill` and `keep_zeros`.\n"


def _commands(data: Data, row: Row) -> list[str]:
    found = data["rows"][row.key]["0"]
    return [f"    {found['first']['command']}", f"    {found['command']}"]


def _time(data: Data, rows: Sequence[Row]) -> str:
    runs: dict[str, float] = {}
    for row in rows:
        for seed, found in data["rows"][row.key].items():
            runs[f"{row.key} {seed}"] = found["cpu"]
            runs[f"first {row.density} {seed}"] = found["first"]["cpu"]
    return f"{len(runs)} runs took {sum(runs.values()) / 60:.0f} minutes of the processor to train."


def published(value: Any) -> Any:
    """Return the results without what the commands printed; the wrong images are one line of numbers."""
    if not isinstance(value, dict):
        return value
    found = {k: published(v) for k, v in value.items() if k not in {"printed", "key"}}
    return found | ({"wrong": " ".join(map(str, value["wrong"]))} if "wrong" in value else {})


def failures(data: Data) -> list[str]:
    """Return the forms that differ, and rows that are not what their names say."""
    found = [f"{key}: {bad}" for key, check in data["checks"].items() for bad in check["bad"]]
    for row in (*ROWS, *FURTHER):
        for seed, result in data["rows"].get(row.key, {}).items():
            size, where = result["size"], f"{row.key}, seed {seed}"
            if row.prune and abs(size["density"] - row.density) > _NEAR:
                found.append(f"{where}: {size['density']:.3f} of the weights are left")
            if bool(size["additions"]) != row.binarize:
                found.append(f"{where}: {size['additions']} additions")
    return found
