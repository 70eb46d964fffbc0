"""The Jinja environments. Templates are code: strict, and they see one view alone."""

from dataclasses import fields
from functools import cache
from typing import Any

import jinja2

_CODE = {  # C and Verilog: `{{` is legal in both
    "variable_start_string": "${",
    "variable_end_string": "}",
    "line_statement_prefix": "//%",
    "comment_start_string": "/*#",
    "comment_end_string": "#*/",
}
_BUILD = {  # CMake, Make, Tcl, Markdown: `${` is theirs
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "line_statement_prefix": "#%",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}
_HTML = ("html.j2",)
_SYNTAX = {"c": _CODE, "h": _CODE, "v": _CODE}


@cache
def _environment(template: str) -> jinja2.Environment:
    kind = template.removesuffix(".j2").rsplit(".", 1)[-1]
    syntax = {} if template.endswith(_HTML) else _SYNTAX.get(kind, _BUILD)
    return jinja2.Environment(
        loader=jinja2.PackageLoader("bitwright", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=template.endswith(_HTML),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **syntax,  # type: ignore[arg-type]
    )


def render(template: str, view: Any) -> str:
    """Fill `template` with the fields of one dataclass, and nothing else."""
    names = {f.name: getattr(view, f.name) for f in fields(view)}
    return _environment(template).get_template(template).render(names)
