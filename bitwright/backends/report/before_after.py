"""The report of a compression as plain values: before and after, layer by layer and in total."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bitwright.backends.report.price import input_bits, weight_bits
from bitwright.backends.report.sizes import FLOAT_BITS, kind_text, sizes_of
from bitwright.ir.graph import Graph
from bitwright.passes.compress.choose import Compressed
from bitwright.passes.compress.recipe import Recipe

_DIGITS = 6  # significant, so that two machines write the same bytes


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of samples: labels met before and after, None without labels, and classes kept."""

    samples: int
    before: float | None
    after: float | None
    same_class: float


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, or the whole model, before and after.

    `bits` are those of one weight as stored, over the weights of the original; `mac_bits` are
    multiplications times the bits of weight and activation.
    """

    layer: str
    kind: str
    density: float
    bits: float
    bytes: int
    bytes_before: int
    macs: int
    macs_before: int
    mac_bits: int
    mac_bits_before: int
    noise: float | None


def layer_reports(original: Graph, found: Compressed, recipe: Recipe) -> tuple[Layer, ...]:
    """Return the report of each layer, in execution order."""
    inputs = input_bits(found.float_graph, recipe)
    out: list[Layer] = []
    for size, done in zip(sizes_of(original, found), found.layers, strict=True):
        ops = round(size.macs * weight_bits(done.recipe) * inputs[done.name])
        before = size.float_macs * FLOAT_BITS * FLOAT_BITS
        out.append(
            Layer(
                size.loc,
                kind_text(done.recipe),
                size.density,
                size.bits,
                size.bytes,
                size.float_bytes,
                size.macs,
                size.float_macs,
                ops,
                before,
                size.noise,
            )
        )
    return tuple(out)


def total_of(layers: Sequence[Layer], weights: Sequence[int]) -> Layer:
    """Return the sums over the layers, of so many weights each in the original."""
    count = max(sum(weights), 1)
    return Layer(
        "total",
        ", ".join(dict.fromkeys(r.kind for r in layers)),
        sum(r.density * n for r, n in zip(layers, weights, strict=True)) / count,
        sum(r.bits * n for r, n in zip(layers, weights, strict=True)) / count,
        sum(r.bytes for r in layers),
        sum(r.bytes_before for r in layers),
        sum(r.macs for r in layers),
        sum(r.macs_before for r in layers),
        sum(r.mac_bits for r in layers),
        sum(r.mac_bits_before for r in layers),
        None,
    )


def macs_by_kind(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the multiplications that are left, by the kind of their weights."""
    kinds = dict.fromkeys(r.kind for r in layers)
    return {k: sum(r.macs for r in layers if r.kind == k) for k in kinds}


def report_json(
    layers: Sequence[Layer], total: Layer, accuracy: Accuracy | None, extra: Mapping[str, Any]
) -> bytes:
    """Return the report as JSON, the same bytes for the same numbers."""
    found = {
        **extra,
        "accuracy": None if accuracy is None else asdict(accuracy),
        "layers": [asdict(r) for r in layers],
        "macs_by_kind": macs_by_kind(layers),
        "total": asdict(total),
    }
    return json_bytes(found)


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return JSON with sorted keys and reals of six digits."""
    return json.dumps(_rounded(value), indent=2, sort_keys=True).encode() + b"\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value
