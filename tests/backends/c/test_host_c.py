"""The runner itself: what it says when a tool is missing, and when the C is wrong."""

from pathlib import Path

import pytest

from bitwright.errors import CompileError, MissingToolError, VerifyError
from bitwright.ir.types import Bipolar
from bitwright.sim.host_c import run_c
from tests.backends.c.conftest import Writer, differences
from tests.backends.c.networks import S8, B, Many, N


def broken(tree: Writer, old: str, new: str) -> tuple[Many, Path]:
    """Return a network whose kernels were changed on purpose."""
    m = Many(12)
    m.out(m.linear(m.sign(m.linear(m.input(S8, 1, 50), N, 70)), B, 9))
    folder = tree(m.graph())
    path = folder / "src" / "net_kernels.h"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return m, folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0x33333333u", "0x33333331u"),
        ("(c3hx & x2)", "(c3hx & x0)"),
        ("? 1 : (-1)", "? (-1) : 1"),
        ("i < 50u", "i < 49u"),
        (">> (32u - n)", ">> (31u - n)"),
    ],
)
def test_a_broken_kernel_is_noticed(tree: Writer, old: str, new: str) -> None:
    m, folder = broken(tree, old, new)
    assert differences(folder, m.graph(), m.data) != []


def test_a_sanitizer_report_is_an_error(tree: Writer) -> None:
    m, folder = broken(tree, "i < 50u", "i < 51u")
    with pytest.raises(VerifyError, match="AddressSanitizer"):
        run_c(folder, m.data, sanitize=True, work=folder / "work")


def test_a_warning_is_an_error(tree: Writer) -> None:
    m, folder = broken(tree, "(uint32_t)(v > 0)", "(uint8_t)(unused = v > 0)")
    with pytest.raises(VerifyError, match=r"gcc rejects the generated C: .*unused"):
        run_c(folder, m.data, work=folder / "work")


def test_a_missing_compiler_is_named(tree: Writer) -> None:
    m = Many(13)
    m.out(m.linear(m.input(Bipolar(), 1, 5), B, 2))
    folder = tree(m.graph())
    with pytest.raises(MissingToolError, match="no-such-cc"):
        run_c(folder, m.data, compiler="no-such-cc", work=folder / "work")


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"report\.json is missing"):
        run_c(tmp_path, {}, work=tmp_path / "work")
