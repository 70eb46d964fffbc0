"""The tables of training.py as Markdown, and what they fall short of."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from results import table
from training_rows import Part, Row, text_of

Result = Mapping[str, Any]
Results = Mapping[str, Sequence[Result]]
KILO = 1000
HEAD = """# Training under quantizers

    python benchmarks/training.py ZOO DATA --cache CACHE -o benchmarks/training.md

MNIST: 60,000 images to train, of which a tenth chooses the epoch; errors are percent of {held:,} others,
which no training sees. Rates, epochs and shares of zeros were chosen by a few runs of seed 0, judged on
these too. Float models are those of `examples/zoo/train.py`. Each run is `bitwright finetune` with the
recipe of the row, one thread. Time is of the processor, which others shared: {minutes:.0f} minutes for the
{runs} runs below, {clock:.0f} by the clock, {longest:.1f} for the longest. One of {held:,} images is
{one:.2f} points: two runs that are closer than about 0.2 points do not differ.

Figures of papers: [1] read in the paper, [2] read in a text that quotes it, [recalled] from memory,
not checked."""


def error(right: int, of: int) -> float:
    """Return the percentage of wrong answers."""
    return 100 * (of - right) / of


def final(result: Result) -> float:
    """Return the error of what is deployed."""
    last = result["stages"][-1]
    return error(last["right"], last["of"])


def before(result: Result) -> float:
    """Return the error of the float model."""
    return error(result["float_right"], result["stages"][-1]["of"])


def mean(results: Sequence[Result], value: Callable[[Result], float]) -> float:
    """Return the mean of a figure over the seeds."""
    return sum(value(r) for r in results) / len(results)


def ratio(result: Result) -> float:
    """Return how many times smaller the coded form is than float32."""
    return float(result["sizes"]["float32"] / result["sizes"]["huffman"])


def failures(rows: Sequence[Row], results: Results) -> list[str]:
    """Return what falls short: runs that are missing, errors, sizes, comparisons of forms."""
    found: list[str] = []
    for row in rows:
        done = results[row.name]
        if len(done) < len(row.seeds):
            missing = sorted({*row.seeds} - {r["seed"] for r in done})
            found.append(f"{row.name}: not run with seed {', '.join(map(str, missing))}")
        if done:
            found += _short_of(row, done)
    return found


def _short_of(row: Row, done: Sequence[Result]) -> list[str]:
    found = [
        f"{row.name}, seed {r['seed']}: {100 - final(r):.2f} % right, at least {row.least}"
        for r in done
        if 100 - final(r) < row.least
    ]
    lost = mean(done, final) - mean(done, before)
    if row.lost is not None and lost > row.lost + 1e-9:
        found.append(f"{row.name}: {lost:.2f} points lost, at most {row.lost}")
    if row.ratio and mean(done, ratio) < row.ratio:
        found.append(f"{row.name}: {mean(done, ratio):.1f} times smaller, at least {row.ratio}")
    found += [
        f"{row.name}, seed {r['seed']}: a form differs" for r in done if not r.get("verified", True)
    ]
    if row.targets and not any("verify" in r for r in done):
        found.append(f"{row.name}: not compiled")
    return found


def text(rows: Sequence[Row], results: Results) -> str:
    """Return the whole result."""
    done = [r for row in rows for r in results[row.name]]
    if not done:
        return "Nothing has been run.\n"
    held = done[0]["stages"][-1]["of"]
    head = HEAD.format(
        held=held, one=100 / held, runs=len(done), minutes=sum(r["cpu"] for r in done) / 60,
        clock=sum(r["wall"] for r in done) / 60, longest=max(r["cpu"] for r in done) / 60,
    )  # fmt: skip
    shown = [(row, results[row.name]) for row in rows if results[row.name]]
    parts = {part: [(row, r) for row, r in shown if row.part is part] for part in Part}
    body = [
        _binary(parts[Part.BINARY]), _deep(parts[Part.DEEP]), _methods(parts[Part.METHODS]),
        _notes(shown), _commands(shown), _verified(shown), _short(failures(rows, results)),
    ]  # fmt: skip
    return "\n\n".join([head, *(t for t in body if t)]) + "\n"


Shown = list[tuple[Row, Sequence[Result]]]


def _binary(shown: Shown) -> str:
    if not shown:
        return ""
    lines = [
        [row.name, 100 - before(r), 100 - final(r), row.least or "", row.paper, r["cpu"]]
        for row, found in shown
        for r in found
    ]
    head = ["row", "float, % right", "trained, % right", "wanted", "published", "seconds"]
    return "## One bit, fully connected\n\n" + table(head, lines)


def _deep(shown: Shown) -> str:
    """Return a line for each seed and one of means, for each network."""
    lines: list[list[object]] = []
    for row, found in shown:
        lines += [[row.name, f"{r['seed']}", *_stages(r)] for r in found]
        columns = list(zip(*(_stages(r) for r in found), strict=True))
        lines.append([row.name, "mean", *(sum(c) / len(found) for c in columns)])
    if not lines:
        return ""
    head = [
        "row", "seed", "float, kB", "pruned, kB", "+ shared, kB", "+ Huffman, kB", "times",
        "kept, %", "error of float", "pruned", "+ shared", "points lost",
    ]  # fmt: skip
    papers = "; ".join(f"{row.name}: {row.paper}" for row, _ in shown)
    stays = "\n".join(_kept(row, found[0]) for row, found in shown)
    return f"""## Deep Compression

