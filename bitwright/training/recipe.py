"""Read the [train] table and the layer rules of a recipe as settings of a run."""

from collections.abc import Callable, Mapping
from typing import Any

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.passes.compress.plan import Layer
from bitwright.passes.compress.recipe import Recipe
from bitwright.training.settings import (
    Act,
    ActRule,
    Distill,
    FinetuneSettings,
    Method,
    Optimizer,
    Prune,
    Soft,
    WeightRule,
)

_RULES = {"inner", "edge", "inner_activations", "edge_activations", "schedule", "k"}
_NUMBERS = {"epochs", "batch", "rate", "momentum", "weight_decay", "seed", "threads", "validation"}
_DISTILL = {"distill", "temperature", "label_share", "hints", "hint_share"}
_PRUNE = {"sparsity", "prune_start", "prune_over"}
_PAIR = 2
_WHOLE = {"epochs", "batch", "seed", "threads", "prune_start", "prune_over"}
_KEYS = _RULES | _NUMBERS | _DISTILL | _PRUNE | {"optimizer", "keep_zeros"}


def settings_of(recipe: Recipe, layers: tuple[Layer, ...]) -> FinetuneSettings:
    """Return the settings of a recipe's [train] table and rules; CompileError names what is wrong."""
    table = recipe.train
    wrong = sorted(set(table) - _KEYS)
    if wrong:
        raise CompileError(
            f"recipe: [train] has no key {wrong[0]!r}; the keys are {', '.join(sorted(_KEYS))}"
        )
    rules = recipe.resolve(layers)
    more = {k: table[k] for k in ("schedule", "k") if k in table}
    given: dict[str, Any] = {k: _number(table, k) for k in _NUMBERS if k in table}
    for key, read in _readers(more).items():
        if key in table:
            given[key] = _read(read, table[key], f"[train] {key}")
    shares = {n: r.sparsity for n, r in rules.items() if r.sparsity is not None}
    if "sparsity" in table:
        shares = {op.name: _number(table, "sparsity") for op in layers} | shares
    return FinetuneSettings(
        **given,
        weights={n: _read(lambda t: weight_rule(t, more), r.train, f"layer {n!r}: train")
                 for n, r in rules.items() if r.train},
        activations={n: _read(act_rule, r.train_inputs, f"layer {n!r}: train_inputs")
                     for n, r in rules.items() if r.train_inputs},
        distill=_distill(table),
        prune=Prune(shares, int(_number(table, "prune_start", 0)), int(_number(table, "prune_over", 0))),
    )  # fmt: skip


def masks_of(recipe: Recipe, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return which weights stay, by layer name: with `keep_zeros` those that are not zero."""
    keep = recipe.train.get("keep_zeros", False)
    if not isinstance(keep, bool):
        raise CompileError(f"recipe [train] keep_zeros = {keep!r} must be true or false")
    return {n: w != 0 for n, w in weights.items()} if keep else {}


def _readers(more: Mapping[str, Any]) -> dict[str, Callable[[Any], Any]]:
    return {
        "inner": lambda t: weight_rule(t, more),
        "edge": lambda t: weight_rule(t, {}),
        "inner_activations": act_rule,
        "edge_activations": act_rule,
        "optimizer": Optimizer,
    }


def weight_rule(text: str, more: Mapping[str, Any]) -> WeightRule:
    """Return the rule in a text such as `twn`, `inq:5`, `qnn:log:4` or `lsq:4`.

    `more` may hold INQ's `schedule` and XNOR-Net's `k`, which reach the methods that know them.
    """
    name, _, bits = text.rpartition(":")
    method, width = (Method(name), int(bits)) if bits.isdecimal() else (Method(text), None)
    given: dict[str, Any] = {} if width is None else {"bits": width}
    if "schedule" in more and method is Method.INQ:
        given["schedule"] = tuple(float(s) for s in more["schedule"])
    if more.get("k") and method is Method.BWN:
        given["k"] = True
    return WeightRule(method, **given)


def act_rule(text: str) -> ActRule:
    """Return the rule in a text such as `binary`, `lsq:2`, `fixed:8`, `dorefa:2` or `none`."""
    name, _, bits = text.partition(":")
    return ActRule(Act(name), int(bits)) if bits else ActRule(Act(name))


def _read(read: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return read(value)
    except (ValueError, TypeError, AttributeError):
        names = ", ".join(m.value for m in (Act if "act" in where or "inputs" in where else Method))
        if "optimizer" in where:
            names = ", ".join(m.value for m in Optimizer)
        raise CompileError(
            f"recipe {where} = {value!r} is not understood; choose {names}"
        ) from None


def _number(table: Mapping[str, Any], key: str, default: float = 0) -> Any:
    value = table.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CompileError(f"recipe [train] {key} = {value!r} must be a number")
    if key in _WHOLE and value != int(value):
        raise CompileError(f"recipe [train] {key} = {value!r} must be a whole number")
    return int(value) if key in _WHOLE else value


def _distill(table: Mapping[str, Any]) -> Distill:
    """Return the teacher's part of the loss."""
    given: dict[str, Any] = {
        k: float(_number(table, k))
        for k in ("temperature", "label_share", "hint_share")
        if k in table
    }
    if "distill" in table:
        names = {s.value: s for s in Soft}
        if table["distill"] not in names:
            raise CompileError(
                f"recipe [train] distill = {table['distill']!r}: choose {', '.join(names)}"
            )
        given["soft"] = names[table["distill"]]
    if "hints" in table:
        pairs = table["hints"]
        if not isinstance(pairs, list) or any(
            not isinstance(p, list) or len(p) != _PAIR for p in pairs
        ):
            raise CompileError(
                "recipe [train] hints must be pairs of tensor names, [[teacher, student]]"
            )
        given["hints"] = tuple((str(t), str(s)) for t, s in pairs)
    return Distill(**given)
