"""The shape of the code base, kept by a test instead of by memory."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "bitwright"
GROUND = {"errors", "options"}
MAY_IMPORT = {
    "errors": set[str](),
    "options": {"errors"},
    "ir": {"errors"},
    "frontend": GROUND | {"ir"},
    "passes": GROUND | {"ir"},
    "backends": GROUND | {"ir", "passes"},
    "sim": GROUND | {"ir", "passes", "backends"},
    "training": GROUND | {"ir", "passes"},
}
SEES_ALL = {  # files at the package root
    "__init__", "__main__", "cli", "cli_compress", "cli_finetune", "console", "summary", "compiler",
    "compressor", "finetuner", "chooser", "cli_explore",
}  # fmt: skip
MAX_LINES = 400
SIZED = {
    "bitwright": {".py", ".v", ".j2"},
    "tests": {".py"},
    "examples": {".py"},
    "benchmarks": {".py"},
}
# Put together here, so that this file does not hold them itself.
FOREIGN = ("/".join(("..", "shared")), "/".join(("", "work", "")))


def imported_modules(source: str) -> Iterator[str]:
    """Yield the full name of everything imported anywhere in the source, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def layer_of(path: str) -> str:
    """Return the layer of a module, given by its path inside the package."""
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def layer_violations(path: str, source: str) -> list[str]:
    """Say what the module at `path` (inside the package) imports and should not."""
    layer = layer_of(path)
    if layer in SEES_ALL:
        return []
    if layer not in MAY_IMPORT:
        return [f"{path}: no layer called {layer}; add it to MAY_IMPORT"]
    wrong = []
    for name in imported_modules(source):
        top, _, rest = name.partition(".")
        if not top:
            wrong.append(f"{path}: relative import {name}")
        elif top == PACKAGE and rest.split(".")[0] not in MAY_IMPORT[layer] | {layer}:
            wrong.append(f"{path}: {layer} may not import {name}")
    return wrong


def size_violations(path: str, text: str) -> list[str]:
    """Say whether the file at `path` (inside the repository) is too long."""
    lines = len(text.splitlines())
    sized = Path(path).suffix in SIZED.get(path.split("/", maxsplit=1)[0], set[str]())
    return [f"{path}: {lines} lines, at most {MAX_LINES}"] if sized and lines > MAX_LINES else []


def foreign_words(path: str, text: str) -> list[str]:
    """Say which paths of somebody's own machine the text names."""
    return [f"{path}: mentions {word}" for word in FOREIGN if word in text]


def walk(folder: Path) -> list[str]:
    """List the files of a clone without git: all but hidden, built and installed ones."""
    skipped = {"build", "dist", "__pycache__", "sim_build"}
    paths = (p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file())
    return [
        p.as_posix()
        for p in paths
        if not any((part[0] == "." and part != ".ci") or part in skipped for part in p.parts[:-1])
    ]


def project_files() -> list[str]:
    """List the files of the project that git tracks or would track, relative to its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return walk(ROOT)
    return sorted(name for name in set(done.stdout.split("\0")) if (ROOT / name).is_file())


def texts() -> dict[str, str]:
    """Read every file of the project that is text."""
    found = {}
    for name in project_files():
        try:
            found[name] = (ROOT / name).read_bytes().decode()
        except UnicodeDecodeError:
            continue
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    return texts()


def test_modules_keep_their_layer(project: dict[str, str]) -> None:
    modules = {p: t for p, t in project.items() if p.startswith("bitwright/") and p[-3:] == ".py"}
    inside = {path.removeprefix("bitwright/"): text for path, text in modules.items()}

    assert len(modules) > len(MAY_IMPORT)
    assert [w for path, text in inside.items() for w in layer_violations(path, text)] == []


def test_files_keep_their_size(project: dict[str, str]) -> None:
    assert [w for path, text in project.items() for w in size_violations(path, text)] == []


def test_texts_name_no_path_of_one_machine(project: dict[str, str]) -> None:
    assert {"pyproject.toml", "Makefile", ".ci/run", "tests/test_layers.py"} <= project.keys()
    assert [w for path, text in project.items() for w in foreign_words(path, text)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "import bitwright.passes.fold\n"),
        ("ir/graph.py", "import numpy, bitwright.sim as s\n"),
        ("ir/graph.py", "from bitwright.frontend.onnx import load\n"),
        ("ir/graph.py", "from bitwright import backends\n"),
        ("ir/graph.py", "from bitwright.options import Options\n"),
        ("ir/graph.py", "def late():\n    from bitwright.sim import run\n"),
        ("ir/graph.py", "def late():\n    import bitwright.cli\n"),
        ("ir/graph.py", "from . import types\n"),
        ("ir/ops/conv.py", "from ..types import Int\n"),
        ("frontend/load.py", "from bitwright.passes import simplify\n"),
        ("passes/fold.py", "import bitwright.backends\n"),
        ("passes/fold.py", "import bitwright\n"),
        ("backends/c/emit.py", "from bitwright.sim import native\n"),
        ("backends/c/emit.py", "from bitwright.frontend import load\n"),
        ("sim/native.py", "from bitwright.compiler import compile\n"),
        ("training/model.py", "from bitwright.backends import onnx\n"),
        ("errors.py", "from bitwright.ir import types\n"),
        ("options.py", "from bitwright.ir import types\n"),
        ("helpers/misc.py", ""),
        ("misc.py", ""),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str) -> None:
    assert len(layer_violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "import numpy\nfrom bitwright.ir.types import Int\n"),
        ("ir/graph.py", "from bitwright.errors import VerifyError\n"),
        ("ir/graph.py", "import bitwrighter.passes\n"),
        ("frontend/load.py", "import bitwright.ir.ops\nfrom bitwright import errors, options\n"),
        ("backends/c/emit.py", "from bitwright.passes.narrow import narrow\n"),
        ("sim/native.py", "from bitwright.backends.c import emit\nimport bitwright.ir\n"),
        ("compiler.py", "from bitwright import backends, frontend, passes, sim\n"),
        ("cli.py", "import bitwright.training\n"),
        ("__init__.py", "from bitwright.compiler import compile\n"),
    ],
)
def test_a_right_import_passes(path: str, source: str) -> None:
    assert layer_violations(path, source) == []


def test_the_rule_for_size_can_fail() -> None:
    for path in ("bitwright/a.py", "bitwright/lib/b.v", "tests/c.py", "bitwright/t/d.c.j2"):
        assert size_violations(path, "\n" * 400) == []
        assert len(size_violations(path, "\n" * 401)) == 1
    assert size_violations("tests/golden/net.v", "\n" * 401) == []
    assert size_violations("docs/long.py", "\n" * 401) == []


@pytest.mark.parametrize("word", FOREIGN)
def test_the_rule_for_foreign_paths_can_fail(word: str) -> None:
    assert foreign_words("README.md", f"see {word}notes") == [f"README.md: mentions {word}"]
    assert foreign_words("README.md", "shared work, ./shared, work/, network/") == []


def test_walking_finds_what_git_would_list(tmp_path: Path) -> None:
    for name in ("a.py", ".ci/run", ".venv/lib/b.py", "build/c.v", "bitwright/d.py", ".gitignore"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert sorted(walk(tmp_path)) == [".ci/run", ".gitignore", "a.py", "bitwright/d.py"]
