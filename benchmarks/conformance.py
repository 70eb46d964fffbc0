"""Run onnx's own node tests of neural-network operators through the generated C.

    python benchmarks/conformance.py NODE_DATA TESTS.tsv -o benchmarks/conformance.md

NODE_DATA is `onnx/backend/test/data/node` of the installed onnx 1.22.0 (which may live in another
environment); TESTS.tsv lists operator, test and whether onnx2c runs it. A test is tried as it is
and, where that is refused, with its parameters (weights, shapes, axes, scales) made constant.
Exit code 1 when a test fails: a wrong result, C that does not compile, or a traceback.
"""

import argparse
import csv
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from conformance_case import (
    ATOL,
    FAILED,
    PASSED,
    REFUSED,
    RTOL,
    Result,
    measure,
    read_case,
)
from results import finish, first_line, table

from bitwright.compiler import own_version

REASONS = 3  # of one operator, the commonest first


@dataclass(frozen=True)
class Listed:
    """A line of the list of tests."""

    operator: str
    test: str
    onnx2c: bool


def listed(path: Path, only: Sequence[str]) -> list[Listed]:
    """Return the tests of the list, of the operators in `only` when it names some."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    tests = [Listed(r["operator"], r["test"], r["onnx2c_runs_it"] == "1") for r in rows]
    return [t for t in tests if not only or t.operator in only or t.test in only]


def run_one(data: Path, cache: Path | None, test: Listed) -> Result:
    """Run one test of the list."""
    folder = data / test.test
    if not folder.is_dir():
        return Result(
            test.operator, test.test, "", FAILED, "the test is not in NODE_DATA", "missing"
        )
    return measure(read_case(folder, test.operator), cache)


def run_all(tests: Sequence[Listed], args: argparse.Namespace) -> list[Result]:
    """Run the tests in processes of their own; the order is that of the list."""
    with multiprocessing.Pool(args.jobs, maxtasksperchild=100) as pool:
        results = []
        for result in pool.imap(partial(run_one, args.data, args.cache), tests, chunksize=4):
            results.append(result)
            if result.result != PASSED or args.verbose:
                print(f"{result.test}: {result.result} {result.detail}", flush=True)
    return results


def totals(tests: Sequence[Listed], results: Sequence[Result]) -> dict[str, int]:
    """Return how many tests passed, were refused, failed; and how many onnx2c runs."""
    found = Counter(r.result for r in results)
    return {
        "tests": len(results),
        **{what: found[what] for what in (PASSED, REFUSED, FAILED)},
        "passed as they are": sum(r.result == PASSED and not r.frozen for r in results),
        "onnx2c": sum(t.onnx2c for t in tests),
        "onnx2c, not passed here": sum(
            t.onnx2c and r.result != PASSED for t, r in zip(tests, results, strict=True)
        ),
    }


def operator_rows(tests: Sequence[Listed], results: Sequence[Result]) -> Iterator[list[object]]:
    """Yield a row of the table for each operator, in the order of the alphabet."""
    pairs = list(zip(tests, results, strict=True))
    for operator in sorted({t.operator for t in tests}):
        mine = [(t, r) for t, r in pairs if t.operator == operator]
        count = Counter(r.result for _, r in mine)
        yield [
            operator, len(mine), *(count[what] for what in (PASSED, REFUSED, FAILED)),
            sum(t.onnx2c for t, _ in mine), ", ".join(sorted(claimed(r for _, r in mine))),
            reasons([r for _, r in mine]),
        ]  # fmt: skip


def claimed(results: Iterable[Result]) -> set[str]:
    """Return the element types of data that tests passed with; CastLike reads its type beside."""
    return {data_type(r) for r in results if r.result == PASSED}


def data_type(result: Result) -> str:
    """Return the element type of the first input, of an operator without inputs of its output."""
    return all_types(result)[0]


def all_types(result: Result) -> list[str]:
    """Return the element types of all inputs and outputs."""
    return result.types.replace(" -> ", ", ").split(", ")


def held_back(results: Sequence[Result]) -> list[list[object]]:
    """Return the tests that are refused although others of their operator and types pass."""
    passed = [r for r in results if r.result == PASSED]
    pairs = {(r.operator, data_type(r)) for r in passed}
    known = {kind for r in passed for kind in all_types(r)}
    return [
        [r.test, r.operator, r.types, reason(r.detail)]
        for r in results
        if r.result == REFUSED
        and (r.operator, data_type(r)) in pairs
        and known.issuperset(all_types(r))
    ]


def reasons(results: Sequence[Result]) -> str:
    """Return why tests were refused, each reason once with its count."""
    found = Counter(reason(r.detail) for r in results if r.result == REFUSED)
    parts = [f"{text} ({n})" for text, n in found.most_common(REASONS)]
    rest = sum(found.values()) - sum(n for _, n in found.most_common(REASONS))
    return "<br>".join([*parts, *([f"other reasons ({rest})"] if rest else [])])


def reason(detail: str) -> str:
    """Return a sentence without the node at its front, fit for a cell of a table."""
    _, colon, text = detail.partition("): ")
    return (text if colon else detail).replace("|", "\\|").replace("\n", " ")


def document(tests: Sequence[Listed], results: Sequence[Result], command: str) -> str:
    """Return the tables as Markdown."""
    total = totals(tests, results)
    failed = [
        [r.test, r.operator, r.types, reason(r.detail)] for r in results if r.result == FAILED
    ]
    held = held_back(results)
    head = (
        "operator", "tests", PASSED, REFUSED, FAILED, "onnx2c", "passed with", "refused because",
    )  # fmt: skip
    lines = [
        "# ONNX node tests", "",
        f"Made by `{command}` with bitwright {own_version()} and {first_line(['gcc', '--version'])}.",
        "",
        "The tests are onnx 1.22.0's own, of the operators that neural networks use. Each model is",
        "compiled to C with `--output model`, the C is compiled with all warnings as errors and run on",
        "the test's inputs. Integers and bools have to be equal, floats within",
        f"{RTOL:g} relative and {ATOL:g} absolute, the defaults of onnx's backend tests. float16 and",
        "float64 are computed in float32. Inputs that are parameters (weights, shapes, axes, scales)",
        "are made constant where the test as it is would be refused. Refused is a test for which the",
        "compiler gives a sentence instead of code; failed is a wrong result, C that does not compile,",
        "or a traceback. The column onnx2c counts the tests that its own test suite runs; \"passed",
        "with\" names the element types of the first operand that a test passes with.", "",
        table(("", "tests"), [[name, count] for name, count in total.items()]), "",
        "## Per operator", "",
        table(head, list(operator_rows(tests, results))), "",
        "## Refused although the operator takes the type", "",
        table(("test", "operator", "types", "because"), held) if held else "None.", "",
        "## Failed", "",
        table(("test", "operator", "types", "first difference"), failed) if failed else "None.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data", type=Path, metavar="NODE_DATA")
    parser.add_argument("tests", type=Path, metavar="TESTS.tsv")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown to write, JSON beside it")
    parser.add_argument("--only", default="", help="operators or tests, with commas")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--cache", type=Path, help="a folder that keeps verdicts by content")
    parser.add_argument("--verbose", action="store_true", help="name passed tests too")
    return parser.parse_args()


def main() -> int:
    """Run the tests and write the tables."""
    args = arguments()
    if args.cache:
        args.cache.mkdir(parents=True, exist_ok=True)
    tests = listed(args.tests, [name for name in args.only.split(",") if name])
    results = run_all(tests, args)
    total = totals(tests, results)
    print("; ".join(f"{name} {count}" for name, count in total.items()), file=sys.stderr)
    command = "python benchmarks/conformance.py NODE_DATA TESTS.tsv -o benchmarks/conformance.md"
    data: dict[str, Any] = {
        "command": command,
        "totals": total,
        PASSED: [r.test for r in results if r.result == PASSED],
        "with constant parameters": [r.test for r in results if r.result == PASSED and r.frozen],
        REFUSED: {r.test: r.detail for r in results if r.result == REFUSED},
        FAILED: {r.test: r.detail for r in results if r.result == FAILED},
    }
    failures = [f"{r.test}: {r.detail}" for r in results if r.result == FAILED]
    text = document(tests, results, command) if args.output else ""
    return finish(args.output, text, data, failures)


if __name__ == "__main__":
    raise SystemExit(main())
