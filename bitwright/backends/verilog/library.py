"""The hand-written cells: their text, and which of them a design needs."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_CELL = re.compile(r"\bbw_[a-z0-9_]+\b")


@cache
def library() -> dict[str, bytes]:
    """Return the text of every cell by module name."""
    folder = files("bitwright") / "templates" / "verilog" / "lib"
    found = sorted((p for p in folder.iterdir() if p.name.endswith(".v")), key=lambda p: p.name)
    return {p.name.removesuffix(".v"): p.read_bytes() for p in found}


def needed(modules: Iterable[str]) -> tuple[str, ...]:
    """Return `modules` of the library and all that they mention, in alphabetical order."""
    cells, todo, seen = library(), list(modules), set[str]()
    while todo:
        name = todo.pop()
        if name in cells and name not in seen:
            seen.add(name)
            code = re.sub(r"//[^\n]*", "", cells[name].decode())
            todo += _CELL.findall(code)
    return tuple(sorted(seen))
