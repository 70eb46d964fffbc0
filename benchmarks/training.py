"""Train the networks of the zoo under quantizers, prune and code them: the tables of fine-tuning.

    python benchmarks/training.py ZOO DATA --cache CACHE -o benchmarks/training.md

ZOO holds lenet5-s{0,1,2}.onnx, lenet-300-100-s{0,1,2}.onnx and tfc-s0.onnx as examples/zoo/train.py
writes them, DATA holds mnist.npz. Each run is the command line that the table prints, one thread each;
what is finished stays in CACHE, so that the script goes on where it was broken off. `--only ROW` runs
one row; with `--collect` nothing is trained, and rows that are not in CACHE are named as missing.
"""

import argparse
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import finish
from training_rows import ROWS, Part, Row, Stage, digest, stage_digest
from training_sizes import kept, open_graph, plain_bytes, pruned_bytes, stored_bytes
from training_text import failures, text

ROOT = Path(__file__).parents[1]
PREPROCESS = "0,1,0.00392156862745098"
RIGHT = re.compile(r"accuracy of the (?:compressed )?model +[\d.]+ % \((\d+) of (\d+)\)")
HOUR = 3600
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Place:
    """The folders of a run: models, mnist.npz, and what is kept."""

    zoo: Path
    data: Path
    cache: Path

    def model(self, name: str, seed: int) -> Path:
        """Return the float model of a row; SFC starts from random weights."""
        path = self.zoo / f"{name}-s{seed}.onnx"
        return path if path.is_file() else self.cache / path.name


@dataclass(frozen=True)
class Ran:
    """What a command printed, its seconds by the clock and of the processor, its exit code."""

    command: str
    out: str
    wall: float
    cpu: float
    code: int = 0


