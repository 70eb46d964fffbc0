"""Graphs as bytes and back: the text form, and an npz of the constants that is the same each time."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.text import read_text, write_text

_EPOCH = (1980, 1, 1, 0, 0, 0)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return an npz file of `arrays` without time stamps, in sorted order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            data = io.BytesIO()
            array = np.asarray(arrays[name], order="C")
            np.lib.format.write_array(data, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data.getvalue())
    return out.getvalue()


def read_npz(data: bytes) -> dict[str, Array]:
    """Return the arrays of an npz file."""
    with np.load(io.BytesIO(data), allow_pickle=False) as npz:
        return {n: npz[n] for n in npz.files}


def graph_files(graph: Graph, stem: str) -> dict[str, bytes]:
    """Return `<stem>.txt` and `<stem>.npz` for `graph`; constants are numbered in sorted order."""
    names = sorted(graph.constants)
    arrays = {f"c{i}": graph.constants[n] for i, n in enumerate(names)}
    return {
        f"{stem}.txt": write_text(graph).encode(),
        f"{stem}.npz": npz_bytes({**arrays, "names": np.array([n.encode().hex() for n in names])}),
    }


def read_graph(text: bytes, npz: bytes) -> Graph:
    """Return the graph that `graph_files` stored."""
    arrays = read_npz(npz)
    names = [bytes.fromhex(str(n)).decode() for n in arrays.pop("names").reshape(-1)]
    return read_text(text.decode(), {n: arrays[f"c{i}"] for i, n in enumerate(names)})
