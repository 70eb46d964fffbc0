"""Whole models: the program's outputs equal the real graph's, whatever lies between the layers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    AddInt,
    Arith,
    Arithmetic,
    Binarize,
    Clip,
    Dequantize,
    Function,
    IntLinear,
    Linear,
    Lookup,
    Permute,
    Quantize,
    Requantize,
    Reshape,
    Softmax,
    Steps,
    Transpose,
    Value,
)
from bitwright.ir.program import Program
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType
from bitwright.passes import INTEGER, run
from bitwright.passes.integerize import integerize
from tests.graphs import LayerSpec, linear, quantize, samples

INT8 = Int(-128, 127)


class Net:
    """A model under construction, with short names for what tests need."""

    def __init__(self) -> None:
        self.b = Builder([f"x{i}" for i in range(4)])
        self.inputs: list[Value] = []
        self.rng = np.random.default_rng(0)

    def constant(self, *numbers: float) -> Value:
        return self.b.constant("k", np.array(numbers, np.float64))

    def entry(self, elem: Element, *shape: int) -> Value:
        self.inputs.append(Value(f"x{len(self.inputs)}", TensorType(elem, shape)))
        return self.inputs[-1]

    def codes(self, elem: Element, *shape: int, scale: float = 0.25) -> Value:
        x = self.entry(elem, *shape)
        return self.b.op(Dequantize, (x, self.constant(scale), self.constant(0)), "in", "input")

    def layer(self, x: Value, outputs: int, **spec: Any) -> Value:
        name = f"fc{len(self.b.ops)}"
        return linear(self.b, self.rng, x, LayerSpec(outputs, **spec), name)

    def quant(self, x: Value, scale: float = 0.5, elem: Int = INT8, **attrs: Any) -> Value:
        zero = float(attrs.pop("zero", 0))
        parameters = (self.constant(scale), self.constant(zero))
        q = self.b.op(Quantize, (x, *parameters), "q", "quant", elem=elem, **attrs)
        return self.b.op(Dequantize, (q, *parameters), "dq", "quant")

    def op(self, op: Any, *inputs: Value, **attrs: Any) -> Value:
        return self.b.op(op, inputs, op.__name__.lower(), op.__name__.lower(), **attrs)

    def graph(self, *outputs: Value) -> Graph:
        graph = self.b.graph("net", self.inputs, outputs)
        graph.verify()
        return graph


def compiled(graph: Graph) -> Program:
    program = integerize(graph)
    program.verify()
    body = run(program.body, INTEGER)
    done = Program(program.name, program.head, body, program.tail)
    done.verify()
    return done


def check(graph: Graph, x: Mapping[str, Array] | None = None) -> Program:
    """Compile and compare every output on samples; return the program."""
    program = compiled(graph)
    x = samples(graph, 200) if x is None else x
    want, got = evaluate(graph, x), program.run(x)
    for (name, w), g in zip(want.items(), got.values(), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12, err_msg=name)
    return program


def kinds(program: Program) -> list[str]:
    return [type(op).__name__ for op in program.body.ops]


def test_a_residual_of_two_layers() -> None:
    net = Net()
    x = net.quant(net.codes(INT8, 1, 9), 0.5)
    left = net.layer(x, 9, weights="int8", quantizer="s8")
    total = net.op(Activation, net.op(Arithmetic, left, x, kind=Arith.ADD), kind=Function.RELU)
    y = net.layer(net.quant(total, 0.75), 3, quantizer="none")
    program = check(net.graph(y))
    assert AddInt.__name__ in kinds(program)


@pytest.mark.parametrize("zero", [0, 3])
@pytest.mark.parametrize("zero_after", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_sums_with_ties_and_zero_points(zero: int, zero_after: bool, relu: bool) -> None:
    net = Net()
    a, c = net.codes(Int(-16, 15), 1, 2, scale=0.5), net.codes(Int(-16, 15), 1, 2, scale=0.5)
    total = net.op(Arithmetic, a, c, kind=Arith.ADD)
    total = net.op(Activation, total, kind=Function.RELU) if relu else total
    graph = net.graph(net.quant(total, 1.0, Int(-20, 20), zero=zero, zero_after=zero_after))
    pairs = np.stack(np.meshgrid(np.arange(-16, 16), np.arange(-16, 16)), -1).reshape(-1, 1, 2)
    x = {"x0": pairs, "x1": pairs[:, :, ::-1]}
    assert kinds(check(graph, x)) == ["AddInt"]


def test_a_sum_of_signs() -> None:
    net = Net()
    a, c = net.codes(Bipolar(), 1, 2, scale=1.0), net.codes(Bipolar(), 1, 2, scale=0.5)
    total = net.op(Arithmetic, a, c, kind=Arith.SUB)
    check(net.graph(net.quant(total, 0.5, Int(-3, 3))))


def test_index_maps_between_layers_and_inside_chains() -> None:
    net = Net()
    x = net.codes(Int(0, 3), 1, 2, 3)
    flat = net.op(Reshape, net.op(Transpose, x, perm=(0, 2, 1)), shape=(1, 6))
    y = net.layer(flat, 6, batch_norm=True, quantizer="none")
    cube = net.op(Transpose, net.op(Reshape, y, shape=(1, 2, 3)), perm=(2, 0, 1))
    order = net.b.constant("order", np.array([5, 3, 1, 0, 2, 4]))
    mixed = net.b.op(Permute, (cube, order), "mixed", "mixed", shape=(1, 6))
    q = net.quant(net.op(Activation, mixed, kind=Function.RELU), 0.25, Int(0, 15))
    check(net.graph(net.layer(q, 3, weights="ternary", quantizer="u2"), q))


def test_positions_with_functions_of_their_own() -> None:
    """A constant per element, not per channel, between two quantizers."""
    net = Net()
    x = net.codes(INT8, 1, 2, 3)
    c = net.b.constant("c", np.linspace(-9, 9, 6).reshape(1, 2, 3))
    q = net.quant(net.op(Arithmetic, x, c, kind=Arith.MUL), 0.5, Int(-8, 7))
    program = check(net.graph(q))
    (steps,) = [op for op in program.body.ops if isinstance(op, Steps | Requantize)]
    assert steps.classes == ((0, 1),)


def test_several_outputs_one_of_them_read_again() -> None:
    net = Net()
    h = net.layer(net.codes(Bipolar(), 1, 8), 6, quantizer="u2")
    y = net.layer(h, 3, quantizer="none", weights="int8")
    p = net.op(Softmax, y, axis=1, end=2)
    program = check(net.graph(h, y, p))
    assert len(program.body.outputs) == 2
    assert len(program.tail.outputs) == 3


def test_a_constant_output_beside_a_real_one() -> None:
    net = Net()
    y = net.layer(net.codes(Bipolar(), 1, 8), 6, quantizer="u2")
    check(net.graph(y, net.constant(1.5, 2.5)))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("quantizer", ["bipolar", "sign", "u2", "s8"])
def test_few_channels(channels: int, quantizer: str) -> None:
    net = Net()
    y = net.layer(net.codes(Int(0, 3), 1, channels), channels, quantizer=quantizer)
    check(net.graph(net.layer(y, channels, quantizer=quantizer)))


def test_layers_over_rows_of_a_matrix() -> None:
    net = Net()
    y = net.layer(net.codes(INT8, 2, 3, 4), 5, weights="int8", quantizer="s4", batch_norm=False)
    check(net.graph(net.layer(y, 2, batch_norm=False, quantizer="none")))


def single_valued(elem: Int) -> Graph:
    net = Net()
    offset = net.op(Arithmetic, net.codes(Int(0, 3), 1, 3), net.constant(99), kind=Arith.ADD)
    q = net.quant(offset, 0.5, elem)
    return net.graph(net.layer(q, 4, weights="int8", quantizer="none"))


@pytest.mark.parametrize("elem", [Int(0, 7), Int(-7, -3)], ids=str)
def test_a_tensor_that_takes_one_value_keeps_it(elem: Int) -> None:
    check(single_valued(elem))


@pytest.mark.parametrize(
    "head",
    [
        lambda net, x: net.op(Arithmetic, x, net.constant(255), kind=Arith.DIV),
        lambda net, x: net.op(Arithmetic, x, net.constant(123.675), kind=Arith.SUB),
        lambda net, x: net.op(Arithmetic, x, net.constant(2.0000005), kind=Arith.ADD),
        lambda net, x: net.op(Arithmetic, net.constant(1), x, kind=Arith.SUB),
    ],
    ids=["x/255", "x-mean", "x+almost", "1-x"],
)
def test_affine_preprocessing_joins_the_first_layer(head: Callable[[Net, Value], Value]) -> None:
    net = Net()
    y = net.layer(head(net, net.codes(Int(0, 255), 1, 5, scale=1.0)), 4, weights="int8",
                  quantizer="none", bias="real")  # fmt: skip
    program = check(net.graph(y))
    assert kinds(program) == ["IntLinear"]


def test_a_bias_on_the_accumulators_grid_is_an_integer() -> None:
    net = Net()
    x = net.codes(INT8, 1, 3, scale=0.5)
    zero = net.constant(0)
    w = net.b.op(Dequantize, (net.b.constant("w", np.arange(6).reshape(2, 3)), net.constant(0.25, 0.5), zero), "wr", "w", axis=0)  # fmt: skip # noqa: E501
    bias = net.b.op(Dequantize, (net.b.constant("bias", np.array([7, -9])), net.constant(0.125, 0.25), zero), "br", "b", axis=0)  # fmt: skip # noqa: E501
    program = check(net.graph(net.op(Linear, x, w, bias)))
    (layer,) = program.body.ops
    assert program.body.constant(layer.inputs[2]).tolist() == [7, -9]


def test_scales_along_the_inputs_must_agree() -> None:
    for scale, fine in (([0.5] * 3, True), ([0.5, 0.5, 0.25], False)):
        net = Net()
        x = net.codes(INT8, 1, 3)
        codes = net.b.constant("w", np.arange(15).reshape(5, 3))
        w = net.b.op(Dequantize, (codes, net.constant(*scale), net.constant(0)), "wr", "w", axis=1)
        graph = net.graph(net.op(Linear, x, w))
        if fine:
            check(graph)
        else:
            with pytest.raises(CompileError, match="linear: its weight scale varies along the in"):
                integerize(graph)


def test_weights_with_a_zero_point_and_a_vanishing_scale() -> None:
    net = Net()
    x, axis = net.codes(INT8, 1, 3), {"axis": 0}
    codes = net.b.constant("w", np.arange(6).reshape(2, 3))
    w = net.b.op(Dequantize, (codes, net.constant(0.5, 0), net.constant(3, -1)), "wr", "w", **axis)
    bias = net.b.op(Dequantize, (net.b.constant("bias", np.array([7, -9])), net.constant(0.5),
                                 net.constant(0)), "br", "b")  # fmt: skip
    check(net.graph(net.quant(net.op(Linear, x, w, bias), 4.0)))


@pytest.mark.parametrize(
    ("kind", "elem", "form"),
    [(Function.SIGMOID, INT8, Lookup), (Function.HARD_SWISH, Int(-8, 7), Steps),
     (Function.TANH, Int(-3, 3), Steps)],
)  # fmt: skip
def test_activations_between_codes(kind: Function, elem: Int, form: type) -> None:
    net = Net()
    y = net.op(Activation, net.codes(INT8, 1, 4, scale=0.05), kind=kind)
    program = check(net.graph(net.quant(y, 1 / 256 if form is Lookup else 0.25, elem)))
    assert kinds(program) == [form.__name__]


def test_swish_as_exporters_write_it() -> None:
    net = Net()
    x = net.codes(INT8, 1, 4, scale=0.0625)
    y = net.op(Arithmetic, x, net.op(Activation, x, kind=Function.SIGMOID), kind=Arith.MUL)
    check(net.graph(net.quant(y, 0.5, Int(-8, 7))))


@pytest.mark.parametrize("zero_after", [False, True])
def test_an_odd_zero_point_still_multiplies(zero_after: bool) -> None:
    """Ties of the ratio 1/2 go to even codes, before or after the zero point is added."""
    net = Net()
    y = net.quant(net.codes(INT8, 1, 2, scale=0.5), 1.0, INT8, zero=3, zero_after=zero_after)
    program = check(net.graph(y), {"x0": np.arange(-128, 128).reshape(-1, 1, 1).repeat(2, 2)})
    assert kinds(program) == [Requantize.__name__]


def test_wide_codes_with_one_step_take_one_threshold() -> None:
    net = Net()
    steep = net.op(Arithmetic, net.codes(Int(-3, 3), 1, 2), net.constant(1e6), kind=Arith.MUL)
    program = check(net.graph(net.quant(steep, 1.0, Int(-32768, 32767))))
    (steps,) = program.body.ops
    assert program.body.constant(steps.inputs[1]).shape == (1, 2)


def test_hostile_names_do_not_meet() -> None:
    net = Net()
    x = net.codes(Int(0, 3), 1, 3)
    for name in ("q:mul", "q", "q:acc", "q:codes"):
        x = quantize(net.b, net.layer(x, 3, quantizer="none"), "s8", name)
    check(net.graph(x))


def unquantized(net: Net) -> Value:
    return net.layer(net.entry(Real(), 1, 3), 3)


def computed_weights(net: Net) -> Value:
    x = net.codes(INT8, 3, 3)
    return net.op(Linear, x, x)


def float_weights(net: Net) -> Value:
    w = net.b.constant("w", np.array([[0.1, 0.2, 0.3]]))
    return net.op(Linear, net.codes(INT8, 1, 3), w)


def unquantized_sum(net: Net) -> Value:
    total = net.op(Arithmetic, net.codes(INT8, 1, 3), net.entry(Real(), 1, 3), kind=Arith.ADD)
    return net.quant(total)


def broadcast_sum(net: Net) -> Value:
    total = net.op(Arithmetic, net.codes(INT8, 1, 3), net.codes(INT8, 1, 1), kind=Arith.ADD)
    return net.quant(total)


def sum_of_three(net: Net) -> Value:
    total = net.op(Arithmetic, net.codes(INT8, 1, 3), net.codes(INT8, 1, 3), kind=Arith.ADD)
    total = net.op(Arithmetic, total, net.codes(INT8, 1, 3), kind=Arith.ADD)
    return net.quant(total)


def wide_sum(net: Net) -> Value:
    wide = [net.codes(Int(0, 4095), 1, 3, scale=s) for s in (0.1, 0.0314159)]
    return net.quant(net.op(Arithmetic, *wide, kind=Arith.ADD))


def curved(net: Net) -> Value:
    y = net.op(Activation, net.codes(INT8, 1, 3), kind=Function.SIGMOID)
    return net.layer(y, 3)


def clipped(net: Net) -> Value:
    return net.layer(net.op(Clip, net.codes(INT8, 1, 3), lo=0.0), 3)


def grown(net: Net) -> Value:
    x = net.op(
        Arithmetic, net.codes(INT8, 1, 3), net.b.constant("c", np.ones((2, 3))), kind=Arith.ADD
    )
    return net.op(Binarize, x)


def real_output(net: Net) -> Value:
    net.layer(net.codes(INT8, 1, 3), 3)
    return net.op(Activation, net.entry(Real(), 1, 3), kind=Function.RELU)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (unquantized, r"fc0: its input 'x0' is not quantized; give .* --input .* --calibrate"),
        (computed_weights, "linear: its weights are computed at run time"),
        (float_weights, "linear: its weights are floats; choose .* --weights int:8"),
        (
            unquantized_sum,
            "quant: adds 'x1', which is not quantized; give its codes with --input x1",
        ),
        (
            broadcast_sum,
            r"quant: joins 'x0' \(1, 3\) and 'x1' \(1, 1\); only a sum of equal shapes",
        ),
        (sum_of_three, "quant: joins 'x0', 'x1', 'x2', one integer input was expected"),
        (wide_sum, "quant: a sum of 4096 by 4096 values has more than 1048576 pairs"),
        (
            curved,
            r"fc\d+: between the codes 'x0' and this layer lies a function that is not one str",
        ),
        (
            clipped,
            r"fc\d+: between the codes 'x0' and this layer lies a function that is not one st",
        ),
        (grown, "arithmetic: Arithmetic changes the number of elements"),
        (real_output, "depends on the unquantized 'x1'|nothing of this model is quantized"),
    ],
)
def test_what_cannot_be_integers_is_named(build: Callable[[Net], Value], message: str) -> None:
    net = Net()
    graph = net.graph(build(net))
    with pytest.raises(CompileError, match=message):
        integerize(graph)


def test_a_quantized_input_belongs_to_the_host() -> None:
    net = Net()
    x = net.quant(net.entry(Real(), 1, 5), 0.25, zero=3, zero_after=True)
    program = check(net.graph(net.layer(x, 4, quantizer="u2")))
    assert [type(op) for op in program.head.ops] == [Quantize]
    assert isinstance(program.body.ops[0], IntLinear)
