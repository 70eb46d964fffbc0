"""Rewrite QONNX nodes as ai.onnx nodes of the same float32 meaning, so that onnxruntime runs them.

Only operators that exist since version 9 are used (rounding before version 11 is done by adding
and taking away 1.5 * 2^23, which rounds float32 half to even), so that old models need no
conversion.
"""

from dataclasses import dataclass, field
from math import log2
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bitwright.errors import CompileError, UnsupportedError
from bitwright.sim.standard_spatial import CHANNELS_LAST, EXPAND, EXPAND_LAST

DOMAINS = frozenset(
    {"onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general", CHANNELS_LAST}
)
_AXES_INPUT = 13
_ROUND = 11
_MAGIC = np.float32(1.5 * 2**23)
_MAX_MAGIC = 2.0**22
_CHANNEL_AXIS = {2: 1, 3: 2, 4: 1}
_TRUNC_V2_INPUTS = 7
_MAX_IR = 10


@dataclass
class Writer:
    """The nodes that take the place of one QONNX node."""

    opset: int
    prefix: str
    constants: dict[str, np.ndarray[Any, Any]]
    nodes: list[Any] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its result."""
        out = f"{self.prefix}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def const(self, value: Any) -> str:
        """Add a float32 constant and return its name."""
        a = np.asarray(value, np.float32)
        return self.op("Constant", value=numpy_helper.from_array(a))

    def axes_op(self, kind: str, x: str, axis: int, **attributes: Any) -> str:
        """Add Unsqueeze or ReduceSum, whose axes moved from attribute to input."""
        if self.opset < _AXES_INPUT:
            return self.op(kind, x, axes=[axis], **attributes)
        a = self.op("Constant", value=numpy_helper.from_array(np.array([axis], np.int64)))
        return self.op(kind, x, a, **attributes)

    def round(self, x: str, mode: str) -> str:
        """Round in one of QONNX's modes."""
        if mode in {"FLOOR", "CEIL"}:
            return self.op(mode.capitalize(), x)
        if mode in {"ROUND", "HALF_EVEN"}:
            if self.opset >= _ROUND:
                return self.op("Round", x)
            m = self.const(_MAGIC)
            return self.op("Sub", self.op("Add", x, m), m)
        size, half = self.op("Abs", x), self.const(0.5)
        whole = {
            "UP": lambda: self.op("Ceil", size),
            "DOWN": lambda: self.op("Floor", size),
            "HALF_UP": lambda: self.op("Floor", self.op("Add", size, half)),
            "HALF_DOWN": lambda: self.op("Ceil", self.op("Sub", size, half)),
        }
        if mode not in whole:
            raise UnsupportedError(f"rounding mode {mode!r} is not known")
        return self.op("Mul", self.op("Sign", x), whole[mode]())

    def scalar(self, name: str) -> float:
        """Return the number in a constant input."""
        if name not in self.constants:
            raise UnsupportedError(f"{name!r} is no constant")
        return float(self.constants[name].reshape(-1)[0])

    def clip(self, x: str, lo: float, hi: float) -> str:
        """Clamp to [lo, hi]."""
        return self.op("Min", self.op("Max", x, self.const(lo)), self.const(hi))

    def float_of(self, name: str) -> str:
        """Return a parameter as float32, whatever type the file gave it."""
        return self.op("Cast", name, to=onnx.TensorProto.FLOAT)

    def bipolar(self, x: str) -> str:
        """Return +1 where x >= 0, else -1."""
        negative = self.op("Less", x, self.const(0))
        return self.op("Where", negative, self.const(-1), self.const(1))


def standard_model(model: Any) -> Any:
    """Return a model of ai.onnx nodes only, with a batch of any size and IR version at most 10."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    opset = max((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), default=13)
    ranks = _ranks(model)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    nodes: list[Any] = []
    for i, node in enumerate(model.graph.node):
        if node.domain in DOMAINS:
            nodes += _expand(node, Writer(opset, f"bitwright/{i}", constants), ranks)
        else:
            nodes.append(node)
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    del out.graph.value_info[:]
    _free_batch(out)
    _imports(out, opset)
    return out


def _free_batch(model: Any) -> None:
    constants = {t.name for t in model.graph.initializer}
    for v in model.graph.input:
        dims = v.type.tensor_type.shape.dim
        if v.name not in constants and len(dims) > 1:
            dims[0].dim_value = 1
    for v in model.graph.output:
        if v.type.HasField("tensor_type"):
            v.type.tensor_type.ClearField("shape")


def _imports(model: Any, opset: int) -> None:
    kept = {o.domain: o.version for o in model.opset_import if o.domain not in DOMAINS}
    kept.pop("ai.onnx", None)
    kept[""] = opset
    for node in model.graph.node:
        if node.domain and node.domain != "ai.onnx":
            kept.setdefault(node.domain, 1)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(d, v) for d, v in sorted(kept.items()))
    model.ir_version = min(model.ir_version, _MAX_IR)


def _ranks(model: Any) -> dict[str, int]:
    """Return the rank of every tensor, found with the QONNX nodes taken for identities."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for node in plain.graph.node:
        if node.domain in DOMAINS:
            first = node.input[0]
            del node.input[:], node.attribute[:]
            node.input.append(first)
            node.op_type, node.domain = "Identity", ""
    inferred = onnx.shape_inference.infer_shapes(plain).graph
    known = [*inferred.value_info, *inferred.input, *inferred.output]
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in known}
    return ranks | {t.name: len(t.dims) for t in model.graph.initializer}


