"""Compare the CRCs that a device printed with those of the integer graph, layer by layer.

A log holds a line `layer crc` for each layer, and `input crc` if the device tells it. The CRC is
hexadecimal: eight digits, or fewer after 0x or at the line's end. Text before and after, and other
lines, do not matter. Where a layer comes several times, as over several frames, the last counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bitwright.backends.trace import layer_crc
from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.sim.bisect import Point, points_of, values_of
from bitwright.sim.build_folder import Build

MOST_BYTES = 64 << 20
_HEX = r"0[xX][0-9a-fA-F]{1,8}(?!\w)|[0-9a-fA-F]{8}(?!\w)|[0-9a-fA-F]{1,8}(?=[ \t\r]*$)"


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """Whether a log agrees, and in a sentence where not."""

    agrees: bool
    detail: str


def check_log(build: Build, log: Path, sample: int) -> LogVerdict:
    """Return where the device that wrote `log` first differs on golden sample `sample`.

    CompileError when there is no such sample, or when the log tells no layer's CRC.
    """
    inputs = build.device_inputs()
    count = min(len(a) for a in inputs.values())
    if not 0 <= sample < count:
        raise CompileError(f"--sample {sample}: the build has golden samples 0 to {count - 1}")
    points, told = _told(build, read_log(log), log)
    values = values_of(build.program.body, inputs)
    want = crcs_of(points, values, sample)
    known = [p for p in points if p.name in told]
    wrong = [p for p in known if told[p.name] != want[p.name]]
    silent = [p.name for p in points if p.name not in told and not p.is_input]
    note = f"; the log does not tell {', '.join(silent)}" if silent else ""
    if not wrong:
        return LogVerdict(True, f"{len(known)} of {len(points)} CRCs told, all agree{note}")
    other = [n for n in range(count) if crcs_of(known, values, n) == told]
    if other:
        note = f"; the whole log fits golden sample {other[0]}: --sample {other[0]}"
    first = wrong[0]
    place = f"{first}: CRC {told[first.name]:08x}, expected {want[first.name]:08x}"
    return LogVerdict(False, f"{place}; {_cause(first, points, told)}{note}")


def crcs_of(points: list[Point], values: Mapping[str, Array], sample: int) -> dict[str, int]:
    """Return the CRC of each point for one sample."""
    return {p.name: layer_crc(values[p.value][sample]) for p in points}


def _cause(first: Point, points: list[Point], told: Mapping[str, int]) -> str:
    if first.is_input:
        return "the input already differs: another sample, or how it is packed, ordered or sent"
    by_value = {p.value: p.name for p in points}
    silent = [by_value[v] for v in first.reads if v in by_value and by_value[v] not in told]
    if silent:
        return f"it is the first that differs, but the log does not tell {', '.join(silent)}"
    tables = f" ({', '.join(first.tables)})" if first.tables else ""
    return f"all before it agree: likely what this layer reads{tables} or computes"


def _told(build: Build, text: str, log: Path) -> tuple[list[Point], dict[str, int]]:
    """Return the points of the target that the log speaks of, and the CRC of each that is told."""
    best: tuple[list[Point], dict[str, int]] = ([], {})
    for target in build.targets:
        points = list(points_of(build.folder / target))
        found = {p.name: crc for p in points if (crc := _last(p.name, text)) is not None}
        if len(found) > len(best[1]):
            best = points, found
    if not best[1]:
        raise CompileError(f"{log}: no line tells the CRC of a layer, such as: fc0 1c291ca3")
    return best


def _last(name: str, text: str) -> int | None:
    line = rf"(?<![\w.]){re.escape(name)}[ \t=:,]+({_HEX})"
    found = re.findall(line, text, re.MULTILINE)
    return int(found[-1], 16) if found else None


def read_log(log: Path) -> str:
    """Return the text of a log; CompileError when it cannot be read."""
    try:
        if log.stat().st_size > MOST_BYTES:
            raise CompileError(f"{log} is larger than {MOST_BYTES >> 20} MiB")
        return log.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise CompileError(f"{log} cannot be read: {error.strerror}") from None