def run(*words: object, check: bool = True) -> Ran:
    """Run `bitwright` or a module of this clone; exit with its message when it fails."""
    tool = Path(sys.executable).with_name("bitwright")
    line = [str(w) for w in words]
    command = [sys.executable, *line] if line[0] == "-m" else [str(tool), *line]
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=HOUR,
        env={**os.environ, **ONE_THREAD, "COLUMNS": "160"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if check and done.returncode:
        raise SystemExit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shown = shlex.join(["python" if line[0] == "-m" else "bitwright", *line])
    return Ran(shown, done.stdout, time.monotonic() - start, cpu, done.returncode)


def ready(place: Place) -> None:
    """Write the samples as the commands read them, and the random SFC, where they are missing."""
    place.cache.mkdir(parents=True, exist_ok=True)
    if not (place.cache / "heldout.npz").exists():
        run("-m", "examples.zoo.data", place.data / "mnist.npz", "-o", place.cache)
    if not (place.cache / "shifted.npz").exists():
        shift(place.cache / "train.npz", place.cache / "shifted.npz")
    sfc = place.cache / "sfc-s0.onnx"
    if not sfc.exists():
        run("-m", "examples.zoo.export", "sfc", "-o", sfc)


def shift(source: Path, target: Path) -> None:
    """Write the images twice, the second time moved around the edges by up to one pixel."""
    with np.load(source) as npz:
        images, labels = npz["image"], npz["y"]
    by = np.random.default_rng(0).integers(-1, 2, (len(images), 2))
    moved = np.stack(
        [np.roll(x, b, axis=(-2, -1)) for x, b in zip(images, by.tolist(), strict=True)]
    )
    np.savez_compressed(
        target, image=np.concatenate([images, moved]), y=np.concatenate([labels, labels])
    )


def finetune(place: Place, stage: Stage, model: Path, out: Path, seed: int) -> Ran:
    """Run one stage, which writes `out`, and return what it printed; from CACHE if it is there."""
    file = out.with_suffix(".stage.json")
    key = stage_digest(stage, model)
    if file.exists() and out.exists():
        kept_run = json.loads(file.read_text())
        if kept_run.pop("key") == key:
            return Ran(**kept_run)
    recipe = stage.recipe
    if "\n" in recipe:
        toml = out.with_suffix(".toml")
        toml.write_text(recipe)
        recipe = str(toml)
    teacher = ["--teacher", place.model(stage.teacher, seed)] if stage.teacher else []
    data = "shifted.npz" if stage.shifted else "train.npz"
    epochs = ["--epochs", stage.epochs] if stage.epochs else []
    ran = run(
        "finetune", model, "--recipe", recipe, "--data", place.cache / data,
        "--test", place.cache / "heldout.npz", "--preprocess", PREPROCESS, "--seed", seed,
        *teacher, *epochs, "-o", out,
    )  # fmt: skip
    file.write_text(json.dumps({"key": key, **asdict(ran)}))
    return ran


def measure(place: Place, row: Row, seed: int) -> dict[str, Any]:
    """Run all stages of a row for one seed and return what the table shows of it."""
    first = model = place.model(row.model, seed)
    runs: list[Ran] = []
    stages: list[dict[str, Any]] = []
    for stage in row.stages:
        out = place.cache / f"{row.name}-s{seed}-{stage.name}.onnx"
        ran, model = finetune(place, stage, model, out, seed), out
        found = [(int(a), int(b)) for a, b in RIGHT.findall(ran.out)]
        runs.append(ran)
        stages.append({"name": stage.name, "right": found[-1][0], "of": found[-1][1]})
        if stage is row.stages[0]:
            before = found[0][0]
    result: dict[str, Any] = {
        "row": row.name, "seed": seed, "float_right": before, "stages": stages,
        "printed": [ran.out for ran in runs],
    }  # fmt: skip
    if row.part is Part.DEEP:
        result["sizes"] = sizes(first, place, row, seed)
    if row.targets and seed == 0:
        compiled = deploy(place, row, model)
        runs += compiled
        result["verify"] = compiled[-1].out
        result["verified"] = compiled[-1].code == 0
        result["compile"] = compiled[0].out
    return result | {
        "commands": [_short(ran.command, place) for ran in runs],
        "wall": round(sum(ran.wall for ran in runs[: len(stages)]), 1),
        "cpu": round(sum(ran.cpu for ran in runs[: len(stages)]), 1),
    }


def _short(command: str, place: Place) -> str:
    names = {place.cache: "CACHE", place.zoo: "ZOO", place.data: "DATA"}
    for path in sorted(names, key=lambda p: -len(str(p))):
        command = command.replace(f"{path}/", f"{names[path]}/")
    return command


def sizes(first: Path, place: Place, row: Row, seed: int) -> dict[str, Any]:
    """Return the bytes of each stage of Deep Compression, and the share of weights that stay."""
    pruned, shared = (
        open_graph(place.cache / f"{row.name}-s{seed}-{stage.name}.onnx") for stage in row.stages
    )
    return {
        "float32": plain_bytes(open_graph(first)),
        "pruned": pruned_bytes(pruned),
        "shared": stored_bytes(shared, "sparse-codebook"),
        "huffman": stored_bytes(shared, "huffman"),
        "kept": kept(pruned),
    }


def deploy(place: Place, row: Row, model: Path) -> list[Ran]:
    """Compile a trained model and compare all its forms."""
    folder = place.cache / f"{row.name}-build"
    samples = ["--data", place.cache / "heldout.npz", "--preprocess", PREPROCESS]
    compiled = run(
        "compile", model, "--target", row.targets, "--store", row.store, *samples, "--force",
        "-o", folder,
    )  # fmt: skip
    verified = run("verify", folder, *samples, check=False)
    if not verified.out.strip():
        raise SystemExit(f"verify of {folder} printed nothing")
    return [compiled, verified]


def cached(place: Place, row: Row, seed: int, *, collect: bool) -> dict[str, Any] | None:
    """Return the result of a run from CACHE, or run it; None where it is missing and not to run."""
    model = place.model(row.model, seed)
    file = place.cache / f"{row.name}-s{seed}.json"
    key = digest(row, model)
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text())
        if found["key"] == key:
            return _shown(found, place)
    if collect:
        return None
    result = {"key": key, **measure(place, row, seed)}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1))
    part.replace(file)
    last = result["stages"][-1]
    print(
        f"{row.name}, seed {seed}: {last['right']} of {last['of']}, {result['cpu']} s", flush=True
    )
    return _shown(result, place)


def _shown(result: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return a result as it is published: no folders of this machine, no line for each epoch."""
    kept_part = {k: v for k, v in result.items() if k not in {"printed", "key"}}
    found: dict[str, Any] = json.loads(_short(json.dumps(kept_part), place))
    return found


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("zoo", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="the Markdown to write, JSON beside it")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", choices=[row.name for row in ROWS], action="append")
    parser.add_argument("--seed", type=int, action="append", help="only these seeds")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    return parser.parse_args()


def main() -> int:
    """Run what is missing and write the tables."""
    args = parse()
    place = Place(args.zoo.resolve(), args.data.resolve(), args.cache.resolve())
    ready(place)
    results: dict[str, list[dict[str, Any]]] = {}
    for row in ROWS:
        if args.only and row.name not in args.only:
            continue
        seeds = [s for s in row.seeds if not args.seed or s in args.seed]
        found = [cached(place, row, s, collect=args.collect) for s in seeds]
        results[row.name] = [f for f in found if f is not None]
    shown = [row for row in ROWS if row.name in results]
    return finish(args.output, text(shown, results), results, failures(shown, results))


if __name__ == "__main__":
    sys.exit(main())
