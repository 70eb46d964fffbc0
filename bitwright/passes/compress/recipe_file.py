"""Read a recipe: TOML on top of a preset."""

import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from bitwright.errors import CompileError
from bitwright.options import STORES
from bitwright.passes.compress.kinds import Kind, WeightKind, parse_weights
from bitwright.passes.compress.prune import parse_pruning
from bitwright.passes.compress.ranges import parse_range
from bitwright.passes.compress.recipe import (
    EDGE_BITS,
    STEPS_BITS,
    LayerRecipe,
    Recipe,
    Refit,
    Rule,
    Solver,
)
from bitwright.passes.compress.share import parse_sharing

SCALES = ("any", "pow2")
_PRESETS = files("bitwright.passes.compress") / "presets"
_LAYER = {
    "weights", "solver", "refit", "prune", "share", "channels", "activations", "store", "sparsity"
}  # fmt: skip
_RULE = _LAYER | {"match", "train", "train_inputs"}
_MODEL = {"preset", "edges", "ranges", "scales", "equalize", "layer", "train"}
_FLOAT = "float"


def preset_names() -> tuple[str, ...]:
    """Return the recipes that come with bitwright."""
    return tuple(sorted(p.name.removesuffix(".toml") for p in _PRESETS.iterdir()))


def preset_text(name: str) -> str:
    """Return the TOML of a preset; CompileError where there is none of that name."""
    if name not in preset_names():
        raise CompileError(f"no recipe {name!r}; the presets are {', '.join(preset_names())}")
    return (_PRESETS / f"{name}.toml").read_text()


def load_recipe(source: str) -> Recipe:
    """Return the recipe in a TOML file, or the preset of that name."""
    path = Path(source)
    if not path.is_file():
        if path.suffix == ".toml" or len(path.parts) > 1:
            raise CompileError(f"recipe {source}: no such file")
        return read_recipe(preset_text(source), source)
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CompileError(f"recipe {source}: {error}") from None
    return read_recipe(text, path.name)


def read_recipe(text: str, where: str) -> Recipe:
    """Return the recipe that TOML describes; CompileError names the key that is wrong."""
    return _recipe(_tables(text, where), where)


def _tables(text: str, where: str) -> dict[str, Any]:
    """Return the tables of a recipe laid over those of its preset."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CompileError(f"recipe {where}: {error}") from None
    _known(found, _LAYER | _MODEL, where)
    name = found.pop("preset", None)
    if name is None:
        return found
    if not isinstance(name, str):
        raise CompileError(f"recipe {where}: preset must be a name in quotes")
    below = _tables(preset_text(name), name)
    layers = [*_list(below, "layer", name), *_list(found, "layer", where)]
    train = {**_table(below, "train", name), **_table(found, "train", where)}
    return {**below, **found, "layer": layers, "train": train}


def _recipe(found: Mapping[str, Any], where: str) -> Recipe:
    base = _choices(found, where)
    weights = base.pop("weights", WeightKind(Kind.INT, EDGE_BITS))
    scales = _one_of(found.get("scales"), SCALES, f"{where}: scales")
    shifts = scales == "pow2" if scales else weights is not None and not weights.multiplies
    bits = STEPS_BITS if shifts else EDGE_BITS
    if "activations" in found:
        bits = base.pop("activations")
    base.pop("activations", None)
    edges = found.get("edges")
    return Recipe(
        weights,
        bits,
        pow2_scales=shifts,
        edges=weights if edges == "same" else _read(_kind, edges, f"{where}: edges"),
        base=LayerRecipe(**base),
        rules=tuple(_rule(r, where) for r in _list(found, "layer", where)),
        ranges=_read(parse_range, found.get("ranges"), f"{where}: ranges"),
        equalize=_flag(found, "equalize", where),
        train=_table(found, "train", where),
    )


def _rule(found: Any, where: str) -> Rule:
    if not isinstance(found, dict) or not isinstance(found.get("match"), str):
        raise CompileError(f'recipe {where}: each [[layer]] needs match = "pattern"')
    place = f"{where}: layer {found['match']!r}"
    _known(found, _RULE, place)
    choices = _choices(found, place)
    choices |= {
        k: _text(found[k], f"{place}: {k}") for k in ("train", "train_inputs") if k in found
    }
    return Rule(found["match"], choices)


def _choices(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a LayerRecipe that a table sets, checked."""
    readers: dict[str, Callable[[Any], Any]] = {
        "weights": _kind,
        "solver": Solver,
        "refit": Refit,
        "prune": parse_pruning,
        "share": parse_sharing,
        "channels": float,
        "activations": _bits,
        "store": str,
        "sparsity": float,
    }
    out = {k: _read(readers[k], found[k], f"{where}: {k}") for k in _LAYER if k in found}
    _one_of(out.get("store"), STORES, f"{where}: store")
    LayerRecipe(**out)
    return out


def _read(reader: Callable[[Any], Any], value: Any, where: str) -> Any:
    """Return what `reader` makes of a value, None for nothing and for "none"."""
    if value is None or (value == "none" and reader is not Refit):
        return None
    try:
        return reader(value)
    except CompileError as error:
        raise CompileError(f"recipe {where}: {error}") from None
    except (ValueError, TypeError, AttributeError):
        known = (
            f"; choose {', '.join(m.value for m in reader)}" if reader in (Solver, Refit) else ""
        )
        raise CompileError(f"recipe {where} = {value!r} is not understood{known}") from None


def _kind(value: str) -> WeightKind | None:
    return None if value == _FLOAT else parse_weights(value)


def _bits(value: Any) -> int | None:
    if value == _FLOAT:
        return None
    if type(value) is not int:
        raise ValueError(value)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise CompileError(f"recipe {where} must be in quotes")
    return value


def _one_of(value: Any, choices: tuple[str, ...], where: str) -> str | None:
    if value is not None and value not in choices:
        raise CompileError(f"recipe {where} = {value!r}: choose {', '.join(choices)}")
    return None if value is None else str(value)


def _flag(found: Mapping[str, Any], key: str, where: str) -> bool:
    value = found.get(key, False)
    if not isinstance(value, bool):
        raise CompileError(f"recipe {where}: {key} must be true or false")
    return value


def _table(found: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = found.get(key, {})
    if not isinstance(value, dict):
        raise CompileError(f"recipe {where}: [{key}] must be a table")
    return value


def _list(found: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = found.get(key, [])
    if not isinstance(value, list):
        raise CompileError(f"recipe {where}: write [[{key}]], once for each rule")
    return value


def _known(found: Mapping[str, Any], keys: set[str], where: str) -> None:
    wrong = sorted(set(found) - keys)
    if wrong:
        raise CompileError(
            f"recipe {where}: no key {wrong[0]!r}; the keys are {', '.join(sorted(keys))}"
        )
