"""Read a build folder back: the graphs, the golden vectors and the samples that came with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bitwright.backends.folder import read_manifest
from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.program import Program
from bitwright.ir.storage import read_graph, read_npz
from bitwright.passes.chain import QUANTIZERS


@dataclass(frozen=True, slots=True)
class Build:
    """What `compile` wrote: graphs, vectors (`in:NAME`, `out:NAME`), samples, labels.

    `imported` is the model as it was read, `graph` the quantized one; they are equal unless the
    model was compressed.
    """

    folder: Path
    manifest: Mapping[str, Any]
    imported: Graph
    graph: Graph
    program: Program
    vectors: Mapping[str, Array]
    samples: Mapping[str, Array]
    labels: Array | None

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that were written, `c` and `verilog`."""
        return tuple(self.manifest["targets"])

    @property
    def source(self) -> Path:
        """The copy of the user's model."""
        return self.folder / "source.onnx"

    @property
    def quantized(self) -> Path:
        """The quantized model as a QONNX file; a build of a float model has none."""
        return self.folder / "model.q.onnx"

    @property
    def compressed(self) -> bool:
        """Whether bitwright placed the quantizers."""
        return _quantizes(self.graph) and not _quantizes(self.imported)

    def device_inputs(self) -> dict[str, Array]:
        """Return the golden inputs of the device by name."""
        return {n[3:]: a for n, a in self.vectors.items() if n.startswith("in:")}

    def device_outputs(self) -> dict[str, Array]:
        """Return the golden outputs of the device by name."""
        return {n[4:]: a for n, a in self.vectors.items() if n.startswith("out:")}


def _quantizes(graph: Graph) -> bool:
    return any(isinstance(op, QUANTIZERS) for op in graph.ops)


def read_build(folder: Path) -> Build:
    """Return the build in `folder`; CompileError when files are missing or were changed."""
    manifest = read_manifest(folder)
    changed = [p for p, digest in manifest["files"].items() if _digest(folder / p) != digest]
    if changed:
        raise CompileError(
            f"{folder}: {changed[0]!r} is missing or was changed since it was written"
            + (f", and {len(changed) - 1} more" if len(changed) > 1 else "")
            + "; compile again, or verify the files as they are with --as-is"
        )
    return read_build_as_is(folder)


def read_build_as_is(folder: Path) -> Build:
    """Return the build in `folder` without asking whether its files are untouched."""
    manifest = read_manifest(folder)
    try:
        parts = {
            stem: read_graph(
                (folder / f"graph/{stem}.txt").read_bytes(),
                (folder / f"graph/{stem}.npz").read_bytes(),
            )
            for stem in ("imported", "real", "head", "body", "tail")
        }
        vectors = _named((folder / "vectors.npz").read_bytes(), "v")
        samples_file = folder / "samples.npz"
        samples = _named(samples_file.read_bytes(), "x") if samples_file.exists() else {}
    except (OSError, ValueError, KeyError) as e:
        raise CompileError(f"{folder}: the build is incomplete ({e}); compile again") from None
    labels = samples.pop("y", None)
    body = parts["body"]
    program = Program(body.name, parts["head"], body, parts["tail"])
    return Build(
        folder, manifest, parts["imported"], parts["real"], program, vectors, samples, labels
    )


def _named(data: bytes, prefix: str) -> dict[str, Array]:
    arrays = read_npz(data)
    names = [bytes.fromhex(str(n)).decode() for n in arrays.pop("names").reshape(-1)]
    named = {n: arrays.pop(f"{prefix}{i}") for i, n in enumerate(names)}
    return named | arrays


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
