from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest

from bitwright.backends import render as module
from bitwright.backends.render import render


@dataclass(frozen=True)
class View:
    name: str
    rows: tuple[int, ...] = ()


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let templates come from a folder of this test."""
    monkeypatch.setattr(jinja2, "PackageLoader", lambda *_: jinja2.FileSystemLoader(tmp_path))
    module._environment.cache_clear()  # noqa: SLF001
    yield tmp_path
    module._environment.cache_clear()  # noqa: SLF001


def test_code_templates_leave_braces_alone(template: Path) -> None:
    (template / "x.c.j2").write_text(
        "/*# hidden #*/int ${name}[] = {{\n//% for r in rows\n  ${r},\n//% endfor\n}};\n"
    )
    assert render("x.c.j2", View("t", (1, 2))) == "int t[] = {{\n  1,\n  2,\n}};\n"


def test_build_templates_leave_shell_variables_alone(template: Path) -> None:
    (template / "Makefile.j2").write_text("CC = ${CC}\n#% if rows\nO = <<name>>\n#% endif\n")
    assert render("Makefile.j2", View("t", (1,))) == "CC = ${CC}\nO = t\n"


def test_html_is_escaped(template: Path) -> None:
    (template / "p.html.j2").write_text("<b>{{ name }}</b>")
    assert render("p.html.j2", View("<script>")) == "<b>&lt;script&gt;</b>"


def test_a_name_that_the_view_lacks_fails(template: Path) -> None:
    (template / "x.v.j2").write_text("wire ${nmae};")
    with pytest.raises(jinja2.UndefinedError, match="nmae"):
        render("x.v.j2", View("t"))
