from collections.abc import Callable

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    Dequantize,
    Exactness,
    Function,
    Linear,
    Permute,
    Quantize,
    Requantize,
    Reshape,
    Softmax,
    Value,
)
from bitwright.ir.types import Int, TensorType
from bitwright.passes.device_output import all_on_device, argmax_on_device, whole_model
from bitwright.passes.integerize import integerize

K, N = 5, 4
Tail = Callable[[Builder, Value], Value]


def classifier(
    tail: Tail, scale: Array | None = None, w: Array | None = None, **more: bool
) -> Graph:
    """Return a layer of K classes over N codes, then `tail`."""
    rng, b = np.random.default_rng(0), Builder(["x"])
    x = Value("x", TensorType(Int(-4, 3), (1, N)))
    s, z = b.constant("s", np.array([0.5])), b.constant("z", np.zeros(1))
    real = b.op(Dequantize, (x, s, z), "real", "in")
    codes = b.constant("codes", rng.integers(-3, 4, (K, N)) if w is None else w)
    ws = b.constant("ws", np.array([0.25]) if scale is None else scale)
    weights = b.op(Dequantize, (codes, ws, z), "w", "w", axis=0)
    y = b.op(Linear, (real, weights), "scores.real", "fc")
    outputs = [tail(b, y)]
    return b.graph("classes", [x], [*outputs, y] if more.get("both") else outputs)


def every_input() -> dict[str, Array]:
    axes = np.meshgrid(*[np.arange(-4, 4)] * N, indexing="ij")
    return {"x": np.stack([a.reshape(-1) for a in axes], axis=1)[:, None, :]}


def labels(graph: Graph) -> Array:
    """Return the first greatest class of what the model calls scores."""
    seen: dict[str, Array] = {}
    evaluate(graph, every_input(), tap=lambda op, a: seen.__setitem__(op.name, a))
    name = "scores" if "scores" in seen else "scores.real"
    return np.asarray(np.argmax(seen[name].reshape(-1, K), axis=1))


def plain(_b: Builder, y: Value) -> Value:
    return y


def softmax(b: Builder, y: Value) -> Value:
    return b.op(Softmax, (y,), "p", "softmax", axis=1, end=2)


def int8_softmax(b: Builder, y: Value) -> Value:
    s, z = b.constant("ps", np.array([1 / 8])), b.constant("pz", np.array([0.0]))
    q = b.op(Quantize, (softmax(b, y), s, z), "pq", "softmax", elem=Int(0, 8))
    return b.op(Dequantize, (q, s, z), "pr", "softmax")


def sigmoid(b: Builder, y: Value) -> Value:
    return b.op(Activation, (y,), "p", "sigmoid", kind=Function.SIGMOID)


def arg(b: Builder, y: Value) -> Value:
    return b.op(ArgMax, (y,), "label", "argmax", axis=1)


def bias(b: Builder, y: Value) -> Value:
    c = b.constant("bias", np.array([0.5, -0.25, 0.0, 1.0, -2.0]))
    return b.op(Arithmetic, (y, c), "scores", "bias", kind=Arith.ADD)


def norm(b: Builder, y: Value) -> Value:
    gamma, beta, mean = (np.array(v) for v in ([1, -2, 0.5, 1, -1], [0.5] * 5, [1, 0, 0, 2, 0]))
    parameters = [b.constant("bn", p.astype(float)) for p in (gamma, beta, mean)]
    var = b.constant("bn", np.full(K, 4.0))
    return b.op(BatchNorm, (y, *parameters, var), "scores", "bn", epsilon=0.0)


@pytest.mark.parametrize("tail", [plain, softmax, int8_softmax, sigmoid, arg])
def test_one_scale_needs_no_arithmetic(tail: Tail) -> None:
    graph = classifier(tail)
    program = argmax_on_device(integerize(graph))
    program.verify()
    assert not any(isinstance(op, Requantize) for op in program.body.ops)
    got = program.run(every_input())["argmax"].reshape(-1)
    np.testing.assert_array_equal(got, labels(graph))
    assert np.unique(got).size == K


SCALES = {
    "per channel": np.array([0.25, 0.5, 0.125, 1.0, 0.75]),
    "one negative": np.array([0.25, -0.5, 0.125, -1.0, 0.75]),
    "all negative": np.array([-0.25]),
}


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("tail", [plain, softmax, bias, norm])
def test_scores_are_compared_in_the_real_order(name: str, tail: Tail) -> None:
    """These scales are sums of few powers of two, so that ties stay ties."""
    graph = classifier(tail, SCALES[name])
    program = argmax_on_device(integerize(graph))
    program.verify()
    (aligned,) = (op for op in program.body.ops if isinstance(op, Requantize))
    assert str(aligned.exactness) == "exact"
    assert aligned.output.type.integer.bits <= 32
    np.testing.assert_array_equal(program.run(every_input())["argmax"].reshape(-1), labels(graph))


def test_scales_are_aligned_where_all_scores_start_at_zero() -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Int(0, 3), (1, 2)))
    one, zero = b.constant("one", np.ones(1)), b.constant("zero", np.zeros(1))
    ws, codes = b.constant("ws", np.array([0.25, 1.0])), b.constant("codes", np.eye(2, dtype=int))
    w = b.op(Dequantize, (codes, ws, zero), "w", "w", axis=0)
    y = b.op(Linear, (b.op(Dequantize, (x, one, zero), "real", "in"), w), "y", "fc")
    program = argmax_on_device(integerize(b.graph("g", [x], [y])))
    assert program.run({"x": np.array([[[3, 2]], [[3, 0]]])})["argmax"].reshape(-1).tolist() == [
        1,
        0,
    ]


