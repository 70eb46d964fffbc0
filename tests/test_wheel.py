"""The wheel holds all that the compiler reads, and works outside the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bitwright"
USE = """
import importlib.resources
import sys
import bitwright
from bitwright.backends import render
templates = importlib.resources.files("bitwright") / "templates"
print(bitwright.__file__)
for name in sys.argv[1:]:
    if name.endswith(".j2"):
        render._environment(name).get_template(name)
    assert (templates / name).read_text(), name
"""


def templates() -> list[str]:
    """List the templates and library cells of the clone, relative to the templates folder."""
    folder = PACKAGE / "templates"
    files = [p for p in sorted(folder.rglob("*")) if p.suffix in {".j2", ".v"}]
    return [p.relative_to(folder).as_posix() for p in files]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    flags = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("bitwright-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_wheel_holds_templates_cells_and_types(unpacked: Path) -> None:
    names = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}
    wanted = {f"bitwright/templates/{name}" for name in templates()}

    assert any("/verilog/lib/" in name for name in wanted)
    assert any(name.endswith(".j2") for name in wanted)
    assert wanted | {"bitwright/py.typed"} <= names


def test_wheel_installs_one_package_and_nothing_beside_it(unpacked: Path) -> None:
    tops = {p.name for p in unpacked.iterdir() if not p.name.endswith(".dist-info")}

    assert tops == {"bitwright"}


def test_wheel_finds_its_templates_outside_the_clone(unpacked: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-c", USE, *templates()]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, check=False, text=True
    )

    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(unpacked)
