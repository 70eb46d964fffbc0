"""Blank lines of rendered C: one between functions, none left behind by template lines."""

from collections.abc import Iterator

_LAYER_COMMENT = "    /* "


def tidy(text: str) -> str:
    """Return `text` with its blank lines where a reader expects them."""
    return "\n".join(_lines(text)) + "\n"


def _lines(text: str) -> Iterator[str]:
    before = ""
    for line in (raw.rstrip() for raw in text.splitlines()):
        if not line:
            continue
        if before and _apart(before, line):
            yield ""
        yield line
        before = line


def _apart(before: str, line: str) -> bool:
    """Tell whether a blank line belongs between two lines."""
    if before in {"}", "};"}:
        return line != "#endif" or before == "};"
    if _is_directive(before) or _is_directive(line):
        return _group(before) != _group(line)
    if line.startswith("/*") and not before.startswith((" *", "/*")):
        return True
    return line.startswith(_LAYER_COMMENT) and before != "{" and not before.endswith("= {")


def _is_directive(line: str) -> bool:
    return line.startswith(("#include", "#define", "#ifndef", "#ifdef", "#endif"))


def _group(line: str) -> str:
    """Return the kind of a line at the top level; neighbours of one kind stand together."""
    if line.startswith("#include"):
        return "include"
    if line.startswith(("#", "typedef", "extern", "void ")):
        return "declaration"
    return "code"
