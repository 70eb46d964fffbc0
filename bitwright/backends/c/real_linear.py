"""Fully connected layers and softmax in float32."""

from dataclasses import dataclass
from math import prod

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.nest import part_of
from bitwright.backends.c.real_conv import FILTERS, interleaved, operands
from bitwright.backends.c.real_post import Finish, constants_of, finish_of
from bitwright.backends.c.storage import Storage
from bitwright.backends.layers import Layer
from bitwright.ir.ops import Linear, Softmax


@dataclass(frozen=True, slots=True)
class RealLinearView:
    """What real_linear.h.j2 shows."""

    name: str
    note: str
    parameters: str
    x: Storage
    rows: int
    inputs: int
    part: int  # inputs whose products are added up before they join the sum
    outputs: int
    block: int
    bias: bool
    finish: Finish


@dataclass(frozen=True, slots=True)
class SoftmaxView:
    """What softmax.h.j2 shows."""

    name: str
    note: str
    outer: int
    middle: int
    inner: int
    log: bool


def linear_layer(ctx: Context, layer: Layer, op: Linear) -> Call:
    """Return the call of a fully connected layer and of the activations fused with it."""
    w, *bias = constants_of(op, ctx)
    x = op.inputs[0]
    outputs, inputs = w.shape
    finish = finish_of(layer.ops[1:], ctx)
    parameters, arguments = operands(ctx, layer, interleaved(w, 1), (bias, finish))
    view = RealLinearView(
        name=f"real_linear_{inputs}x{outputs}",
        note=f"{inputs} inputs, {outputs} outputs.",
        parameters=parameters,
        x=ctx.storage(x),
        rows=prod(x.shape[:-1]),
        inputs=inputs,
        part=part_of(inputs),
        outputs=outputs,
        block=FILTERS,
        bias=bool(bias),
        finish=finish,
    )
    return Call(layer, ctx.kernels.add("c/real_linear.h.j2", view), arguments, "float32")


def softmax_layer(ctx: Context, layer: Layer, op: Softmax) -> Call:
    """Return the call of a softmax over neighbouring axes."""
    x = op.inputs[0]
    shape = x.shape
    view = SoftmaxView(
        name=f"softmax_{prod(shape[op.axis : op.end])}",
        note="Logarithm of the softmax." if op.log else "Softmax.",
        outer=prod(shape[: op.axis]),
        middle=prod(shape[op.axis : op.end]),
        inner=prod(shape[op.end :]),
        log=op.log,
    )
    function = ctx.kernels.add("c/softmax.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), "float32")
