"""The C for Arm cores on an emulated one: the DSP path, and the same without it, give equal bits."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bitwright.backends.c import COptions, Cpu, Vectors
from bitwright.ir.evaluate import evaluate
from bitwright.ir.types import Bipolar
from tests.backends.c.conftest import Writer
from tests.backends.c.networks import U2, B, Many, T

START = """
extern void _start(void);
extern unsigned char stack_top[];
void reset(void) { _start(); }
__attribute__((section(".vectors"), used))
void *const vectors[2] = { stack_top, (void *)reset };
"""
LAYOUT = (
    "-Wl,--section-start=.vectors=0x0,--section-start=.init=0x100,-Ttext=0x1000,"
    "-Tdata=0x20000000,--defsym=stack_top=0x20300000"
)
CORE = {Cpu.CORTEX_M0: "cortex-m0", Cpu.CORTEX_M4: "cortex-m4", Cpu.GENERIC: "cortex-m4"}


@pytest.mark.parametrize("cpu", list(CORE))
def test_the_shipped_test_passes_on_an_emulated_core(
    tree: Writer, tmp_path: Path, cpu: Cpu
) -> None:
    for tool, package in (
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
    ):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing: apt-get install {package}")
    m = Many(21, samples=4)
    for size in (40, 256, 784):
        m.out(m.sign(m.linear(m.input(Bipolar(), 1, size), B, 37)))
        m.out(m.linear(m.input(U2, 1, size), T, 5))
    g = m.graph()
    folder = tree(g, "net", COptions(cpu=cpu, vectors=Vectors(m.data, evaluate(g, m.data))))
    start = tmp_path / "start.c"
    start.write_text(START)
    sources = [start, folder / "test" / "net_test.c", *sorted((folder / "src").glob("*.c"))]
    flags = [f"-mcpu={CORE[cpu]}", "-mthumb", "-O2", "-std=c99", f"-I{folder / 'include'}", LAYOUT]
    image = tmp_path / "net.elf"
    command = ["arm-none-eabi-gcc", *flags, "--specs=rdimon.specs", *map(str, sources)]
    subprocess.run([*command, "-Werror", "-o", str(image)], check=True)

    board = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    done = subprocess.run(
        [
            "qemu-system-arm",
            *board,
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
            image,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "PASS: 4 samples" in done.stdout, done.stderr
    assert done.returncode == 0
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", str(image)], capture_output=True, text=True, check=True
    )
    assert ("usad8" in listing.stdout) == (cpu is Cpu.CORTEX_M4)
