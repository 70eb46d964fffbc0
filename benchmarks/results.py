"""What the benchmark scripts share: the command line, versions of tools, result files."""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def output_path(description: str | None) -> Path | None:
    """Read the command line: `-o FILE.md`, beside which FILE.json is written."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("-o", "--output", type=Path, help="the Markdown to write, JSON beside it")
    path: Path | None = parser.parse_args().output
    return path


def first_line(command: Sequence[str]) -> str:
    """Return the first line that a tool prints, or the empty string when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError:
        return ""
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table, numbers to the right."""
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if r else "---" for r in right], *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def finish(path: Path | None, text: str, data: Mapping[str, Any], failures: Sequence[str]) -> int:
    """Print or write the results and return the exit code, 1 when a check failed."""
    if path is None:
        print(text)
    else:
        path.write_text(text, encoding="utf-8")
        encoded = json.dumps(data, indent=2, sort_keys=True)
        path.with_suffix(".json").write_text(encoded + "\n", encoding="utf-8")
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0
