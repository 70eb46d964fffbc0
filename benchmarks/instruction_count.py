"""Count the instructions of one call of a function in a bare-metal ELF, run in Unicorn.

The code needs no start-up: the ELF is loaded at its addresses, the arguments are set and the
function is entered. Cycles are a rule of thumb for memory without wait states, +-15 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import capstone
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

PAGE = 0x1000
STOP = 0x0FFF_0000  # where the function returns to
DATA = 0x3000_0000  # buffers that the caller gives
DATA_SIZE = 1 << 20
STACK = 0x6000_0000
STACK_SIZE = 1 << 20
_ARGUMENTS = [
    arm_const.UC_ARM_REG_R0,
    arm_const.UC_ARM_REG_R1,
    arm_const.UC_ARM_REG_R2,
    arm_const.UC_ARM_REG_R3,
]
_MULTIPLE = ("push", "pop", "ldm", "stm")


@dataclass(frozen=True, slots=True)
class CycleModel:
    """Cycles beyond the one that every instruction takes.

    Cortex-M4: a load takes one more unless it follows a load or a store; Cortex-M0: each load and
    store does. Both: as many more as registers for multiples, and the refill of a taken branch.
    """

    refill: int
    pipelined: bool  # a load behind a load or store hides its second cycle
    store: int = 0
    divide: int = 6


M4 = CycleModel(refill=2, pipelined=True)
M0 = CycleModel(refill=1, pipelined=False, store=1, divide=0)


@dataclass(slots=True)
class Count:
    """What one call took."""

    instructions: int = 0
    cycles: int = 0
    after_access: bool = False
    expected: int = 0  # the address behind the last instruction
    cost: dict[int, tuple[int, bool]] = field(default_factory=dict)  # by address


def _registers(operands: str) -> int:
    """Return how many registers stand in `{r4, r6-r8}`."""
    inside = operands[operands.index("{") + 1 : operands.index("}")]
    return len(inside.split(","))


def _extra(mnemonic: str, operands: str, model: CycleModel) -> tuple[int, bool]:
    """Return the further cycles of an instruction, and whether it is a single load or store."""
    name = mnemonic.split(".", maxsplit=1)[0]
    if name.startswith(_MULTIPLE):
        return _registers(operands), False
    if name.startswith(("ldrd", "strd")):
        return 2, False
    if name.startswith("ldr"):
        return 1, True
    if name.startswith("str"):
        return model.store, True
    return (model.divide if name.startswith(("udiv", "sdiv")) else 0), False


class Machine:
    """An ARM core with an ELF in its memory."""

    def __init__(self, elf: Path, model: CycleModel) -> None:
        """Load `elf`; Thumb code runs on an A-profile core, whose encodings are the same."""
        self.model = model
        self.symbols: dict[str, int] = {}
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_A15)
        self.disassembler = capstone.Cs(
            capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
        )
        with elf.open("rb") as file:
            self._load(ELFFile(file))
        self.uc.mem_map(STOP, PAGE)
        self.uc.mem_map(DATA, DATA_SIZE)
        self.uc.mem_map(STACK - STACK_SIZE, STACK_SIZE)

    def _load(self, elf: ELFFile) -> None:
        segments = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_memsz"]]
        pages = {
            page
            for s in segments
            for page in range(s["p_vaddr"] // PAGE, -(-(s["p_vaddr"] + s["p_memsz"]) // PAGE))
        }
        for page in sorted(pages):
            self.uc.mem_map(page * PAGE, PAGE)
        for s in segments:
            self.uc.mem_write(s["p_vaddr"], s.data())
        table = elf.get_section_by_name(".symtab")
        self.symbols = {s.name: s["st_value"] & ~1 for s in table.iter_symbols() if s.name}

    def call(self, function: str, arguments: Sequence[int], data: Mapping[int, bytes]) -> Count:
        """Call `function` with up to four integers, after writing `data` by address."""
        for address, content in data.items():
            self.uc.mem_write(address, content)
        for register, value in zip(_ARGUMENTS, arguments, strict=False):
            self.uc.reg_write(register, value)
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, STACK - 64)
        self.uc.reg_write(arm_const.UC_ARM_REG_LR, STOP | 1)
        count = Count(expected=self.symbols[function])
        hook = self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_instruction, count)
        self.uc.emu_start(self.symbols[function] | 1, STOP)
        self.uc.hook_del(hook)
        count.cycles += self.model.refill  # of the return
        return count

    def result(self) -> int:
        """Return what the last call returned."""
        return int(self.uc.reg_read(arm_const.UC_ARM_REG_R0))

    def read(self, address: int, size: int) -> bytes:
        """Return memory."""
        return bytes(self.uc.mem_read(address, size))

    def _on_instruction(self, _: unicorn.Uc, address: int, size: int, count: Count) -> None:
        if address not in count.cost:
            code = self.read(address, size)
            instruction = next(self.disassembler.disasm(code, address))
            count.cost[address] = _extra(instruction.mnemonic, instruction.op_str, self.model)
        extra, access = count.cost[address]
        hidden = self.model.pipelined and access and extra and count.after_access
        taken = address != count.expected
        count.instructions += 1
        count.cycles += 1 + (0 if hidden else extra) + (self.model.refill if taken else 0)
        count.after_access = access
        count.expected = address + size


def section_bytes(elf: Path) -> dict[str, int]:
    """Return the bytes of code and of constants."""
    sizes = {"text": 0, "rodata": 0}
    with elf.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if section["sh_flags"] & 2 and not section.name.startswith(".ARM"):
                kind = "text" if section["sh_flags"] & 4 else "rodata"
                sizes[kind] += section["sh_size"]
    return sizes
