"""Write a build folder: all of it or nothing, and never over what is not ours."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bitwright.errors import CompileError

MANIFEST = "bitwright.json"


def write_folder(
    out: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any], *, force: bool = False
) -> None:
    """Write `files` and the manifest that lists them below `out`.

    A folder that holds an untouched manifest of ours is written again; any other that is not empty
    needs `force`. Only files that the old manifest lists are removed.
    """
    old = _listed(out, force=force)
    full = dict(files)
    sums = {p: hashlib.sha256(data).hexdigest() for p, data in sorted(files.items())}
    full[MANIFEST] = dump({**manifest, "files": sums})
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for path, data in full.items():
            target = fresh / checked_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        fresh.chmod(0o755)
        _move(fresh, out, old, full)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _move(fresh: Path, out: Path, old: list[str], full: Mapping[str, bytes]) -> None:
    if not out.exists():
        fresh.rename(out)
        return
    stale = sorted(set(old) - set(full), reverse=True)
    for path in full:
        _check_room(out, PurePosixPath(path), stale)
    for path in stale:
        _remove(out, path)
    for path in full:
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / path, target)  # noqa: PTH105


def _check_room(out: Path, path: PurePosixPath, stale: list[str]) -> None:
    """Raise CompileError where something that is not ours lies in the way of `path`."""
    for above in path.parents[:-1]:
        folder = out / above
        if folder.is_symlink() or (folder.is_file() and str(above) not in stale):
            raise CompileError(f"{folder} is in the way of the build's folder of that name")
    target = out / path
    if target.is_dir() and not target.is_symlink():
        inside = [p.relative_to(out).as_posix() for p in target.rglob("*") if not p.is_dir()]
        if not inside or not set(inside) <= set(stale):
            raise CompileError(
                f"the folder {target} is in the way of the build's file of that name"
            )


def _remove(out: Path, path: str) -> None:
    """Remove a file of an earlier build, and the folders that this empties."""
    target = out / path
    inside = target.parent.resolve().is_relative_to(out.resolve())
    if not inside or not (target.is_symlink() or target.is_file()):
        return
    target.unlink()
    for parent in target.parents:
        if parent == out or any(parent.iterdir()):
            break
        parent.rmdir()


def _listed(out: Path, *, force: bool) -> list[str]:
    """Return the files that an earlier build left in `out`; CompileError when it is not ours."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return []
    if not out.is_dir():
        raise CompileError(f"{out} is a file; name a folder with -o")
    try:
        return sorted(str(checked_path(p)) for p in read_manifest(out)["files"])
    except CompileError:
        if force:
            return []
        raise CompileError(
            f"{out} holds files that bitwright did not write; name another folder, or use --force"
        ) from None


def read_manifest(out: Path) -> dict[str, Any]:
    """Return the manifest of a build folder; CompileError when there is none of ours."""
    try:
        manifest = json.loads((out / MANIFEST).read_bytes())
        listed = {str(checked_path(p)) for p in manifest["files"].keys()}  # noqa: SIM118
        manifest["bitwright"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CompileError(
            f"{out} is no build folder of bitwright: no readable {MANIFEST}"
        ) from None
    if not listed:
        raise CompileError(f"{out}: the manifest lists no files")
    return dict(manifest)


def checked_path(path: str) -> PurePosixPath:
    """Return `path`; CompileError unless it stays inside the folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
        raise CompileError(f"{path!r} leaves the build folder")
    return pure


def dump(value: Any) -> bytes:
    """Return deterministic, readable JSON."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
