"""The files around the RTL: README, Makefile, synthesis scripts, FuseSoC core."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bitwright.backends.names import comment
from bitwright.backends.render import render
from bitwright.backends.verilog.views import EdgeView, TopView

_DEVICES = ("ice40", "ecp5", "xc7")

_LONG_COMMENT = 400


@dataclass(frozen=True, slots=True)
class ProjectView:
    """What the README and the build files see."""

    model: str
    top: str
    memory: bool
    report: dict[str, Any]
    streams: tuple["StreamRow", ...]
    inputs: tuple[EdgeView, ...]
    outputs: tuple[EdgeView, ...]
    sources: tuple[str, ...]  # from rtl/
    memories: tuple[str, ...]  # from rtl/


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One line of the README's table of streams, as text."""

    prefix: str
    tensor: str
    type: str
    shape: str
    elements: int
    element: str
    beats: int
    data_bytes: int
    real: str


@dataclass(frozen=True, slots=True)
class SynthView:
    """One Yosys script."""

    top: str
    device: str
    sources: tuple[str, ...]


def project_files(
    model: str, top: TopView, report: dict[str, Any], paths: Sequence[str]
) -> dict[str, bytes]:
    """Return README.md, tb/Makefile and synth/; `paths` are the files of rtl/ and tb/."""
    rtl = [p.removeprefix("rtl/") for p in paths if p.startswith("rtl/")]
    sources = tuple(p for p in rtl if p.endswith(".v"))
    memories = tuple(p for p in rtl if p.endswith(".mem"))
    view = ProjectView(
        model,
        top.module,
        top.memory,
        report,
        tuple(_row(s) for s in (*report["inputs"], *report["outputs"])),
        top.inputs,
        top.outputs,
        sources,
        memories,
    )
    files = {
        "README.md": render("verilog/README.md.j2", view),
        "tb/Makefile": render("verilog/Makefile.j2", view),
        f"synth/{model}.core": render("verilog/fusesoc.core.j2", view),
        "synth/clock.xdc": render("verilog/clock.xdc.j2", view),
    }
    for device in _DEVICES:
        script = SynthView(top.module, device, sources)
        files[f"synth/{device}.ys"] = render("verilog/synth.ys.j2", script)
    return {path: text.encode() for path, text in files.items()}


def _row(s: dict[str, Any]) -> StreamRow:
    sign = "bipolar" if s["bipolar"] else "signed" if s["signed"] else "unsigned"
    return StreamRow(
        s["prefix"],
        comment(s["name"]),
        s["type"],
        " x ".join(map(str, s["shape"])),
        s["elements_per_beat"],
        f"{s['element_bits']} {sign}",
        s["beats_per_frame"],
        s["tdata_bytes"],
        _meaning(s.get("meaning")),
    )


def _meaning(meaning: dict[str, Any] | None) -> str:
    """Return what a code stands for, with long tables left to report.json."""
    note = comment(meaning["text"], _LONG_COMMENT) if meaning else ""
    if meaning is None or "scale" not in meaning:
        return note or "the code itself"
    scale, zero = (
        f"{m:.9g}" if isinstance(m, float) else f"{name} (report.json)"
        for name, m in (("scale", meaning["scale"]), ("zero", meaning["zero"]))
    )
    return f"{scale} * (code - {zero})" + (f"; {note}" if note else "")
