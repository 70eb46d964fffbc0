"""Write a recipe as TOML that `read_recipe` turns into the same recipe."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from bitwright.passes.compress.prune import Method, Pruning
from bitwright.passes.compress.recipe import LayerRecipe, Recipe

_FLOAT = "float"
_NONE = "none"
_DEFAULT = LayerRecipe()
_OF_MODEL = ("weights", "activations")  # which the recipe holds beside its base


def recipe_text(recipe: Recipe, comment: str = "") -> str:
    """Return TOML for a recipe, below a comment of any lines.

    What the command line adds to every recipe, `compared`, is no part of it.
    """
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"weights = {_value(recipe.weights, _FLOAT)}"]
    if recipe.edges is not None:
        lines.append(f"edges = {_value(recipe.edges, _FLOAT)}")
    lines.append(f"activations = {_value(recipe.activations, _FLOAT)}")
    lines.append(f'scales = "{"pow2" if recipe.pow2_scales else "any"}"')
    if recipe.ranges is not None:
        lines.append(f"ranges = {_value(recipe.ranges)}")
    if recipe.equalize:
        lines.append("equalize = true")
    lines += _settings({f.name: getattr(recipe.base, f.name) for f in fields(recipe.base)})
    for rule in recipe.rules:
        lines += ["", "[[layer]]", f"match = {_value(rule.match)}"]
        lines += [f"{key} = {_choice(key, value)}" for key, value in rule.choices.items()]
    if recipe.train:
        lines += ["", "[train]", *(f"{k} = {_value(v)}" for k, v in recipe.train.items())]
    return "\n".join(lines) + "\n"


def _settings(base: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each field of the base that differs from the default."""
    for key, value in base.items():
        if key not in _OF_MODEL and value != getattr(_DEFAULT, key):
            yield f"{key} = {_choice(key, value)}"


def _choice(key: str, value: Any) -> str:
    return _value(value, _FLOAT if key in ("weights", "activations") else _NONE)


def _value(value: Any, nothing: str = _NONE) -> str:
    """Return a value as TOML writes it; `nothing` stands for None."""
    if isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(k)} = {_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, Pruning) and value.method is not Method.PATTERN:
        value = f"{value.method.value}:{value.amount!r}"
    text = nothing if value is None else str(value.value if isinstance(value, Enum) else value)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
