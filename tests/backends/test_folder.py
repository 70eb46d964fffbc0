import json
import os
from pathlib import Path
from typing import Any

import pytest

from bitwright.backends.folder import MANIFEST, checked_path, read_manifest, write_folder
from bitwright.errors import CompileError

OURS: dict[str, Any] = {"bitwright": "0"}


def write(out: Path, *paths: str, force: bool = False, text: bytes = b"new") -> None:
    write_folder(out, dict.fromkeys(paths, text), OURS, force=force)


def listing(out: Path) -> set[str]:
    found = {p.relative_to(out).as_posix() for p in out.rglob("*") if not p.is_dir()}
    return found - {MANIFEST}


def names_in(out: Path) -> list[str]:
    return sorted(p.name for p in out.iterdir())


def snapshot(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "deep" / name, "c/x.c", "top.txt")
    assert snapshot(tmp_path / "deep" / "a") == snapshot(tmp_path / "deep" / "b")
    assert read_manifest(tmp_path / "deep" / "a")["files"].keys() == {"c/x.c", "top.txt"}
    assert names_in(tmp_path / "deep") == ["a", "b"], "no temporary folder stays"


def test_writing_again_removes_only_its_own_stale_files(tmp_path: Path) -> None:
    out = tmp_path / "build"
    write(out, "c/old/x.c", "c/y.c", "top.txt")
    (out / "notes.txt").write_text("mine")
    (out / "c" / "mine.c").write_text("mine")
    write(out, "c/z.c", "top.txt")
    assert listing(out) == {"c/z.c", "top.txt", "notes.txt", "c/mine.c"}
    assert not (out / "c" / "old").exists()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "x")
    assert listing(tmp_path) == {"x"}


def test_a_foreign_folder_is_refused_but_not_with_force(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CompileError, match=r"holds files that bitwright did not write; .* --force"):
        write(tmp_path, "x")
    assert listing(tmp_path) == {"mine.txt"}
    write(tmp_path, "x", force=True)
    assert listing(tmp_path) == {"mine.txt", "x"}
    file = tmp_path / "mine.txt"
    for force in (False, True):
        with pytest.raises(CompileError, match="is a file; name a folder with -o"):
            write(file, "x", force=force)


FOREIGN = [
    b"",
    b"[]",
    b"{}",
    b'{"files": {}, "bitwright": "0"}',
    b'{"files": {"x": ""}}',
    b'{"files": ["x"], "bitwright": "0"}',
    b'{"files": "x", "bitwright": "0"}',
    b'{"files": {"/etc/x": ""}, "bitwright": "0"}',
    b'{"files": {"../mine": ""}, "bitwright": "0"}',
    b'{"files": {"a/../../mine": ""}, "bitwright": "0"}',
    b'{"files": {"": ""}, "bitwright": "0"}',
    b'{"files": {"a\\u0000b": ""}, "bitwright": "0"}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("manifest", FOREIGN)
def test_a_manifest_that_is_not_ours_removes_nothing(tmp_path: Path, manifest: bytes) -> None:
    out = tmp_path / "build"
    out.mkdir()
    (tmp_path / "mine").write_text("mine")
    (out / "x").write_text("mine")
    (out / MANIFEST).write_bytes(manifest)
    with pytest.raises(CompileError):
        read_manifest(out)
    with pytest.raises(CompileError, match="did not write"):
        write(out, "y")
    write(out, "y", force=True)
    assert listing(out) == {"x", "y"}
    assert (tmp_path / "mine").exists()


def test_a_manifest_cannot_reach_out_through_a_link(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "build", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    out.mkdir()
    (out / "link").symlink_to(elsewhere)
    listed = {"bitwright": "0", "files": {"link/mine": "", "./y": "", "gone/z": ""}}
    (out / MANIFEST).write_text(json.dumps(listed))
    write(out, "y")
    assert (elsewhere / "mine").exists()
    assert (out / "y").read_bytes() == b"new", "listed as ./y, and written as y"
    with pytest.raises(CompileError, match="link is in the way"):
        write(out, "link/w")
    assert [p.name for p in elsewhere.iterdir()] == ["mine"]


def test_a_file_becomes_a_folder_and_back(tmp_path: Path) -> None:
    out = tmp_path / "build"
    write(out, "a")
    write(out, "a/b")
    assert listing(out) == {"a/b"}
    write(out, "a")
    assert listing(out) == {"a"}


@pytest.mark.parametrize(("mine", "path"), [("a", "a/b"), ("a/mine", "a")])
def test_what_is_in_the_way_is_told_before_anything_changes(
    tmp_path: Path, mine: str, path: str
) -> None:
    out = tmp_path / "build"
    write(out, "old", "z")
    (out / mine).parent.mkdir(exist_ok=True)
    (out / mine).write_text("mine")
    before = snapshot(out)
    with pytest.raises(CompileError, match="in the way"):
        write(out, "z", path, text=b"newer")
    assert snapshot(out) == before
    assert names_in(tmp_path) == ["build"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_full_disk_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    out = tmp_path / "build"
    if exists:
        write(out, "a", "b")
    before = snapshot(tmp_path)
    original = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "b":
            raise OSError(28, "No space left on device")
        return original(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write(out, "a", "b", text=b"newer")
    assert snapshot(tmp_path) == before
    assert names_in(tmp_path) == (["build"] if exists else [])


@pytest.mark.parametrize("path", ["/x", "../x", "a/../../x", "", ".", "a\0b"])
def test_paths_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(CompileError, match="leaves the build folder"):
        checked_path(path)
    with pytest.raises(CompileError, match="leaves the build folder"):
        write(tmp_path / "build", path)
    assert not (tmp_path / "build").exists()


def test_the_manifest_is_moved_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that is cut off leaves a folder that can be written again."""
    write(tmp_path / "b", "x")
    moved: list[str] = []
    original = os.replace

    def watch(source: Path, target: Path) -> None:
        moved.append(target.name)
        original(source, target)

    monkeypatch.setattr(os, "replace", watch)
    write(tmp_path / "b", "x", "y")
    assert moved == ["x", "y", MANIFEST]
