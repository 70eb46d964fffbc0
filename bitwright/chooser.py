"""Choose a recipe under a budget: sensitivity, knapsack, compress, measure, and try again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bitwright.backends.report.before_after import Layer, layer_reports, report_json, total_of
from bitwright.backends.report.front_plot import FrontPoint
from bitwright.backends.report.price import price_list
from bitwright.compressor import compress_by, recipe_of, samples_of
from bitwright.errors import CompileError
from bitwright.frontend.data import Data
from bitwright.ir.graph import Array, Graph
from bitwright.options import CompileOptions
from bitwright.passes.compress.budget import Front, Item, Point
from bitwright.passes.compress.choose import Compressed, Tell
from bitwright.passes.compress.plan import layers_of
from bitwright.passes.compress.recipe import Recipe
from bitwright.passes.compress.recipe_text import recipe_text
from bitwright.passes.compress.sensitivity import (
    DEFAULT_CHOICES,
    Choice,
    LayerTrials,
    parse_choice,
    sensitivity,
    with_choices,
)
from bitwright.sim.accuracy import predictions
from bitwright.sim.judge import Judge

BASE = "int4"  # the preset below a budget when no recipe is given
_MEASURED = 10  # most recipes that one loss is measured for
_BYTES = {"": 1, "b": 1, "kb": 1000, "kib": 1024, "mb": 1000**2, "mib": 1024**2}
_COUNTS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Goal:
    """What is kept to: bytes of weights and biases, MAC-bits, or points of accuracy that may go."""

    bytes: int | None = None
    mac_bits: int | None = None
    max_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A recipe, what it made of the model, its layers' report, and the damage that was predicted."""

    recipe: Recipe
    found: Compressed
    layers: tuple[Layer, ...]
    damage: float | None

    @property
    def bytes(self) -> int:
        """The bytes of all weights and biases."""
        return sum(r.bytes for r in self.layers)

    @property
    def mac_bits(self) -> int:
        """The multiplications, each times the bits of both sides."""
        return sum(r.mac_bits for r in self.layers)


def goal_of(budget: str | None, mac_bits: str | None, max_loss: float | None) -> Goal | None:
    """Return what the options ask for, None for nothing; CompileError for more than one."""
    given = [budget is not None, mac_bits is not None, max_loss is not None]
    if sum(given) > 1:
        raise CompileError("choose one of --budget, --mac-bits and --max-loss")
    if max_loss is not None and not 0 <= max_loss < 100:  # noqa: PLR2004
        raise CompileError(f"--max-loss {max_loss:g}: give points of accuracy, 0 to 100")
    if not any(given):
        return None
    return Goal(
        None if budget is None else _quantity("--budget", budget, _BYTES, "40KB"),
        None if mac_bits is None else _quantity("--mac-bits", mac_bits, _COUNTS, "200M"),
        max_loss,
    )


def choices_of(text: str | None) -> tuple[Choice, ...]:
    """Return the choices in a text such as `binary,int:4,int:4@magnitude:0.5`, or those by default."""
    if text is None:
        return DEFAULT_CHOICES
    return tuple(parse_choice(part.strip()) for part in text.split(",") if part.strip())


def base_recipe(options: CompileOptions) -> Recipe:
    """Return the recipe that says all but the weights; CompileError where --weights says these too."""
    if options.weights is not None:
        raise CompileError("--weights gives all layers one kind; name the kinds with --choices")
    return recipe_of(options if options.recipe else replace(options, recipe=BASE))


def try_layers(
    graph: Graph,
    recipe: Recipe,
    samples: Mapping[str, Array],
    choices: Sequence[Choice] = DEFAULT_CHOICES,
    *,
    tell: Tell | None = None,
) -> tuple[LayerTrials, ...]:
    """Return `sensitivity` with the bytes and MAC-bits of every trial."""
    prices = partial(price_list, recipe=recipe)
    return sensitivity(graph, recipe, choices, samples, price=prices, tell=tell)


