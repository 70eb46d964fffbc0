"""Logs of traced devices: made by the C and the RTL themselves, then spoiled."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bitwright import cli
from bitwright.errors import CompileError
from bitwright.options import OutputKind, Target
from bitwright.sim.build_folder import Build
from bitwright.sim.device_log import check_log
from bitwright.sim.rtl import RtlOptions, Stalls, run_design
from bitwright.sim.toolchain import environment, find_verilator
from tests.sim.builds import digits

SAMPLE = 2
LAYERS = ["fc0", "fc1", "fc2", "tail_add"]
MAIN = """#include "digits_w1a1.h"
#include <stdio.h>
static union { uint64_t align; uint8_t bytes[DIGITS_W1A1_ARENA_BYTES]; } arena;
void digits_w1a1_trace(const char *layer, uint32_t crc)
{
    printf("[00:00:01.250] <inf> net: layer %s crc %08lx\\r\\n%s %08lx\\n", layer,
           (unsigned long)(crc ^ 1u), layer, (unsigned long)crc);
}
int main(void)
{
    static const int8_t codes[64] = {CODES};
    digits_w1a1_input_t input[DIGITS_W1A1_INPUT_COUNT];
    digits_w1a1_output_t output[DIGITS_W1A1_OUTPUT_COUNT];
    digits_w1a1_pack_input(codes, input);
    puts("booting, 64 MHz");
    return digits_w1a1_run(arena.bytes, input, output);
}
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("log") / "b"
    return digits(folder, Target.C, Target.VERILOG, output=OutputKind.ARGMAX)


@pytest.fixture(scope="module")
def log_c(build: Build, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a user's own program prints, with -D<MODEL>_TRACE."""
    work, c = tmp_path_factory.mktemp("c"), build.folder / "c"
    (codes,) = build.device_inputs().values()
    text = ", ".join(map(str, codes[SAMPLE].ravel().tolist()))
    (work / "main.c").write_text(MAIN.replace("CODES", text))
    sources = [work / "main.c", *sorted((c / "src").glob("*.c"))]
    command = ["gcc", "-std=c99", "-Wall", "-Werror", "-DDIGITS_W1A1_TRACE", f"-I{c}/include"]
    subprocess.run([*command, *map(str, sources), "-o", work / "main"], check=True)
    return subprocess.run([work / "main"], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def check(build: Build, tmp_path: Path) -> Callable[[str], tuple[bool, str]]:
    def go(text: str, sample: int = SAMPLE) -> tuple[bool, str]:
        (tmp_path / "log.txt").write_text(text)
        verdict = check_log(build, tmp_path / "log.txt", sample)
        return verdict.agrees, verdict.detail

    return go


Check = Callable[..., tuple[bool, str]]


def spoil(log: str, name: str) -> str:
    """Change the last CRC of a layer."""
    head, _, tail = log.rpartition(f"\n{name} ")
    digit = "0" if tail[0] != "0" else "1"
    return f"{head}\n{name} {digit}{tail[1:]}"


def test_the_c_agrees_and_a_spoiled_layer_is_named(check: Check, log_c: str) -> None:
    assert check(log_c) == (True, "5 of 5 CRCs told, all agree")
    agrees, text = check(spoil(spoil(log_c, "fc2"), "fc1"))
    assert not agrees
    assert text.startswith("layer 'fc1' (node 'fc1'): CRC ")
    assert "digits_w1a1_fc1_weights" in text


def test_a_wrong_input_is_told(check: Check, log_c: str) -> None:
    agrees, text = check(spoil(spoil(log_c, "fc1"), "input"))
    assert not agrees
    assert "the input already differs" in text


def test_another_sample_is_recognized(check: Check, log_c: str) -> None:
    agrees, text = check(log_c, 0)
    assert not agrees
    assert text.endswith(f"fits golden sample {SAMPLE}: --sample {SAMPLE}")


def test_a_log_without_some_layers(check: Check, log_c: str) -> None:
    lines = [x for x in log_c.splitlines() if not x.startswith(("fc0", "input")) and "<" not in x]
    assert check("\n".join(lines))[1] == "3 of 5 CRCs told, all agree; the log does not tell fc0"
    agrees, text = check(spoil("\n".join(lines), "fc1"))
    assert not agrees
    assert "the log does not tell fc0" in text


@pytest.mark.parametrize("form", ["{n}: 0x{c:x}", "<{n}> = {n}={c:08X}, ok", "x {n}\t{c:x}  "])
def test_forms_of_a_line(check: Check, log_c: str, form: str) -> None:
    told = dict(x.split() for x in log_c.splitlines() if x.split()[0] in LAYERS)
    lines = [form.format(n=n, c=int(c, 16)) for n, c in told.items()]
    noise = ["fc1: 12 ms", "my_fc0 00000000", "fc0.weights 00000000"]
    assert check("\n".join([*lines, *noise]))[0]


def test_the_rtl_agrees_and_computes_the_same(build: Build, check: Check, tmp_path: Path) -> None:
    inputs = {n: a[: SAMPLE + 1] for n, a in build.device_inputs().items()}
    options = RtlOptions(stalls=Stalls.BOTH, reset_midframe=True, trace=True)
    result = run_design(build.folder / "verilog", inputs, work=tmp_path, options=options)

    for name, want in build.device_outputs().items():
        assert (result.outputs[name] == want[: SAMPLE + 1]).all()
    log = "\n" + "\n".join(f"{name} {crc:08x}" for name, crc in result.trace.items())
    assert list(result.trace) == ["input", *LAYERS]
    assert check(log) == (True, "5 of 5 CRCs told, all agree")
    assert check(spoil(log, "fc2"))[1].startswith("layer 'fc2'")


def test_the_traced_top_is_clean(build: Build) -> None:
    rtl = build.folder / "verilog" / "rtl"
    sources = [str(p) for p in sorted(rtl.rglob("*.v"))]
    top = json.loads((rtl.parent / "report.json").read_text())["top"]
    tool = find_verilator()
    lint = [str(tool.executable), "--lint-only", "-Wall", "--top-module", top, "-GTRACE=1"]
    with environment(tool.env):
        done = subprocess.run([*lint, *sources], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command(
    build: Build,
    log_c: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs = {"good": (log_c, 0), "bad": (spoil(log_c, "fc1"), 1), "empty": ("nothing\n", 2)}
    for name, (text, code) in logs.items():
        (tmp_path / name).write_text(text)
        line = ["verify", build.folder, "--device-log", tmp_path / name, "--sample", SAMPLE]
        monkeypatch.setattr(sys, "argv", ["bitwright", *map(str, line)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert int(ended.value.code or 0) == code
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith("layer 'fc1'")
    assert "no line tells the CRC of a layer" in captured.err


def test_what_is_no_log(build: Build, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="cannot be read"):
        check_log(build, tmp_path / "none.txt", 0)
    (tmp_path / "log.txt").write_text("fc0 00000000")
    with pytest.raises(CompileError, match="golden samples 0 to 15"):
        check_log(build, tmp_path / "log.txt", 16)
