import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Activation, Arith, Arithmetic, Function, Value
from bitwright.ir.types import Bipolar, Element, Int, Integral, Real, TensorType, Ternary
from bitwright.passes.declare_inputs import InputSpec, declare_inputs, parse_input


def graph_of(*elems: Element) -> Graph:
    b = Builder()
    inputs = [Value(b.unique("x"), TensorType(e, (1, 2))) for e in elems]
    y = inputs[0]
    for other in inputs[1:]:
        y = b.op(Arithmetic, (y, other), "sum", "add", kind=Arith.ADD)
    return b.graph("g", inputs, [b.op(Activation, (y,), "y", "neg", kind=Function.NEG)])


SPECS: dict[str, InputSpec] = {
    "bipolar": InputSpec(None, Bipolar()),
    "ternary": InputSpec(None, Ternary()),
    "uint8": InputSpec(None, Int(0, 255)),
    "int1": InputSpec(None, Int(-1, 0)),
    "uint16": InputSpec(None, Int(0, 65535)),
    "int8:0.5": InputSpec(None, Int(-128, 127), 0.5),
    "uint8:1/255": InputSpec(None, Int(0, 255), 1 / 255),
    "uint4:2e-2:-3": InputSpec(None, Int(0, 15), 0.02, -3.0),
    "image=int8:0.5:1/2": InputSpec("image", Int(-128, 127), 0.5, 0.5),
    "a:b c=bipolar:2": InputSpec("a:b c", Bipolar(), 2.0),
}


@pytest.mark.parametrize("text", SPECS)
def test_every_form_of_a_spec(text: str) -> None:
    assert parse_input(text) == SPECS[text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not of the form"),
        ("float", "is not of the form"),
        ("int", "is not of the form"),
        ("=uint8", "is not of the form"),
        ("uint8:", "is not of the form"),
        ("uint8:1:2:3", "is not of the form"),
        ("a=b=uint8", "is not of the form"),
        ("int0", "the width must be 1 to 16 bits"),
        ("uint17", "--input uint17: the width must be 1 to 16 bits"),
        ("uint8:big", "'big' in --input is no number"),
        ("uint8:1/0", "'1/0' in --input is no number"),
        ("uint8:1e999", "'1e999' in --input is no number"),
        ("uint8:1:nan", "'nan' in --input is no number"),
        ("uint8:0", "the scale must be greater than 0"),
        ("uint8:-1", "the scale must be greater than 0"),
    ],
)
def test_every_wrong_spec(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        parse_input(text)


@pytest.mark.parametrize(
    ("elems", "specs", "message"),
    [
        ([Real(), Real()], ["uint8"], r"--input needs a name, this model has inputs x, x\.1"),
        ([Real()], ["z=uint8"], "--input: no input 'z'; this model has x"),
        ([Int(0, 3)], ["uint8"], r"--input 'x': the model already takes int\[0,3\]"),
        ([Real()], ["uint8", "x=int8"], "--input 'x' is given twice"),
    ],
)
def test_a_spec_that_does_not_fit_the_model(
    elems: list[Element], specs: list[str], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        declare_inputs(graph_of(*elems), [parse_input(s) for s in specs])


@pytest.mark.parametrize("elem", [Bipolar(), Ternary(), Int(0, 3)], ids=str)
def test_codes_mean_what_the_spec_says(elem: Integral) -> None:
    graph = graph_of(Real())
    declared = declare_inputs(graph, [InputSpec(None, elem, 0.5, 3.0)])
    declared.verify()
    assert declared.inputs[0].elem == elem
    codes = np.array([[[elem.lo, elem.hi]]])
    want = evaluate(graph, {"x": 0.5 * (codes - 3.0)})["y"]
    np.testing.assert_array_equal(evaluate(declared, {"x": codes})["y"], want)


def test_one_of_two_inputs_may_stay_real() -> None:
    declared = declare_inputs(graph_of(Real(), Real()), [parse_input("x.1=uint8")])
    declared.verify()
    assert [v.elem for v in declared.inputs] == [Real(), Int(0, 255)]


def test_an_input_may_be_an_output() -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 2)))
    declared = declare_inputs(b.graph("g", [x], [x]), [parse_input("uint8:0.5")])
    declared.verify()
    got = evaluate(declared, {"x": np.array([[[2, 4]]])})
    assert next(iter(got.values())).tolist() == [[[1, 2]]]
