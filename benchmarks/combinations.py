"""Measure every subset of pruning, binary weights and distillation on one MobileNet-style network.

    python benchmarks/combinations.py ZOO DATA --cache CACHE -o benchmarks/combinations.md

ZOO holds mobilenet-small-s0.onnx as examples/zoo/train.py writes it, DATA holds mnist.npz. Each row is
two runs of `bitwright finetune`, one thread each. What is finished stays in CACHE, so that the script
goes on where it was broken off. With `--collect` nothing is trained: rows that CACHE lacks are left out.
`--further` adds the pruned rows at a second density.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from combinations_rows import (
    FURTHER,
    POINTWISE,
    ROWS,
    Effort,
    Row,
    first_recipe,
    pointwise_bytes,
    second_recipe,
    sizes,
)
from combinations_text import failures, published, text
from results import finish
from training import PREPROCESS, Ran, run

import bitwright
from bitwright.compiler import load
from bitwright.ir.graph import Graph
from bitwright.options import CompileOptions
from bitwright.passes.compress.plan import layers_of
from bitwright.sim.accuracy import predictions
from bitwright.sim.outcome import Status

MODEL = "mobilenet-small-s0.onnx"
SEEDS = (0, 1)
DENSITIES = (0.5, 0.3, 0.2, 0.15, 0.1, 0.05)
COMPILED = (ROWS[0], ROWS[-1])  # none and all three
FRAMES = (
    200  # samples that verify runs through the C, and as many of them as it can through the RTL
)

Found = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """The model, mnist.npz, the folder of what is kept, and what every row is given."""

    model: Path
    data: Path
    cache: Path
    effort: Effort
    collect: bool

    def kept(self, name: str, key: str, make: Callable[[], Found]) -> Found | None:
        """Return a result from CACHE, or make it; None where it is missing and not to be made."""
        file = self.cache / f"{name}.json"
        digest = hashlib.sha256(f"{key}\n{self.effort}".encode() + self.model.read_bytes())
        if file.exists():
            found: Found = json.loads(file.read_text())
            if found["key"] == digest.hexdigest():
                return found
        if self.collect:
            return None
        found = {"key": digest.hexdigest(), **make()}
        part = file.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1))
        part.replace(file)
        print(
            name, {k: v for k, v in found.items() if k in {"right", "cpu", "verified"}}, flush=True
        )
        return found


def ready(place: Place) -> None:
    """Write the samples as the commands read them."""
    place.cache.mkdir(parents=True, exist_ok=True)
    count = place.effort.samples
    file = np.load(place.data)
    for name, images, labels in (
        (f"train-{count}.npz", file["x_train"][:count], file["y_train"][:count]),
        ("heldout.npz", file["x_test"], file["y_test"]),
        ("few.npz", file["x_test"][:FRAMES], file["y_test"][:FRAMES]),
    ):
        if not (place.cache / name).exists():
            path = place.cache / f"part-{name}"
            np.savez(path, allow_pickle=False, image=images[:, None], y=labels.astype(np.int64))
            path.replace(place.cache / name)


def wrong_images(graph: Graph, place: Place) -> list[int]:
    """Return which held-out images the graph gives a wrong class."""
    file = np.load(place.cache / "heldout.npz")
    (entry,) = graph.inputs
    images = (file["image"] / np.float32(255)).astype(np.float32).reshape(-1, *entry.shape)
    return [int(i) for i in np.flatnonzero(predictions(graph, {entry.name: images}) != file["y"])]


def trained(place: Place, model: Path, recipe: str, out: Path, seed: int) -> Ran:
    """Run `bitwright finetune`; the float original teaches where the recipe asks for a teacher."""
    file = out.with_suffix(".toml")
    file.write_text(recipe)
    return run(
        "finetune", model, "--recipe", file, "--data",
        place.cache / f"train-{place.effort.samples}.npz", "--teacher", place.model,
        "--preprocess", PREPROCESS, "--seed", seed, "-o", out,
    )  # fmt: skip


def scored(place: Place, ran: Ran, out: Path) -> Found:
    """Return what a run came to: wrong images, time, its command."""
    graph = load(out, CompileOptions())
    wrong = wrong_images(graph, place)
    return {
        "wrong": wrong, "right": 100 - 100 * len(wrong) / _held(place), "cpu": round(ran.cpu, 1),
        "wall": round(ran.wall, 1), "command": _short(ran.command, place), "printed": ran.out,
    }  # fmt: skip


def _held(place: Place) -> int:
    return int(np.load(place.cache / "heldout.npz")["y"].size)


def _short(command: str, place: Place) -> str:
    for path, name in ((place.cache, "CACHE"), (place.model.parent, "ZOO")):
        command = command.replace(f"{path}/", f"{name}/")
    return command


def first_stage(place: Place, row: Row, seed: int) -> tuple[Found | None, Path]:
    """Return the float network of a row, pruned or only trained on, and how it was made."""
    name = f"first-{row.density:g}-s{seed}"
    out, recipe = place.cache / f"{name}.onnx", first_recipe(row, place.effort)

    def make() -> Found:
        return scored(place, trained(place, place.model, recipe, out, seed), out)

    return place.kept(name, recipe, make), out


def second_stage(place: Place, row: Row, seed: int) -> tuple[Found | None, Path]:
    """Return the quantized network of a row, how it was made and what it takes."""
    first, model = first_stage(place, row, seed)
    name = f"{row.key}-s{seed}"
    out, recipe = place.cache / f"{name}.onnx", second_recipe(row, place.effort)

    def make() -> Found:
        found = scored(place, trained(place, model, recipe, out, seed), out)
        return found | {"size": sizes(load(out, CompileOptions()))}

    if first is None:
        return None, out
    return place.kept(name, first_recipe(row, place.effort) + recipe, make), out


def compiled(place: Place, row: Row) -> Found | None:
    """Compile a row of the first seed for both targets and compare all its forms."""
    found, model = second_stage(place, row, SEEDS[0])
    if found is None:
        return None
    key = hashlib.sha256(model.read_bytes()).hexdigest()
    return place.kept(f"verified-{row.key}", key, lambda: _verified(place, row, model))


def _verified(place: Place, row: Row, model: Path) -> Found:
    folder, start = place.cache / f"build-{row.key}", time.process_time()
    made = bitwright.compile(
        model, folder, targets="c,verilog", store="small", data=place.cache / "few.npz",
        preprocess=tuple(float(x) for x in PREPROCESS.split(",")), force=True,
    )  # fmt: skip
    rungs = bitwright.verify(folder)
    bad = [f"{r.rung} {r.what}: {r.outcome.detail}" for r in rungs
           if r.outcome.status is not Status.PASS]  # fmt: skip
    c, rtl = (artifact.report for artifact in made.artifacts.values())
    return {
        "verified": not bad, "bad": bad, "rungs": sorted({r.rung for r in rungs}),
        "told": [f"{r.rung} {r.what}: {r.outcome.detail}" for r in rungs],
        "flash": c["flash_table_bytes"], "arena": c["arena"]["used_bytes"],
        "weight_bits": rtl["weight_bits"], "multipliers": rtl["multipliers"],
        "cycles": rtl["interval_cycles"], "cpu": round(time.process_time() - start, 1),
    }  # fmt: skip


def jobs(*, further: bool) -> Iterator[tuple[Row, int]]:
    """Yield rows and seeds, the most wanted first."""
    for rows in (ROWS, FURTHER) if further else (ROWS,):
        for seed in SEEDS:
            yield from ((row, seed) for row in rows)


def main() -> int:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("zoo", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="the Markdown to write, JSON beside it")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--collect", action="store_true", help="train nothing")
    parser.add_argument("--further", action="store_true", help="also prune to a tenth")
    args = parser.parse_args()
    place = Place(args.zoo.resolve() / MODEL, args.data.resolve() / "mnist.npz",
                  args.cache.resolve(), Effort(), args.collect)  # fmt: skip
    ready(place)
    graph = load(place.model, CompileOptions())
    original = place.kept("original", "", lambda: {"wrong": wrong_images(graph, place)})
    rows: dict[str, dict[str, Found]] = {}
    checks: dict[str, Found] = {}
    for row, seed in jobs(further=args.further):
        found, _ = second_stage(place, row, seed)
        if found is not None:
            first, _ = first_stage(place, row, seed)
            rows.setdefault(row.key, {})[str(seed)] = found | {"first": first}
        check = compiled(place, row) if row in COMPILED and seed == SEEDS[0] else None
        if check is not None:
            checks[row.key] = check
    data = {
        "held": _held(place), "original": original, "rows": rows, "checks": checks,
        "by_density": {f"{d:g}": pointwise_bytes(graph, d) for d in DENSITIES},
        "effort": vars(place.effort), "seeds": SEEDS,
        "pointwise": sum(op.inputs[1].type.size for op in layers_of(graph) if POINTWISE in op.loc),
    }  # fmt: skip
    return finish(args.output, text(data), published(data), failures(data))


if __name__ == "__main__":
    sys.exit(main())