def compress_as(
    graph: Graph,
    options: CompileOptions,
    goal: Goal | None,
    choices: Sequence[Choice],
    data: Data | None = None,
    tell: Tell | None = None,
) -> Chosen:
    """Return a float graph compressed as the options ask, or as a goal does, choosing layer by layer.

    A loss is measured on `data`, on the calibration samples without it.
    """
    samples = samples_of(graph, options)
    if goal is None:
        recipe = recipe_of(options)
        found = compress_by(graph, recipe, samples.inputs, tell)
        return Chosen(recipe, found, layer_reports(graph, found, recipe), None)
    recipe = base_recipe(options)
    judge = None if goal.max_loss is None else judge_of(graph, data or samples)
    layers = try_layers(graph, recipe, samples.inputs, choices, tell=tell)
    return Chooser(graph, recipe, samples.inputs, layers, tell).reach(goal, judge)


def recipe_path(output: Path) -> Path:
    """Return where the recipe of a compressed model goes: net.recipe.toml beside net.q.onnx."""
    stem = output.name.removesuffix(".onnx").removesuffix(".q")
    return output.with_name(f"{stem}.recipe.toml")


def judge_of(graph: Graph, data: Data) -> Judge:
    """Return what compares compressed forms of `graph` with it on some samples."""
    return Judge(graph, data.inputs, data.labels)


def recipe_file(chosen: Chosen) -> bytes:
    """Return the TOML of the recipe, which compresses the same model to the same bytes again."""
    comment = f"{chosen.bytes:,} bytes of weights and biases, {chosen.mac_bits:,} MAC-bits."
    return recipe_text(chosen.recipe, comment).encode()


def report_file(graph: Graph, chosen: Chosen, model: str, data: Data | None) -> bytes:
    """Return the report of a compression as JSON; accuracies where there are samples."""
    accuracy = None
    if data is not None and predictions(graph, data.first(1).inputs).dtype.kind != "f":
        accuracy = judge_of(graph, data).accuracy(chosen.found.graph)
    counts = [op.inputs[1].type.size for op in layers_of(graph)]
    return report_json(chosen.layers, total_of(chosen.layers, counts), accuracy, {"model": model})


class Chooser:
    """Recipes for one float model, from the least to the greatest."""

    def __init__(
        self,
        graph: Graph,
        recipe: Recipe,
        samples: Mapping[str, Array],
        layers: Sequence[LayerTrials],
        tell: Tell | None = None,
    ) -> None:
        """Remember what to choose from; `layers` are those of `try_layers` with the same recipe."""
        self._graph, self._recipe, self._samples = graph, recipe, samples
        self._layers, self._tell = layers, tell
        self.by_bytes = Front([[Item(t.cost.bytes, t.damage) for t in r.trials] for r in layers])

    def by_mac_bits(self) -> Front:
        """Return the front of MAC-bits."""
        return Front([[Item(t.cost.mac_bits, t.damage) for t in r.trials] for r in self._layers])

    def compressed(self, point: Point) -> Chosen:
        """Compress as a point of a front says."""
        recipe = with_choices(self._recipe, self._layers, point.picks)
        found = compress_by(self._graph, recipe, self._samples, self._tell)
        return Chosen(recipe, found, layer_reports(self._graph, found, recipe), point.damage)

    def reach(self, goal: Goal, judge: Judge | None) -> Chosen:
        """Return the recipe with the least damage, or for a loss the smallest, that keeps the goal.

        CompileError, with the least that can be met, where none does.
        """
        if goal.bytes is not None:
            return self._fitting(self.by_bytes, goal.bytes, "bytes", "--budget")
        if goal.mac_bits is not None:
            return self._fitting(self.by_mac_bits(), goal.mac_bits, "mac_bits", "--mac-bits")
        if goal.max_loss is None or judge is None:
            raise ValueError("no goal, or no judge of the loss")
        return self._losing(goal.max_loss, judge)

    def _fitting(self, front: Front, budget: int, unit: str, option: str) -> Chosen:
        """Return the best point whose real cost keeps the budget; coded weights may miss the price."""
        target, least = budget, int(front.costs[0])
        while (index := front.within(target)) is not None:
            chosen = self.compressed(front.point(index))
            used = int(getattr(chosen, unit))
            if used <= budget:
                return chosen
            least = max(least, used) if index == 0 else least
            target = min(int(front.costs[index]) - 1, target - (used - budget))
        name = unit.replace("_", "-").replace("mac-bits", "MAC-bits")
        raise CompileError(
            f"{option} {budget:,} {name} cannot be met: the smallest that can is {least:,} {name}; "
            "a recipe that prunes channels, or more --choices, go below"
        )

    def _losing(self, most: float, judge: Judge) -> Chosen:
        """Return the smallest that loses at most `most` points, by bisection.

        First among the points that a Lagrange multiplier finds, then between two of them.
        """
        front, hull = self.by_bytes, self.by_bytes.hull()
        chosen = self.compressed(front.point(hull[-1]))
        lost = judge.loss(chosen.found.graph)
        if lost > most:
            raise CompileError(
                f"--max-loss {most:g} cannot be met: where the choices do least damage, at "
                f"{chosen.bytes:,} bytes, {lost:.2f} points are lost; give more --activations, or "
                "train with bitwright finetune"
            )
        indices = hull
        low, high = -1, len(hull) - 1  # loses too much, or is no point; and does not
        for _ in range(_MEASURED):
            if high - low <= 1 and indices is hull:
                first = indices[low] if low >= 0 else indices[high] - 1
                indices = list(range(first, indices[high] + 1))
                low, high = 0, len(indices) - 1
            if high - low <= 1:
                break
            middle = (low + high) // 2
            tried = self.compressed(front.point(indices[middle]))
            if judge.loss(tried.found.graph) <= most:
                chosen, high = tried, middle
            else:
                low = middle
        return chosen


