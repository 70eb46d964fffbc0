"""Names from a model file are data: here they become safe to print, and refusals get their form."""

from collections.abc import Sequence
from dataclasses import dataclass

_LINES = 20
_NAME = 80


class Refusal(Exception):  # noqa: N818 - a signal between importer and loop, never shown as it is
    """An importer cannot take this node: why, and what would help. Collected, not propagated."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        """Keep the reason and the remedy, each a phrase without a full stop."""
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Refused:
    """One node that was refused, ready for the report."""

    loc: str
    op: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        """Return one line of the report."""
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"  {plain(self.loc, 60)} ({self.op}): {self.reason}{tail}"


def plain(name: str | bytes, limit: int = _NAME) -> str:
    """Return `name` on one line: what is not printable is escaped, what is long is cut."""
    if isinstance(name, bytes):  # protobuf's way of saying that a text is no UTF-8
        name = name.decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:limit])
    return text + ("..." if len(name) > limit else "")


def show(name: str | bytes) -> str:
    """Return `name` quoted, on one line."""
    return f"'{plain(name)}'"


def report(model: str, refused: Sequence[Refused]) -> str:
    """Return the text that names every refused node, at most 20 of them in full."""
    count = len(refused)
    head = f"{plain(model)}: {count} node{'s are' if count > 1 else ' is'} not supported"
    lines = [str(r) for r in refused[:_LINES]]
    if count > _LINES:
        lines.append(f"  and {count - _LINES} more")
    return "\n".join([head, *lines])
