"""The files of the artifact: each a view and a template."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.options import COptions, Cpu, Edge, Vectors
from bitwright.backends.c.ports import Port
from bitwright.backends.c.program import CProgram, Entry, Line
from bitwright.backends.c.storage import REAL_T, Elements, Planes
from bitwright.backends.c.tables import Table, literal_lines, real_literal
from bitwright.backends.c.tidy import tidy
from bitwright.backends.names import comment
from bitwright.backends.render import render

_LONG_COMMENT = 400
_CLAMPS = (
    ("clamp_int8", -128, 127, "ssat"),
    ("clamp_uint8", 0, 255, "usat"),
)
_GOLDEN = 1 << 16  # numbers in the golden test, or one sample


@dataclass(frozen=True, slots=True)
class PortView:
    """A port with what the header says of it."""

    port: Port
    meaning: str
    packed: bool
    scale: str
    zero: str
    text: str
    real: bool


@dataclass(frozen=True, slots=True)
class VectorView:
    """The golden samples of one port, as they lie in memory."""

    port: Port
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """What the templates of whole files show; each uses some of it."""

    model: str
    guard: str
    cpu: str
    program: CProgram
    inputs: tuple[PortView, ...]
    outputs: tuple[PortView, ...]
    parameters: str
    null_test: str
    example_arguments: str
    null_arguments: str
    arena_bytes: int
    headers: tuple[str, ...]
    kernels: tuple[str, ...]
    traces: tuple[str, ...]
    swar: bool
    wide_sums: bool
    small_sums: bool
    dsp: bool
    acle: bool
    clamps: tuple[tuple[str, int, int, str], ...]
    math: bool
    tables: tuple[Table, ...]
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    table_bytes: int
    vectors: tuple[VectorView, ...]
    samples: int


def files_of(program: CProgram, options: COptions) -> dict[str, bytes]:
    """Return every file but report.json, by path."""
    view = _view(program, options)
    m = program.model
    templates = {
        f"include/{m}.h": "c/model.h.j2",
        f"src/{m}.c": "c/model.c.j2",
        f"src/{m}_weights.c": "c/weights.c.j2",
        f"src/{m}_weights.h": "c/weights.h.j2",
        f"src/{m}_kernels.h": "c/kernels.h.j2",
        f"test/{m}_test.c": "c/test.c.j2",
        "examples/main.c": "c/main.c.j2",
        "CMakeLists.txt": "c/CMakeLists.txt.j2",
        "README.md": "c/README.md.j2",
    }
    plain = ("CMakeLists.txt", "README.md")
    texts = {path: render(template, view) for path, template in templates.items()}
    return {p: (text if p in plain else tidy(text)).encode() for p, text in texts.items()}


def _view(program: CProgram, options: COptions) -> FileView:
    ports = (*program.inputs, *program.outputs)
    vectors, samples = _vectors(program, options.vectors)
    parameters = [f"const {p.ctype} *{p.parameter}" for p in program.inputs]
    parameters += [f"{p.ctype} *{p.parameter}" for p in program.outputs]
    texts = program.kernels.texts
    math = any(p.storage.ctype == REAL_T for p in ports) or program.kernels.uses(REAL_T)
    copies = bool(program.copies) or program.kernels.uses("memcpy(")
    headers = ("math.h",) * math + ("string.h",) * (math or copies)
    return FileView(
        model=program.model,
        guard=program.model.upper(),
        cpu="any 32-bit core" if options.cpu is Cpu.GENERIC else options.cpu.value,
        program=program,
        inputs=tuple(_port(p, options.edge.get(p.name)) for p in program.inputs),
        outputs=tuple(_port(p, options.edge.get(p.name)) for p in program.outputs),
        parameters=", ".join(["void *arena", *parameters]),
        null_test=" || ".join(f"{n} == NULL" for n in ("arena", *(p.parameter for p in ports))),
        example_arguments=", ".join(["arena.bytes", *(p.parameter for p in ports)]),
        null_arguments=", ".join(["NULL", *(p.parameter for p in ports)]),
        arena_bytes=max(program.plan.bytes, 1),
        headers=headers,
        kernels=texts,
        traces=program.traces.texts,
        swar=program.kernels.uses("octets("),
        wide_sums=program.kernels.uses("sum_octets(") or program.kernels.uses("halves("),
        small_sums=program.kernels.uses("sum_octets_small("),
        dsp=options.cpu.has_dsp,
        acle=options.cpu.has_dsp
        and any(program.kernels.uses(word) for word in ("octets(", "__smlad(")),
        clamps=tuple(c for c in _CLAMPS if program.kernels.uses(c[0])),
        math=math,
        tables=tuple(program.tables.tables),
        entries=program.entries,
        lines=program.lines,
        table_bytes=sum(t.bytes for t in program.tables.tables),
        vectors=vectors,
        samples=samples,
    )


def _port(port: Port, edge: Edge | None) -> PortView:
    line = edge is not None and edge.scale is not None
    scale, zero = (_initializer(edge.scale), _initializer(edge.zero)) if line and edge else ("", "")
    return PortView(
        port, _meaning(port), isinstance(port.storage, Planes), scale, zero,
        "" if edge is None else comment(edge.text, _LONG_COMMENT), port.storage.ctype == REAL_T,
    )  # fmt: skip


def _initializer(values: object) -> str:
    flat = np.asarray(values, np.float64).reshape(-1).tolist()
    texts = [real_literal(v) for v in flat]
    return texts[0] if len(texts) == 1 else "{ " + ", ".join(texts) + " }"


def _meaning(port: Port) -> str:
    s = port.storage
    if isinstance(s, Elements):
        return "One array element per value, row-major"
    texts = {
        "bipolar": "1 is +1, 0 is -1",
        "ternary": "a plane of nonzero values, then a plane of negative ones",
        "unsigned": "one plane per bit, the lowest first",
        "signed": "one plane per bit of the two's complement, the lowest first",
    }
    what = texts[s.role.value]
    if s.columns:
        place = (
            f"row r of {s.columns} values begins at word {s.row_words} * r, value i of it is bit "
        )
        return f"Bits: {place}i % {s.word} of word i / {s.word} there; {what}; unused bits 0"
    return f"Bits: value i is bit i % {s.word} of word i / {s.word}; {what}; unused bits 0"


def _vectors(program: CProgram, vectors: Vectors | None) -> tuple[tuple[VectorView, ...], int]:
    if vectors is None:
        return (), 0
    out: list[VectorView] = []
    each = sum(p.storage.count for p in (*program.inputs, *program.outputs))
    samples = max(_GOLDEN // max(each, 1), 1)
    for ports, arrays in ((program.inputs, vectors.inputs), (program.outputs, vectors.outputs)):
        for p in ports:
            stored = p.storage.pack(arrays[p.name][:samples])
            samples = stored.shape[0]
            lines = literal_lines(stored.reshape(-1), p.storage.ctype)
            out.append(VectorView(p, f"GOLDEN_{len(out)}", lines))
    return tuple(out), samples