def test_scores_that_do_not_fit_say_so() -> None:
    rng = np.random.default_rng(3)
    graph = classifier(plain, rng.uniform(0.001, 1, K))
    program = argmax_on_device(integerize(graph))
    (aligned,) = (op for op in program.body.ops if isinstance(op, Requantize))
    assert aligned.exactness.codes >= 1
    assert isinstance(aligned.exactness, Exactness)
    assert aligned.exactness.checked > 0
    assert "within" in str(aligned.exactness)
    np.testing.assert_array_equal(program.run(every_input())["argmax"].reshape(-1), labels(graph))


def test_ties_go_to_the_lowest_class() -> None:
    graph = classifier(plain, w=np.zeros((K, N), np.int64))
    program = argmax_on_device(integerize(graph))
    assert not program.run(every_input())["argmax"].any()
    several = classifier(plain, np.linspace(0.1, 1, K), w=np.zeros((K, N), np.int64))
    assert not argmax_on_device(integerize(several)).run(every_input())["argmax"].any()


def test_labels_beside_probabilities_are_fine() -> None:
    def both(b: Builder, y: Value) -> Value:
        arg(b, y)
        return softmax(b, y)

    graph = classifier(both)
    assert argmax_on_device(integerize(graph)).run(every_input()).keys() == {"argmax"}


def relu(b: Builder, y: Value) -> Value:
    return b.op(Activation, (y,), "r", "relu", kind=Function.RELU)


def swish(b: Builder, y: Value) -> Value:
    return b.op(Arithmetic, (y, sigmoid(b, y)), "sw", "swish", kind=Arith.MUL)


def one_minus(b: Builder, y: Value) -> Value:
    one = b.constant("one", np.ones(1))
    return b.op(Arithmetic, (one, sigmoid(b, y)), "om", "one minus", kind=Arith.SUB)


def largest(b: Builder, y: Value) -> Value:
    floor = b.constant("floor", np.zeros(1))
    return b.op(Arithmetic, (y, floor), "mx", "max", kind=Arith.MAX)


def inverse(b: Builder, y: Value) -> Value:
    return b.op(Arithmetic, (b.constant("one", np.ones(1)), y), "iv", "inverse", kind=Arith.DIV)


def square(b: Builder, y: Value) -> Value:
    return b.op(Arithmetic, (y, y), "sq", "square", kind=Arith.MUL)


def shuffled(b: Builder, y: Value) -> Value:
    order = b.constant("order", np.arange(K)[::-1].copy())
    return b.op(Permute, (y, order), "pm", "shuffle", shape=(1, K))


def softmax_shuffled(b: Builder, y: Value) -> Value:
    return shuffled(b, softmax(b, y))


def rows(b: Builder, y: Value) -> Value:
    return b.op(Quantize, (y, b.constant("a", np.ones(1)), b.constant("c", np.zeros(1))), "q", "q",
                elem=Int(0, 100))  # fmt: skip


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (relu, "relu: Activation after the last layer can merge classes"),
        (swish, "swish: Arithmetic after the last layer can change the order"),
        (one_minus, "one minus: Arithmetic after the last layer can change the order"),
        (largest, "max: Arithmetic after the last layer can merge classes"),
        (inverse, "inverse: Arithmetic after the last layer can merge classes"),
        (square, "square: Arithmetic after the last layer can merge classes"),
        (shuffled, "shuffle: the order of the classes changes"),
        (softmax_shuffled, "shuffle: Permute after the last layer can change the order"),
    ],
)
def test_tails_that_may_change_the_order_are_refused(tail: Tail, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        argmax_on_device(integerize(classifier(tail)))


def test_argmax_needs_one_row_and_one_output() -> None:
    two_rows = classifier(rows)
    program = integerize(two_rows)
    x = program.body.outputs[0]
    b = Builder([*program.body.values(), *program.body.constants])
    b.ops, b.constants = list(program.body.ops), dict(program.body.constants)
    tall = b.op(Reshape, (x,), "tall", "tall", shape=(K, 1))
    body = b.graph("g", program.body.inputs, [tall])
    with pytest.raises(CompileError, match=r"needs one row of scores, 'tall' is \(5, 1\)"):
        argmax_on_device(type(program)("p", program.head, body, program.tail))
    body = b.graph("g", program.body.inputs, [x, tall])
    with pytest.raises(CompileError, match="needs one output, the device has 2"):
        argmax_on_device(type(program)("p", program.head, body, program.tail))


@pytest.mark.parametrize("tail", [softmax, int8_softmax, norm])
def test_the_whole_model_on_the_device(tail: Tail) -> None:
    graph = classifier(tail, SCALES["one negative"])
    program = integerize(graph)
    everything = all_on_device(program)
    everything.verify()
    assert everything.body.inputs == graph.inputs
    x = every_input()
    for name, want in program.run(x).items():
        np.testing.assert_array_equal(everything.run(x)[name], want)
    real = whole_model(graph)
    real.verify()
    np.testing.assert_array_equal(real.run(x)[name], evaluate(graph, x)[name])
