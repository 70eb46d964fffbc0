"""The files themselves: text, names, determinism, what the compiled objects contain."""

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bitwright.backends.c import COptions, Cpu, Edge, Vectors, emit
from bitwright.backends.trace import layer_crc
from bitwright.errors import UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import ArgMax, IntLinear, Linear, MaxPool, Op, Round, Value
from bitwright.ir.types import Bipolar, Int, Real, TensorType
from bitwright.sim.host_c import FLAGS, run_c, trace_c
from tests.backends.c.conftest import Writer, differences
from tests.backends.c.networks import S8, U2, B, Many, N, P, T
from tests.backends.c.spatial import Shape, conv, pool, sum_pool
from tests.conftest import Golden

HOSTILE = [
    "*/ int x; /*",
    "stdint",
    "int",
    "main",
    '"quoted"\n',
    "../../etc/passwd",
    "class",
    "{{x}}",
]


def small() -> Many:
    """Return a network of three layers: int8 in, hidden bits, the greatest class out."""
    m = Many(7, samples=4)
    hidden = m.sign(m.linear(m.input(S8, 1, 6), N, 37))
    logits = m.linear(hidden, B, 3)
    m.out(m.builder.op(ArgMax, (logits,), "class", "classify", axis=1))
    return m


def vectors(m: Many, graph: Graph) -> Vectors:
    return Vectors(m.data, evaluate(graph, m.data))


