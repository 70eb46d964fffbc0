"""bitwright: compile neural networks from ONNX to C and Verilog, bit for bit."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.compiler import Compiled
    from bitwright.sim.ladder import Row

__all__ = ["compile", "verify"]


def compile(  # noqa: A001  # the name of the command
    model: str | Path,
    output_folder: str | Path | None = None,
    *,
    force: bool = False,
    **options: Any,
) -> "Compiled":
    """Compile an ONNX model and, when a folder is given, write it there.

    `options` are the fields of `bitwright.options.CompileOptions`; paths, targets and the like may
    be strings as on the command line. Raises `bitwright.errors.CompileError` with one sentence on
    what is wrong.
    """
    from bitwright.compiler import compile_model, write_build  # noqa: PLC0415  # fast import
    from bitwright.options import options_from  # noqa: PLC0415

    path = Path(model)
    compiled = compile_model(path, options_from(options))
    if output_folder is not None:
        write_build(compiled, path, Path(output_folder), force=force)
    return compiled


def verify(build: str | Path) -> "list[Row]":
    """Climb the ladder of proofs for a build folder and return its rows."""
    from bitwright.frontend import load_model  # noqa: PLC0415
    from bitwright.sim.build_folder import read_build  # noqa: PLC0415
    from bitwright.sim.ladder import climb, work_folder  # noqa: PLC0415

    found = read_build(Path(build))
    return list(climb(found, work_folder(found), load_model))
