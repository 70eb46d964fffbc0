"""Blank lines and long signatures of rendered C, as a reader expects them."""

from collections.abc import Iterator

_WIDTH = 100
_LAYER_COMMENT = "    /* "


def tidy(text: str) -> str:
    """Return `text` with one blank line between its parts and no other."""
    return "\n".join(_lines(text)) + "\n"


def _lines(text: str) -> Iterator[str]:
    before = ""
    for line in (raw.rstrip() for raw in text.splitlines()):
        if not line:
            continue
        if before and _apart(before, line):
            yield ""
        yield from _wrapped(line)
        before = line


def _apart(before: str, line: str) -> bool:
    """Tell whether a blank line belongs between two lines."""
    if line.startswith(" ") or before.startswith("    "):  # inside a function or a table
        return line.startswith(_LAYER_COMMENT) and before.endswith((";", "*/"))
    if line.startswith("#endif") or before.startswith("#endif"):
        return not line.startswith("#endif")
    if before in {"}", "};"}:
        return True
    if line == "}" or before.startswith(("#if", "#else")) or line.startswith("#else"):
        return before.startswith("#ifndef") and line.startswith("#include")
    if before.endswith("*/") and not before.startswith("#"):  # a comment and what it speaks of
        return before.startswith("/* Tables") or line.startswith("#if")
    return line.startswith(("#if", "int main")) or _group(before) != _group(line)


def _group(line: str) -> str:
    """Return the kind of a line at the top level; neighbours of one kind stand together."""
    if line.startswith("/*"):
        return "comment"
    if line.startswith("#include"):
        return "include"
    if line.startswith(("#define", "#ifndef", "typedef")):
        return "definition"
    return "code"


def _wrapped(line: str) -> Iterator[str]:
    """Break a long signature after its parenthesis and its commas."""
    if len(line) <= _WIDTH or line.startswith((" ", "/*", "#")) or not line.endswith((")", ");")):
        yield line
        return
    head, _, rest = line.partition("(")
    yield f"{head}("
    part = "   "
    for word in rest.split(", "):
        if len(part) + len(word) + 2 > _WIDTH:
            yield f"{part},"
            part = "   "
        part = f"{part} {word}" if part == "   " else f"{part}, {word}"
    yield part
