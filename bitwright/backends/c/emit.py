"""The C backend: an integer graph in, a folder of C out."""

import json

from bitwright.backends.artifact import Artifact
from bitwright.backends.c.files import files_of
from bitwright.backends.c.options import COptions
from bitwright.backends.c.program import compile_program
from bitwright.backends.c.report import report_of
from bitwright.backends.names import Names
from bitwright.ir.graph import Graph

# Headers of C and of the compilers, which a header of the model's own would hide; macros; CMake's
# own targets.
_HEADERS = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
stdalign stdarg stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time
uchar unistd wchar wctype arm_acle features main linux unix
all clean help install package test"""


def emit(body: Graph, name: str, options: COptions | None = None) -> Artifact:
    """Return the C files of `body` under the prefix `name`, and the report.

    UnsupportedError names an op for which there is no kernel.
    """
    options = options or COptions()
    model = _prefix(name)
    program = compile_program(body, model, options.cpu, options.store)
    files = files_of(program, options)
    report = report_of(body, program, options)
    text = json.dumps(report, indent=2, sort_keys=True, ensure_ascii=True) + "\n"
    files["report.json"] = text.encode()
    return Artifact(dict(sorted(files.items())), report)


def _prefix(name: str) -> str:
    """Return the prefix of every public name; a keyword gets a second word instead of `__`."""
    model = Names(frozenset(_HEADERS.split())).fresh(name, "model")
    return f"{model}net" if model.endswith("_") else model