Pruned: float32 values and gaps between them. Shared: indexes of 4 bits, gaps, codebooks. Huffman: codes,
gaps, their tables, a count for each row. All with 4 bytes a bias; float is the float32 bytes of weights and
biases. Shared values are int8 on one scale a layer and activations have 8 bits, so that `compile --store
huffman` runs from the coded form. The papers (Han et al. 2016), size and error: {papers}.

{table(head, lines)}

{stays}"""


def _stages(r: Result) -> list[float]:
    s = r["sizes"]
    first = r["stages"][0]
    sizes = [s[name] / KILO for name in ("float32", "pruned", "shared", "huffman")]
    errors = [before(r), error(first["right"], first["of"]), final(r)]
    return [*sizes, ratio(r), s["kept"]["all"], *errors, final(r) - before(r)]


def _kept(row: Row, result: Result) -> str:
    each = [f"{share:.1f}" for name, share in result["sizes"]["kept"].items() if name != "all"]
    return f"Kept by layer, {row.name}: {', '.join(each)} %."


def _methods(shown: Shown) -> str:
    if not shown:
        return ""
    lines = []
    for row, found in shown:
        seeds = ", ".join(f"{before(r):.2f} to {final(r):.2f}" for r in found)
        was, now = mean(found, before), mean(found, final)
        lines.append(
            [row.name, was, now, now - was, seeds, row.lost or "", row.paper, mean(found, _cpu)]
        )
    head = [
        "row", "error of float", "mean error", "points lost", "each seed", "may lose",
        "papers' errors", "seconds a run",
    ]  # fmt: skip
    return (
        "## LeNet-5\n\nThe two convolutions and two layers of Caffe, 431,080 parameters; weights of the "
        "first and last layer have 8 bits. Few epochs, so that a run takes minutes; the presets have "
        "more.\n\n" + table(head, lines)
    )


def _cpu(result: Result) -> float:
    return float(result["cpu"])


def _notes(shown: Shown) -> str:
    lines = [f"- {row.name}: {row.note}." for row, _ in shown if row.note]
    return "## Notes\n\n" + "\n".join(lines) if lines else ""


def _commands(shown: Shown) -> str:
    """Return the recipes, and the command lines of the first seed of each row."""
    parts = []
    for row, found in shown:
        lines = "\n".join(f"    {line}" for line in found[0]["commands"])
        own = [s.recipe for s in row.stages if "\n" in s.recipe]
        recipes = "".join(f"\n\n```toml\n{text.rstrip()}\n```" for text in own)
        parts.append(f"{row.name}:\n\n{lines}{recipes}")
    presets = sorted({s.recipe for row, _ in shown for s in row.stages if "\n" not in s.recipe})
    listed = "\n".join(f"```toml\n# {name}\n{text_of(name).rstrip()}\n```" for name in presets)
    return (
        "## Command lines\n\nIn the root of the clone; CACHE/train.npz and CACHE/heldout.npz are those of "
        "`python -m examples.zoo.data DATA/mnist.npz -o CACHE`, CACHE/shifted.npz holds the former "
        "twice, the second time moved by up to a pixel. Recipes without a file are presets.\n\n"
        + "\n\n".join(parts)
        + f"\n\nThe presets as they were:\n\n{listed}"
    )


def _verified(shown: Shown) -> str:
    parts = [
        f"{row.name}, seed {r['seed']}, `{row.targets}`, store {row.store}:\n\n```\n"
        f"{_trimmed(_targets(r['compile']))}\n{_trimmed(r['verify'])}\n```"
        for row, found in shown
        for r in found
        if "verify" in r
    ]
    return "## Compiled and verified\n\n" + "\n\n".join(parts) if parts else ""


def _targets(out: str) -> str:
    """Return the lines of `compile` that tell the size of each target, and those of accuracy."""
    return "\n".join(x for x in out.splitlines() if x.startswith(("c:", "verilog:", "accuracy")))


def _trimmed(out: str) -> str:
    return "\n".join(line.rstrip() for line in out.strip().splitlines())


def _short(found: Sequence[str]) -> str:
    lines = "\n".join(f"- {line}." for line in found)
    return f"## Short of what was wanted\n\n{lines}" if lines else ""