def spread(front: Front, count: int) -> list[Point]:
    """Return at most `count` points of a front's hull, ends included, evenly apart in the size."""
    hull = front.hull()
    sizes = np.log([max(int(front.costs[i]), 1) for i in hull])
    places = np.linspace(sizes[0], sizes[-1], count)
    return [front.point(hull[i]) for i in sorted({int(np.abs(sizes - p).argmin()) for p in places})]


def _quantity(option: str, text: str, units: Mapping[str, int], example: str) -> int:
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2].lower() not in units:
        names = ", ".join(u.upper() for u in units if u).replace("IB", "iB")
        raise CompileError(
            f"{option} {text!r}: give a number and {names} or nothing, as in {example}"
        )
    return int(float(found[1]) * units[found[2].lower()])


@dataclass(frozen=True, slots=True)
class Explored:
    """The measured front of a model; `labelled` says that percentages are of right classes."""

    points: tuple[FrontPoint, ...]
    original: FrontPoint
    labelled: bool

    def plain(self, model: str) -> dict[str, object]:
        """Return the front as JSON holds it."""
        return {
            "front": [asdict(p) for p in self.points],
            "float": asdict(self.original),
            "labelled": self.labelled,
            "model": model,
        }


def explored(
    graph: Graph,
    options: CompileOptions,
    choices: Sequence[Choice],
    data: Data,
    count: int,
    tell: Tell | None = None,
) -> Explored:
    """Return at most `count` points of the front, from the smallest recipe to the greatest."""
    samples, recipe = samples_of(graph, options).inputs, base_recipe(options)
    judge = judge_of(graph, data)
    layers = try_layers(graph, recipe, samples, choices, tell=tell)
    chooser = Chooser(graph, recipe, samples, layers, tell)
    made = [chooser.compressed(p) for p in spread(chooser.by_bytes, count)]
    points = tuple(
        FrontPoint(", ".join(r.kind for r in m.layers), m.bytes, judge.percent(m.found.graph))
        for m in made
    )
    size = sum(r.bytes_before for r in made[0].layers)
    return Explored(points, FrontPoint("float", size, judge.best), judge.labelled)
