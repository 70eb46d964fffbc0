"""The C for Arm cores on an emulated one: the DSP path, and the same without it, give equal bits."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bitwright.backends.c import COptions, Cpu, Vectors
from bitwright.ir.evaluate import evaluate
from bitwright.ir.ops import Round
from bitwright.ir.types import Bipolar
from bitwright.sim.host_c import WARNINGS
from tests.backends.c.conftest import Writer
from tests.backends.c.networks import S8, U2, U8, B, Many, N, T
from tests.backends.c.spatial import Shape, bordered_requantize, conv

START = """
extern void _start(void);
extern void stack_top(void); /* an address */
void reset(void) { _start(); }
__attribute__((section(".vectors"), used))
void (*const vectors[2])(void) = { stack_top, reset };
"""
LAYOUT = (
    "-Wl,--section-start=.vectors=0x0,--section-start=.init=0x100,-Ttext=0x1000,"
    "-Tdata=0x20000000,--defsym=stack_top=0x20300000"
)
CORE = {Cpu.CORTEX_M0: "cortex-m0", Cpu.CORTEX_M4: "cortex-m4", Cpu.GENERIC: "cortex-m4"}


BOARD = ("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none",
         "-semihosting-config", "enable=on,target=native", "-kernel")  # fmt: skip


def bits() -> Many:
    """Bit planes, whose ones are counted."""
    m = Many(21, samples=4)
    for size in (40, 256, 784):
        m.out(m.sign(m.linear(m.input(Bipolar(), 1, size), B, 37)))
        m.out(m.linear(m.input(U2, 1, size), T, 5))
    m.out(m.sign(conv(m, m.input(Bipolar(), 1, 6, 5, 40), B, 33, Shape(3, 1, (1, 1)))))
    return m


def octets() -> Many:
    """Bytes by bytes: runs of whole words and with a rest, blocks of rows and single ones."""
    m = Many(22, samples=4)
    around = Shape(3, 1, (1, 1))
    for elem in (S8, U8):
        for size, outputs in ((4, 1), (64, 8), (255, 7), (38, 5)):
            m.out(m.linear(m.input(elem, 1, size), N, outputs))
        w = m.rng.integers(0, 256, (6, 33))
        m.out(m.linear(m.input(elem, 1, 33), N, 6, w=w))
        for channels, filters in ((1, 4), (3, 6), (8, 9)):
            a = conv(m, m.input(elem, 1, 6, 5, channels), N, filters, replace(around, pad=3))
            m.out(m.requantize(a, Round.FLOOR, 16))
        x = m.input(elem, 1, 6, 5, 12)
        m.out(conv(m, x, N, 12, replace(around, groups=12, pad=3)))
        m.out(m.requantize(conv(m, x, N, 24, replace(around, groups=12)), Round.FLOOR, 16))
        m.out(m.sign(conv(m, x, N, 33, Shape(1))))
        m.out(
            bordered_requantize(m, conv(m, x, N, 5, around), 16, ((0, 1, 1, 0, 2, 0), (0,) * 5), U8)
        )
        m.out(m.requantize(conv(m, x, N, 8, replace(Shape(2, 2), groups=2)), Round.HALF_EVEN, 12))
    return m


@pytest.mark.parametrize("cpu", list(CORE))
@pytest.mark.parametrize(
    ("graph", "instruction", "store"),
    [(bits, "usad8", "plain"), (octets, "smlad", "plain"), (octets, "smlad", "codebook"),
     (octets, "smlad", "sparse"), (octets, "smlad", "huffman")],
)  # fmt: skip
def test_the_shipped_test_passes_on_an_emulated_core(  # fixtures
    tree: Writer, tmp_path: Path, cpu: Cpu, graph: Callable[[], Many], instruction: str, store: str
) -> None:
    for tool, package in (
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
    ):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing: apt-get install {package}")
    m = graph()
    g = m.graph()
    vectors = Vectors(m.data, evaluate(g, m.data))
    folder = tree(g, "net", COptions(cpu=cpu, vectors=vectors, store=store))
    start = tmp_path / "start.c"
    start.write_text(START)
    sources = [start, folder / "test" / "net_test.c", *sorted((folder / "src").glob("*.c"))]
    flags = [f"-mcpu={CORE[cpu]}", "-mthumb", "-O2", "-std=c99", f"-I{folder / 'include'}", LAYOUT]
    image = tmp_path / "net.elf"
    command = ["arm-none-eabi-gcc", *flags, *WARNINGS, "--specs=rdimon.specs", *map(str, sources)]
    subprocess.run([*command, "-o", str(image)], check=True)

    done = subprocess.run([*BOARD, image], capture_output=True, text=True, timeout=60, check=False)

    assert "PASS: 4 samples" in done.stdout, done.stderr
    assert done.returncode == 0
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", str(image)], capture_output=True, text=True, check=True
    )
    assert (instruction in listing.stdout) == (cpu is Cpu.CORTEX_M4)
