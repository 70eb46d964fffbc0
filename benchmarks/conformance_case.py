"""One node test of the onnx wheel: read it, make parameters constant, compile, run, compare."""

import hashlib
import json
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from bitwright.compiler import compile_model
from bitwright.errors import CompileError, MissingToolError, UnsupportedError, VerifyError
from bitwright.ir.types import Real
from bitwright.options import CompileOptions, OutputKind, Target
from bitwright.sim.host_c import build_c, run_program

RTOL, ATOL = 1e-3, 1e-7  # the defaults of onnx.backend.test
SECONDS = 120
PASSED, REFUSED, FAILED = "passed", "refused", "failed"
FAST = ("-O0",)  # comes after the flags of the ladder, and so replaces its -O2

ALL_DATA = frozenset({"Concat", "Sum", "Mean", "Max", "Min", "Where"})
TWO_DATA = frozenset({
    "Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual",
    "Greater", "GreaterOrEqual", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Mod",
})  # fmt: skip
NO_DATA = frozenset({"ConstantOfShape"})

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A model of one node with the inputs and outputs of its only data set."""

    operator: str
    test: str
    model: Any
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]

    @property
    def types(self) -> str:
        """The element types of inputs and outputs, `float, int64 -> float`."""
        read, set_here = (
            ", ".join(dict.fromkeys(_type(v) for v in values))
            for values in (self.model.graph.input, self.model.graph.output)
        )
        return f"{read} -> {set_here}" if read else set_here


@dataclass(frozen=True)
class Result:
    """What became of one test; `frozen` are the inputs that had to be made constant."""

    operator: str
    test: str
    types: str
    result: str
    detail: str = ""
    error: str = ""
    frozen: tuple[str, ...] = ()


class Outdated(Exception):  # noqa: N818 - a signal inside this file
    """A test took longer than it may."""


def read_case(folder: Path, operator: str) -> Case:
    """Read `model.onnx` and `test_data_set_0` of one test."""
    model = onnx.ModelProto()
    model.ParseFromString((folder / "model.onnx").read_bytes())
    data = folder / "test_data_set_0"
    inputs = _tensors(data, "input", model.graph.input)
    outputs = _tensors(data, "output", model.graph.output)
    return Case(operator, folder.name, model, inputs, outputs)


def _tensors(data: Path, kind: str, values: Sequence[Any]) -> Arrays:
    """Return the numbers of inputs or outputs by name; sequences and optionals are left out."""
    found: Arrays = {}
    for i, value in enumerate(values):
        if value.type.WhichOneof("value") == "tensor_type":
            tensor = onnx.TensorProto()
            tensor.ParseFromString((data / f"{kind}_{i}.pb").read_bytes())
            found[value.name] = numpy_helper.to_array(tensor)
    return found


def _type(value: Any) -> str:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return str(kind).removesuffix("_type")
    return str(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)).lower()


def frozen_names(case: Case) -> list[str]:
    """Return the inputs that are parameters of the operator rather than data."""
    node = case.model.graph.node[0]
    if node.op_type in ALL_DATA:
        return []
    data = 2 if node.op_type in TWO_DATA else int(node.op_type not in NO_DATA)
    kept = set(node.input[:data])
    return [n for n in case.inputs if n not in kept]


def frozen(case: Case, names: Sequence[str]) -> Any:
    """Return the model with these inputs made initializers that hold the test's values.

    Inputs that the node does not read are left out.
    """
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    read = {name for node in model.graph.node for name in node.input} - set(names)
    kept = [v for v in model.graph.input if v.name in read]
    for value in case.model.graph.input:
        if value.name in names:
            kind = value.type.tensor_type.elem_type
            array = case.inputs[value.name]
            tensor = numpy_helper.from_array(array, value.name)
            tensor.data_type = kind
            model.graph.initializer.append(tensor)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


def measure(case: Case, cache: Path | None) -> Result:
    """Compile and run a test: as it is, else with its parameters made constant.

    An input without elements (CastLike's type) is a constant from the start.

    What cannot be compiled with a sentence is refused; all else that goes wrong has failed.
    """
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        names = frozen_names(case)
        first = _attempt(case, [n for n, a in case.inputs.items() if not a.size], cache)
        if first.result == REFUSED and names:
            return _attempt(case, names, cache)
        return first
    except Outdated:
        return _result(case, (), FAILED, f"takes longer than {SECONDS} s", "timeout")
    finally:
        signal.alarm(0)


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise Outdated


def _result(
    case: Case, names: Sequence[str], what: str, detail: str = "", error: str = ""
) -> Result:
    return Result(case.operator, case.test, case.types, what, detail, error, tuple(names))


def _attempt(case: Case, names: Sequence[str], cache: Path | None) -> Result:
    try:
        difference = _run(case, names, cache)
    except Outdated:
        raise
    except (VerifyError, MissingToolError) as error:
        return _result(case, names, FAILED, _sentence(error), type(error).__name__)
    except CompileError as error:
        return _result(case, names, REFUSED, _sentence(error), type(error).__name__)
    except Exception as error:  # noqa: BLE001 - a traceback is what this looks for
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return _result(case, names, FAILED, text[:300], "traceback")
    if difference:
        return _result(case, names, FAILED, difference, "wrong")
    return _result(case, names, PASSED)


def _sentence(error: Exception) -> str:
    """Return the reason alone: without the file's name, and the node's where it is all there is."""
    lines = [line.strip() for line in str(error).splitlines()] or [""]
    text = "; ".join(lines[1:]) if isinstance(error, UnsupportedError) and lines[1:] else lines[0]
    return text[:300]


def _run(case: Case, names: Sequence[str], cache: Path | None) -> str:
    """Return the first difference of the compiled model's outputs, empty when there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        path.write_bytes(frozen(case, names).SerializeToString())
        options = CompileOptions(targets=(Target.C,), output=OutputKind.MODEL, keep_batch=True)
        compiled = compile_model(path, options)
        files = compiled.artifacts[Target.C].files
        inputs = {
            v.name: _device(case.inputs[v.name], v.elem) for v in compiled.program.body.inputs
        }
        key = _key(files, inputs, case.outputs)
        known = cache / key if cache else None
        if known and known.is_file():
            return str(json.loads(known.read_text()))
        difference = _on_machine(files, inputs, case.outputs, Path(scratch))
        if known:
            known.write_text(json.dumps(difference))
        return difference


def _device(values: np.ndarray, elem: Any) -> np.ndarray:
    """Return one sample as the device takes it: float32, or integers."""
    return values.astype(np.float32 if isinstance(elem, Real) else np.int64)[None]


def _on_machine(
    files: Mapping[str, bytes], inputs: Arrays, outputs: Mapping[str, np.ndarray], scratch: Path
) -> str:
    folder = scratch / "c"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    program = build_c(folder, work=scratch / "work", defines=FAST)
    found = run_program(program, inputs, scratch / "work")
    if sorted(found) != sorted(outputs):
        return f"outputs are {sorted(found)}, expected {sorted(outputs)}"
    differences = (difference(n, found[n][0], want) for n, want in outputs.items())
    return next((d for d in differences if d), "")


def difference(name: str, got: np.ndarray, want: np.ndarray) -> str:
    """Return in words the first element that differs, empty when all agree.

    Integers and bools have to be equal, reals within `ATOL + RTOL * |want|`, NaN being NaN.
    """
    if got.shape != want.shape:
        return f"{name} has the shape {got.shape}, expected {want.shape}"
    exact = want.dtype.kind in "iub"
    reference = want.astype(np.int64 if exact and want.dtype != np.uint64 else want.dtype)
    if exact:
        bad = got != reference
    else:
        reference = want.astype(np.float64)
        bad = ~np.isclose(got.astype(np.float64), reference, RTOL, ATOL, equal_nan=True)
    if not bad.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return (
        f"{name}{list(at)} is {got[at]}, expected {reference[at]}; {int(bad.sum())} of {bad.size}"
    )


def _key(*parts: Mapping[str, Any]) -> str:
    """Return a digest of generated files, inputs and outputs: with it goes the verdict."""
    digest = hashlib.sha256(repr((RTOL, ATOL, FAST)).encode())
    for part in parts:
        for name, content in sorted(part.items()):
            array = isinstance(content, np.ndarray)
            data = content.tobytes() if array else content
            head = f"{name} {content.dtype} {content.shape}" if array else name
            digest.update(f"{head} {len(data)}\n".encode() + data)
    return digest.hexdigest()