def compiled(folder: Path, main: Path, target: Path) -> Path:
    """Compile the model in `folder` with a main of one's own."""
    sources = [main, *sorted((folder / "src").glob("*.c"))]
    places = [f"-I{folder / 'include'}", f"-I{folder / 'src'}"]
    done = subprocess.run(
        ["gcc", *FLAGS, *places, *map(str, sources), "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def all_text(graph: Graph, name: str, options: COptions | None = None) -> dict[str, str]:
    return {p: d.decode() for p, d in emit(graph, name, options).files.items()}


def test_golden_text(golden: Golden) -> None:
    m = small()
    g = m.graph("tiny")
    edge = {g.inputs[0].name: Edge(np.array([0.5]), np.array([3.0]), "pixels / 2")}
    options = COptions(vectors=vectors(m, g), edge=edge)
    for path, text in all_text(g, "tiny", options).items():
        golden.check(f"c/tiny/{path}", text)


def test_the_shipped_test_passes_and_can_fail(tree: Writer, tmp_path: Path) -> None:
    m = small()
    g = m.graph()
    good = vectors(m, g)
    bad = Vectors(good.inputs, {k: 2 - v for k, v in good.outputs.items()})
    for golden_samples, code in ((good, 0), (bad, 1)):
        folder = tree(g, "net", COptions(vectors=golden_samples))
        program = compiled(folder, folder / "test" / "net_test.c", tmp_path / "t")
        done = subprocess.run([program], capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert done.stdout.startswith("FAIL" if code else "PASS")


def test_cmake_builds_library_test_and_example(tree: Writer) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is missing: apt-get install cmake")
    m = small()
    g = m.graph()
    folder = tree(g, "net", COptions(vectors=vectors(m, g)))
    for command in (
        ["cmake", "-B", "build", "-S", "."],
        ["cmake", "--build", "build"],
        ["ctest", "--test-dir", "build"],
        ["build/net_example"],
    ):
        subprocess.run(command, check=True, capture_output=True, cwd=folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names(tree: Writer, name: str) -> None:
    b = Builder([name, f"{name}2"])
    x, z = (Value(f"{name}{i}", TensorType(Bipolar(), (1, 40))) for i in ("", "2"))
    w = b.constant(f"{name}w", np.where(np.arange(200).reshape(5, 40) % 3, 1, -1))
    outputs = [
        b.op(IntLinear, (v, w), name, name, encoding=B, elem=Int(-40, 40)) for v in (x, z, x)
    ]
    g = b.graph(name, [x, z], outputs)
    g.verify()
    data: dict[str, Array] = {v.name: np.ones((2, 1, 40), np.int64) for v in (x, z)}
    folder = tree(g, name)
    assert differences(folder, g, data) == []
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert all(re.fullmatch(r"[A-Za-z0-9_./]+", p) for p in written)
    assert "include/stdint.h" not in written


def test_same_graph_same_bytes() -> None:
    first, second = (emit(small().graph(), "net").files for _ in range(2))
    assert first == second


def test_text_is_plain(tree: Writer) -> None:
    folder = tree(small().graph())
    for path in folder.rglob("*"):
        if path.suffix in {".c", ".h"}:
            lines = path.read_text(encoding="ascii").splitlines()
            assert all(line == line.rstrip() for line in lines), path
            assert not any(a == b == "" for a, b in itertools.pairwise(lines)), path


@pytest.mark.parametrize("cpu", list(Cpu))
def test_every_cpu_computes_the_same(tree: Writer, cpu: Cpu) -> None:
    m = small()
    g = m.graph()
    assert differences(tree(g, "net", COptions(cpu=cpu)), g, m.data) == []


def test_no_float_in_an_integer_network(tree: Writer) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi")
    m = Many(8)
    for encoding in (B, T, P, N):
        m.out(m.requantize(m.linear(m.input(S8, 1, 40), encoding, 5), Round.HALF_EVEN, 20))
        m.out(m.linear(m.sign(m.linear(m.input(U2, 1, 40), encoding, 33)), encoding, 5))
        for elem, groups in ((S8, 1), (U2, 1), (Bipolar(), 1), (S8, 8)):
            a = conv(m, m.input(elem, 1, 5, 4, 8), encoding, 8, Shape(3, 1, (1, 1), groups=groups))
            h = m.sign(pool(m, m.requantize(a, Round.FLOOR, 32), MaxPool, Shape(2)))
            m.out(m.requantize(sum_pool(m, h, Shape(3)), Round.HALF_EVEN, 32))
    g = m.graph()
    edge = {v.name: Edge(np.array([0.1]), np.array([0.0])) for v in (*g.inputs, *g.outputs)}
    folder = tree(g, "net", COptions(edge=edge))
    for core in ("cortex-m0", "cortex-m4"):
        command = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-O2", "-std=c99", "-Wall",
                   "-Wconversion", "-Werror", "-c", f"-I{folder}/include"]  # fmt: skip
        for source in (folder / "src").glob("*.c"):
            target = folder / f"{source.stem}.o"
            subprocess.run([*command, source, "-o", target], check=True)
            names = subprocess.run(
                ["arm-none-eabi-nm", target], capture_output=True, text=True, check=True
            )
            assert not re.search(r"__aeabi_[fd]|__\w+[sd]f\d|malloc|printf", names.stdout)
            assert not re.search(r" [bBdD] ", names.stdout), "writable data"


def test_errors_of_run(tree: Writer, tmp_path: Path) -> None:
    folder = tree(small().graph())
    main = tmp_path / "main.c"
    main.write_text(
        '#include "net.h"\n'
        "static union { uint64_t a; uint8_t b[NET_ARENA_BYTES + 8]; } u;\n"
        "static net_input_t in[NET_INPUT_COUNT]; static net_output_t out[NET_OUTPUT_COUNT];\n"
        "int main(void) { return net_run(u.b, in, out) != NET_OK"
        " || net_run(NULL, in, out) != NET_ERROR_NULL || net_run(u.b, NULL, out) != NET_ERROR_NULL"
        " || net_run(u.b, in, NULL) != NET_ERROR_NULL || net_run(u.b + 1, in, out) != 2; }\n"
    )
    assert subprocess.run([compiled(folder, main, tmp_path / "t")], check=False).returncode == 0


@pytest.mark.parametrize("shape", [(1, 70), (1, 2, 3, 35)])
def test_pack_and_unpack_helpers(tree: Writer, tmp_path: Path, shape: tuple[int, ...]) -> None:
    m = Many(9, samples=3)
    x, y = m.input(Int(-4, 3), *shape), m.input(Bipolar(), 1, 33)
    dots = m.linear(x, T, 45) if len(shape) == 2 else conv(m, x, T, 45, Shape(2, 1, (1, 0)))
    m.out(m.sign(dots))
    m.out(m.linear(y, B, 2))
    g = m.graph()
    folder = tree(g)
    codes = ", ".join(map(str, m.data["x0"][2].ravel()))
    want = ", ".join(map(str, evaluate(g, m.data)[g.outputs[0].name][2].ravel()))
    size, result = x.type.size, dots.type.size
    out = json.loads((folder / "report.json").read_text())["outputs"]
    s, acc = out[0]["parameter"], out[1]["parameter"]
    main = tmp_path / "main.c"
    main.write_text(
        '#include "net.h"\n#include <string.h>\n'
        "static union { uint64_t a; uint8_t b[NET_ARENA_BYTES]; } u;\n"
        f"static const int8_t codes[{size}] = {{{codes}}}, want[{result}] = {{{want}}};\n"
        "static net_x0_t x0[NET_X0_COUNT]; static net_x1_t x1[NET_X1_COUNT];\n"
        f"static net_{s}_t s[NET_{s.upper()}_COUNT]; static net_{acc}_t a[NET_{acc.upper()}_COUNT];\n"
        f"int main(void) {{ int8_t got[{result}]; net_pack_x0(codes, x0);\n"
        f" const int error = net_run(u.b, x0, x1, s, a); net_unpack_{s}(s, got);\n"
        " return error != 0 || memcmp(got, want, sizeof want) != 0; }\n"
    )
    assert subprocess.run([compiled(folder, main, tmp_path / "t")], check=False).returncode == 0


def test_trace_gives_every_layer(tree: Writer) -> None:
    m = small()
    g = m.graph()
    taps: dict[str, Array] = {}
    folder = tree(g)

    def tap(op: Op, y: Array) -> None:
        taps[op.name] = y

    evaluate(g, m.data, tap=tap)

    _, trace = trace_c(folder, m.data, work=folder / "work")

    layers = json.loads((folder / "report.json").read_text())["layers"]
    stored = [op.name for op in g.ops if op.name != "acc"]
    assert len(trace.crc) == m.samples
    for sample, (crc, values) in enumerate(zip(trace.crc, trace.values, strict=True)):
        for layer, name in zip(layers, stored, strict=True):
            want = taps[name][sample]
            assert crc[layer["name"]] == layer_crc(want)
            np.testing.assert_array_equal(values[layer["name"]], want.ravel())


def test_report_counts_bytes_exactly(tree: Writer) -> None:
    m = Many(11)
    m.out(m.sign(m.linear(m.input(Bipolar(), 1, 100), B, 70)))
    folder = tree(m.graph())
    report = json.loads((folder / "report.json").read_text())
    assert report["flash_table_bytes"] == 70 * 16 + 70
    assert report["macs"] == {"bipolar x bipolar": 7000}
    assert report["arena"]["used_bytes"] == 0
    done = subprocess.run(
        ["gcc", "-c", folder / "src" / "net_weights.c", "-o", folder / "w.o"], check=False
    )
    assert done.returncode == 0
    size = subprocess.run(
        ["size", "-A", folder / "w.o"], capture_output=True, text=True, check=True
    )
    rodata = re.search(r"\.rodata\s+(\d+)", size.stdout)
    assert rodata is not None
    assert report["flash_table_bytes"] <= int(rodata[1]) < report["flash_table_bytes"] + 64


def test_outputs_that_are_inputs_constants_or_twice_the_same(tree: Writer) -> None:
    b = Builder()
    x = Value("x", TensorType(Int(-5, 5), (1, 9)))
    w = b.constant("w", np.arange(18).reshape(2, 9))
    y = b.op(IntLinear, (x, w), "y", "y", encoding=N, elem=Int(-900, 900))
    g = b.graph("net", [x], [x, y, w, y])
    data: dict[str, Array] = {"x": np.arange(18).reshape(2, 1, 9) % 11 - 5}
    folder = tree(g)
    got = run_c(folder, data, work=folder / "work")
    np.testing.assert_array_equal(got["x"], data["x"])
    np.testing.assert_array_equal(got["w"][1], g.constants["w"])
    np.testing.assert_array_equal(got["y"], evaluate(g, data)["y"])


def test_a_product_of_variables_is_refused() -> None:
    b = Builder()
    x, w = (Value(n, TensorType(Real(), (3, 3))) for n in "xw")
    y = b.op(Linear, (x, w), "y", "matmul7")
    with pytest.raises(UnsupportedError, match="matmul7"):
        emit(b.graph("net", [x, w], [y]), "net")


def test_tensors_named_like_locals_do_not_break_test_and_example(
    tree: Writer, tmp_path: Path
) -> None:
    names = ["s", "wrong", "near", "error", "arena", "base", "printf", "main", "golden_0", "x", "y"]
    b = Builder(names)
    w = b.constant("w", np.ones((2, 5), np.int64))
    inputs = [Value(n, TensorType(Bipolar(), (1, 5))) for n in names]
    outputs = [b.op(IntLinear, (v, w), "o", "k", encoding=B, elem=Int(-5, 5)) for v in inputs]
    g = b.graph("net", inputs, outputs)
    data: dict[str, Array] = {n: np.ones((2, 1, 5), np.int64) for n in names}
    folder = tree(g, "net", COptions(vectors=Vectors(data, evaluate(g, data))))
    for source in ("test/net_test.c", "examples/main.c"):
        program = compiled(folder, folder / source, tmp_path / "t")
        assert subprocess.run([program], check=False, capture_output=True).returncode == 0
