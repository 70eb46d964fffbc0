"""The import itself: inputs, constants, then one importer call per node."""

from pathlib import Path
from typing import Any

from bitwright.errors import CompileError, UnsupportedError, VerifyError
from bitwright.frontend.context import Behind, Context, Operand, Unavailable
from bitwright.frontend.finish import finish
from bitwright.frontend.fold import fold
from bitwright.frontend.importers import find_importer
from bitwright.frontend.inputs import fixed_batch, input_value, real_inputs
from bitwright.frontend.messages import Refusal, Refused, plain, report, show
from bitwright.frontend.node import Node, read_node
from bitwright.frontend.onnx_file import MAX_FILE, opset_of, read_model
from bitwright.frontend.tensors import INTEGER_TYPES, decode
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Quantize, Value
from bitwright.ir.types import is_integral

# what keeps integers that are held as reals (the int32 result of MatMulInteger) exact
_KEEPS_WHOLE = {"Add", "Sub", "Mul", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze"}
_READS_WHOLE = {*_KEEPS_WHOLE, "Cast", "Relu", "ArgMax", "Flatten", "DequantizeLinear"}


def load_model(path: Path, *, keep_batch: bool = False) -> Graph:
    """Return the real graph of the ONNX model in `path`, named after the file.

    Every value has ONNX's shape, with a batch of 1, or with `keep_batch` the one that the model
    fixes. Tensors of float16 and float64 are taken as float32, in which everything is computed.
    The graph is verified.

    Raises:
        CompileError: the file is no valid model, or its shapes, numbers or names do not fit.
        UnsupportedError: valid, but not handled; the message lists every such node.

    """
    path = Path(path)
    model = read_model(path)
    proto = model.graph
    inputs = real_inputs(proto)
    nodes = [read_node(n) for n in proto.node]
    functions = {(f.domain, f.name) for f in model.functions}
    batch = 1 if keep_batch else fixed_batch(inputs)
    ctx = Context(opset_of(model), _names(proto, nodes), batch, path.parent)
    values = [input_value(v, ctx.batch) for v in inputs]
    ctx.env.update({v.name: v for v in values})
    ctx.kinds.update({v.name: v.type.tensor_type.elem_type for v in inputs})
    _constants(ctx, proto, path)
    refused = _import_nodes(ctx, nodes, functions)
    if refused:
        raise UnsupportedError(report(path.name, refused))
    graph = finish(ctx, path.stem, values, [o.name for o in proto.output])
    graph.verify()
    return graph


def _names(proto: Any, nodes: list[Node]) -> set[str]:
    """Return all tensor names; CompileError where one is set twice."""
    set_here = [v.name for v in real_inputs(proto)] + [t.name for t in proto.initializer]
    set_here += [name for node in nodes for name in node.outputs if name]
    seen: set[str] = set()
    for name in set_here:
        if name in seen:
            raise CompileError(f"the tensor {show(name)} is set twice")
        seen.add(name)
    return seen


def _constants(ctx: Context, proto: Any, path: Path) -> None:
    read = {name for node in proto.node for name in node.input} | {o.name for o in proto.output}
    total = 0
    for tensor in proto.initializer:
        if tensor.name in read:
            found = decode(tensor, path.parent)
            total += found.array.nbytes
            if total > MAX_FILE:
                raise CompileError(f"{plain(path.name)} holds more than 2 GiB of constants")
            ctx.env[tensor.name] = found
    for sparse in proto.sparse_initializer:
        ctx.env[sparse.values.name] = Unavailable("it reads a sparse tensor", "store it dense")


def _import_nodes(
    ctx: Context, nodes: list[Node], functions: set[tuple[str, str]]
) -> list[Refused]:
    refused: list[Refused] = []
    for node in nodes:
        try:
            result = _import_node(ctx, node, functions)
        except Behind:
            result = Unavailable()
        except (VerifyError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            reason = plain(str(error), 200)
            raise CompileError(
                f"{node.loc}: {plain(node.op_type)} does not fit its operands: {reason}"
            ) from error
        except (Refusal, UnsupportedError) as refusal:
            reason, remedy = (*refusal.args, "") if isinstance(refusal, UnsupportedError) else (
                refusal.reason, refusal.remedy
            )  # fmt: skip
            refused.append(Refused(node.loc, plain(node.op_type), reason, remedy))
            result = Unavailable()
        _bind(ctx, node, result)
    return refused


def _import_node(ctx: Context, node: Node, functions: set[tuple[str, str]]) -> Operand:
    importer = find_importer(node, functions)
    whole = [name for name in node.inputs if name in ctx.whole]
    if whole and node.op_type not in _READS_WHOLE:
        raise Refusal(
            f"it computes on the integer tensor {show(whole[0])}", "insert a Cast to float"
        )
    folded = fold(ctx, node)
    result = importer(ctx, node) if folded is None else folded
    if whole and node.op_type in _KEEPS_WHOLE:
        ctx.whole.add(node.out)
    return result


def _bind(ctx: Context, node: Node, result: Operand) -> None:
    """Make the results known under their ONNX names; an importer may have set others itself."""
    _bind_names(ctx, node, result)
    first = ctx.kinds.get(node.inputs[0], 0) if node.inputs else 0
    for name in node.outputs:
        found = ctx.env.get(name)
        if name and isinstance(found, Value) and is_integral(found.elem):
            ctx.kinds.setdefault(name, _kind(ctx, found, first))


def _kind(ctx: Context, value: Value, first: int) -> int:
    """Return the ONNX type of an integer result: a quantizer's, else that of the first operand."""
    own = next((k for k, elem in INTEGER_TYPES.items() if elem == value.elem), 0)
    return own if isinstance(ctx.producer(value), Quantize) else first or own


def _bind_names(ctx: Context, node: Node, result: Operand) -> None:
    for i, name in enumerate(node.outputs):
        if i == 0:
            ctx.env.setdefault(name, result)
        elif isinstance(result, Unavailable) and not result.reason:
            ctx.env.setdefault(name, Unavailable())
        else:
            reason = (
                f"it reads output {i} of {node.op_type} {show(node.loc)}, which is not computed"
            )
            ctx.env.setdefault(name, Unavailable(reason))
