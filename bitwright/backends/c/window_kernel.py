"""What convolutions and pools share: the loops over positions and the classes of borders."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.classes import Places, places
from bitwright.backends.c.context import Context
from bitwright.backends.c.patch import Axis, Geometry, PatchView, objects_of_pixel
from bitwright.backends.c.row import Signature
from bitwright.backends.c.storage import Planes
from bitwright.ir.ops import Op, Requantize, Steps, Value


@dataclass(frozen=True, slots=True)
class Positions:
    """What positions.h.j2 shows."""

    batch: int
    axes: tuple[Axis, ...]
    image: int
    x_t: str
    window: str  # the function that finds a window
    patch: int  # objects of its buffer, 0 when every window is read in place
    step: str  # not empty where the runs of a window lie apart
    first: str
    place: str  # C text of the class of the position times the channels

    @property
    def outer(self) -> int:
        """Loops around those of the axes."""
        return int(self.batch > 1)

    @property
    def pad(self) -> str:
        """The indentation inside all loops."""
        return "    " * (1 + self.outer + len(self.axes))


def positions(ctx: Context, g: Geometry, patch: PatchView, place: str) -> Positions:
    """Return the loops over the windows of `g`, found by the function of `patch`."""
    gathers = bool(patch.inside) or not patch.in_place
    objects = g.taps * patch.run * len(patch.fills)
    return Positions(
        batch=g.batch,
        axes=g.axes,
        image=g.image,
        x_t=patch.x_t,
        window=ctx.kernels.add("c/patch.h.j2", patch) if gathers else "",
        patch=objects if gathers else 0,
        step=patch.step,
        first=" + ".join(_position(k, a) for k, a in enumerate(g.axes)),
        place=place,
    )


def _position(k: int, a: Axis) -> str:
    return f"i{k} * {a.stride * a.step}" if a.stride * a.step > 1 else f"i{k}"


def places_of(behind: Op | None, g: Geometry, channels: int, *, borders: bool) -> Places:
    """Return the classes of positions that `behind` and, under `borders`, the kernel itself need."""
    given = behind.classes if isinstance(behind, Steps | Requantize) else ()
    inside = [[a.taps(i) for i in range(a.outputs)] for a in g.axes] if borders else []
    return places(given, inside, [a.outputs for a in g.axes], channels)


def place_text(ctx: Context, signature: Signature, layer: str, found: Places) -> str:
    """Return the C text of the class of a position times the channels; add its tables."""
    terms = []
    factor = found.rows
    for k, axis in enumerate(found.axes):
        factor //= axis.count
        if axis.count > 1:
            name = f"class{k}"
            note = f"border class of each position, axis {k}"
            table = ctx.tables.add(f"{layer}_{name}", np.array(axis.of_position), note)
            signature.add(table.ctype, name, table.name)
            terms.append(f"(size_t){name}[i{k}] * {factor}u")
    return " + ".join(terms)


def written_step(ctx: Context, y: Value) -> int:
    """Return the C objects, in one plane, from one pixel of a result to the next."""
    s = ctx.storage(y)
    return objects_of_pixel(s, y.shape[-1]) if isinstance(s, Planes) else ctx.pitch(y)
