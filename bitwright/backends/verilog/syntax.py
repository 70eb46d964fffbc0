"""Gate on generated Verilog: pyverilog must parse it, and tells its ports; it never rewrites."""

import contextlib
import functools
import importlib.metadata
import io
import logging
import os
import re
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwright.errors import VerifyError

_TABLE = "pyverilog.vparser.parsetab"


@dataclass(frozen=True)
class Port:
    """One port of a module; the width is None when it depends on a parameter."""

    name: str
    direction: str  # "input", "output" or "inout"
    width: int | None


def parse_ports(text: str, cache: Path | None = None) -> dict[str, tuple[Port, ...]]:
    """Return the ports of every module in a Verilog text, by module, in their order.

    Raises VerifyError, naming the line, when pyverilog rejects the text.
    """
    tree = _parse(text, str((cache or _default_cache()).absolute()))
    return {
        module.name: tuple(_ports(module))
        for module in tree.description.definitions
        if type(module).__name__ == "ModuleDef"
    }


def _default_cache() -> Path:
    """Return the user's cache folder, as bitwright.sim.toolchain has it."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bitwright" / "pyverilog"


def _parse(text: str, cache: str) -> Any:
    parser = _parser(cache)
    parser.lexer.lexer.lineno = 1
    try:
        with _silence():
            return parser.parse(text)
    except Exception as error:  # pyverilog raises bare ones, some by accident
        line = re.search(r"line:\s*(\d+)|\((?:.*?)line\s*(\d+)", str(error))
        number = next((int(g) for g in line.groups() if g), None) if line else None
        where = f"line {number}" if number else "its end"
        quoted = _line(text, number)
        raise VerifyError(f"pyverilog rejects the Verilog at {where}{quoted}: {error}") from error


def _line(text: str, number: int | None) -> str:
    """Return the offending line in quotes."""
    lines = text.splitlines()
    return f" ({lines[number - 1].strip()!r})" if number and number <= len(lines) else ""


@functools.cache
def _parser(cache: str) -> Any:
    """Build pyverilog's parser from tables kept in the cache folder; fill it the first time."""
    with _silence():
        from pyverilog.vparser import parser as vparser  # noqa: PLC0415  # slow to import

        folder = Path(cache) / importlib.metadata.version("pyverilog")
        table = folder / "parsetab.py"
        with contextlib.suppress(OSError):  # a folder that cannot be written costs a second
            if not table.is_file():
                _build_table(vparser.VerilogParser, folder)
            _preload(table.read_text())
        with tempfile.TemporaryDirectory() as scratch:  # if PLY finds the tables out of date
            return vparser.VerilogParser(outputdir=scratch, debug=False)


def _build_table(parser: Any, folder: Path) -> None:
    """Write PLY's tables once; the rename makes them appear at once to parallel runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        parser(outputdir=scratch, debug=False)
        made = Path(scratch) / "parsetab.py"
        if made.is_file():
            made.replace(folder / "parsetab.py")


def _preload(source: str) -> None:
    """Give PLY its tables where it looks for them: as a module of pyverilog's package."""
    module = types.ModuleType(_TABLE)
    exec(compile(source, _TABLE, "exec"), module.__dict__)  # our own file of literals
    sys.modules[_TABLE] = module
    sys.modules["pyverilog.vparser"].parsetab = module  # type: ignore[attr-defined]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep PLY's warnings and prints away from the user and from warnings-as-errors."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _ports(module: Any) -> Iterator[Port]:
    """Yield a module's ports, declared in its header or in its body."""
    declared: dict[str, Any] = {}
    for item in module.items or ():
        if type(item).__name__ == "Decl":
            for one in item.list:
                if type(one).__name__ in _DIRECTIONS:
                    declared[one.name] = one
    for entry in module.portlist.ports:
        one = getattr(entry, "first", None) or declared.get(entry.name)
        if one is None:
            raise VerifyError(f"Port {entry.name} of module {module.name} has no direction.")
        yield Port(one.name, _DIRECTIONS[type(one).__name__], _width(one.width))


_DIRECTIONS = {"Input": "input", "Output": "output", "Inout": "inout"}


def _width(width: Any) -> int | None:
    """Return the number of bits of [msb:lsb] when both are plain numbers."""
    if width is None:
        return 1
    ends = [re.fullmatch(r"\d+", getattr(end, "value", "")) for end in (width.msb, width.lsb)]
    if not all(ends):
        return None
    msb, lsb = (int(end[0]) for end in ends if end)
    return abs(msb - lsb) + 1