def _expand(node: Any, w: Writer, ranks: dict[str, int]) -> list[Any]:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    table = EXPAND_LAST if node.domain == CHANNELS_LAST else _EXPAND
    if node.op_type not in table:
        raise UnsupportedError(f"{node.op_type} has no form in standard operators")
    y = table[node.op_type](w, list(node.input), attributes, ranks)
    w.nodes.append(helper.make_node("Identity", [y], [node.output[0]]))
    return w.nodes


def _ends(attributes: dict[str, Any], bits: float) -> tuple[float, float]:
    narrow = int(attributes.get("narrow", 0))
    if attributes.get("signed", 1):
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - narrow


def _mode(attributes: dict[str, Any], default: str) -> str:
    return str(attributes.get("rounding_mode", default.encode()).decode()).upper()


def _quant(w: Writer, at: list[str], attributes: dict[str, Any], _ranks: dict[str, int]) -> str:
    scale, zero, bits = w.float_of(at[1]), w.float_of(at[2]), w.scalar(at[3])
    y = w.op("Add", w.op("Div", at[0], scale), zero)
    if bits == 1 and attributes.get("signed", 1):
        y = w.bipolar(y)
    else:
        lo, hi = _ends(attributes, bits)
        if w.opset < _ROUND and max(-lo, hi) > _MAX_MAGIC:
            raise CompileError(f"{bits:g} bits cannot be rounded before operator set {_ROUND}")
        y = w.round(w.clip(y, lo, hi), _mode(attributes, "ROUND"))
    return w.op("Mul", w.op("Sub", y, zero), scale)


def _bipolar(w: Writer, at: list[str], _attributes: Any, _ranks: dict[str, int]) -> str:
    return w.op("Mul", w.bipolar(at[0]), w.float_of(at[1]))


def _multi_threshold(
    w: Writer, at: list[str], attributes: dict[str, Any], ranks: dict[str, int]
) -> str:
    rank, thresholds = ranks[at[0]], w.constants[at[1]].astype(np.float32)
    layout = attributes.get("data_layout", b"").decode()
    axis = layout.index("C") if len(layout) == rank else _CHANNEL_AXIS[rank]
    shape = (*(thresholds.shape[0] if i == axis else 1 for i in range(rank)), thresholds.shape[1])
    x = w.axes_op("Unsqueeze", at[0], rank)
    below = w.op("Less", x, w.const(thresholds.reshape(shape)))
    reached = w.op("Sub", w.const(1), w.op("Cast", below, to=onnx.TensorProto.FLOAT))
    count = w.axes_op("ReduceSum", reached, rank, keepdims=0)
    scaled = w.op("Mul", count, w.const(attributes.get("out_scale", 1.0)))
    return w.op("Add", scaled, w.const(attributes.get("out_bias", 0.0)))


def _trunc(w: Writer, at: list[str], attributes: dict[str, Any], _ranks: dict[str, int]) -> str:
    scale, zero = w.float_of(at[1]), w.float_of(at[2])
    y = w.round(w.op("Add", w.op("Div", at[0], scale), zero), "ROUND")
    if len(at) < _TRUNC_V2_INPUTS:
        step = w.const(2.0 ** (w.scalar(at[3]) - w.scalar(at[4])))
        y = w.round(w.op("Div", y, step), _mode(attributes, "FLOOR"))
        return w.op("Mul", w.op("Sub", y, zero), scale)
    step = w.const(2.0 ** round(log2(w.scalar(at[4]) / w.scalar(at[1]))))
    lo, hi = _ends(attributes, w.scalar(at[6]))
    y = w.round(w.clip(w.op("Div", y, step), lo, hi), _mode(attributes, "FLOOR"))
    return w.op("Mul", w.op("Sub", y, w.op("Div", zero, step)), w.float_of(at[4]))


_EXPAND = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "MultiThreshold": _multi_threshold,
    "Trunc": _trunc,
    **EXPAND,
}
