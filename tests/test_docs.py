"""The documentation against the tool: the tutorial runs, tables are whole, paths and links exist.

How docs/tutorial.md is run, from top to bottom, in one temporary folder with a copy of examples/:

- In a ```console block a line that starts with "$ " is a command for bash; it goes on in the next
  line after a backslash, and up to EOF after `<<'EOF'`. The lines below it are expected output: each
  has to occur in what the command prints (stdout and stderr), in this order; other lines may lie
  between. Runs of blanks count as one, and "..." stands for any text, a line of "..." for any lines.
- The terminal is 400 columns wide, so that no table wraps. A command must end with exit code 0;
  `; echo "exit code $?"` behind it shows another one.
- A ```sh block is a script without expected output; all of it must succeed.
- `<!-- needs PROGRAM -->` above a block: it is left out where PROGRAM is not installed. An expected
  line that names (gcc or (clang is not asked for where that compiler is not installed.
- Blocks of any other language are text.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from bitwright.ir.ops import ALL_OPS, Op

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"(?:<!-- needs (\w+) -->\n+)?```(console|sh)\n(.*?)```", re.DOTALL)
_SECONDS = 300


@dataclass(frozen=True)
class Step:
    command: str
    expected: tuple[str, ...] = ()


def steps_of(text: str) -> list[Step]:
    steps: list[Step] = []
    for needed, language, body in _BLOCK.findall(text):
        if needed and shutil.which(needed) is None:
            continue
        if language == "sh":
            steps.append(Step(f"set -e\n{body}"))
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command = re.match(r".*<<'EOF'\n(?:.*\n)*?EOF$|(?:.*\\\n)*.*", part, re.MULTILINE)
            assert command is not None
            steps.append(Step(command[0], tuple(part[command.end() :].strip().splitlines())))
    return steps


def missing_line(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the first expected line that does not come in its turn, or None."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = 0
    for line in expected:
        compiler = re.search(r"\((gcc|clang)\b", line)
        if not line.strip(". ") or (compiler and shutil.which(compiler[1]) is None):
            continue
        parts = " ".join(line.split()).split("...")
        pattern = re.compile(".*".join(re.escape(p.strip()) for p in parts))
        found = next((i for i in range(at, len(lines)) if pattern.search(lines[i])), None)
        if found is None:
            return line
        at = found + 1
    return None


def test_a_missing_line_is_noticed() -> None:
    printed = "one   two\nthree 4.5 s\nfive\n"
    assert missing_line(("one two", "...", "three ... s", "five"), printed) is None
    assert missing_line(("one three",), printed) == "one three"
    assert missing_line(("five", "one two"), printed) == "one two"


def test_the_tutorial_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "COLUMNS": "400"}
    steps = steps_of(TUTORIAL.read_text())
    assert len(steps) > 10
    for step in steps:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", step.command], cwd=tmp_path, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS, check=False,
        )  # fmt: skip
        told = f"$ {step.command}\n{done.stdout}"
        assert done.returncode == 0, told
        lacking = missing_line(step.expected, done.stdout)
        assert lacking is None, f"expected {lacking!r}\n{told}"


def test_the_readme_shows_what_the_tutorial_printed() -> None:
    known = {" ".join(line.split()) for line in TUTORIAL.read_text().splitlines()}
    for _, _, body in _BLOCK.findall((ROOT / "README.md").read_text()):
        for line in body.splitlines():
            if line and not line.startswith(("$", " ")) and "git clone" not in line:
                assert " ".join(line.split()) in known, line


def op_rows() -> dict[str, str]:
    """Return the rows of the tables of operations in docs/ir.md by the op's name."""
    text = (ROOT / "docs" / "ir.md").read_text()
    section = text[text.index("## Operations") : text.index("## Text form")]
    return {m[1]: m[0] for m in re.finditer(r"^\| `(\w+)` \|.*$", section, re.MULTILINE)}


@pytest.mark.parametrize("kind", ALL_OPS, ids=lambda k: k.__name__)
def test_every_op_is_in_the_table(kind: type[Op]) -> None:
    row = op_rows().get(kind.__name__)
    assert row is not None, f"docs/ir.md lacks {kind.__name__}"
    cells = [c.strip() for c in row.strip("|").split(" | ")]
    base = {f.name for f in fields(Op)}
    own = [f.name for f in fields(kind) if f.name not in base]
    assert re.findall(r"`(\w+)`", cells[2]) == own, f"{kind.__name__}: attributes are {own}"


def test_no_op_in_the_table_is_unknown() -> None:
    assert set(op_rows()) == {k.__name__ for k in ALL_OPS}


def source_text() -> str:
    """Return the code with strings that are split over lines joined again."""
    text = "\n".join(p.read_text() for p in sorted((ROOT / "bitwright").rglob("*.py")))
    return re.sub(r"[\"'](?:\s*\+)?\s*\n\s*f?[\"']", "", text)


def test_every_refusal_is_in_the_code() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    source = source_text()
    assert len(rows) > 10
    assert [r for r in rows if r not in source] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"(?<!\w)\[[^\]\n]+\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page.name}: link {link}"
    top = "bitwright|tests|docs|examples/digits|benchmarks|scripts"
    for path in re.findall(rf"`((?:{top})/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"{page.name}: path {path}"
