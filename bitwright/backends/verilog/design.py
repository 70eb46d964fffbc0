"""From a body to a design: folded, connected, with its FIFOs sized and everything named."""

from dataclasses import dataclass

from bitwright.backends.layers import forms_by_layer, layers_of
from bitwright.backends.names import Names, comment, identifier
from bitwright.backends.verilog.fifos import Sizing, size_fifos
from bitwright.backends.verilog.folding import fold_layers
from bitwright.backends.verilog.index_maps import fold_index_maps
from bitwright.backends.verilog.library import library
from bitwright.backends.verilog.network import Kind, Network, build_network
from bitwright.backends.verilog.options import VerilogOptions
from bitwright.backends.verilog.shared_weights import share_weights
from bitwright.backends.verilog.views import ModuleNames, TopView, top_view
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Reshape

_MODEL_LENGTH = 30
_RESERVED = frozenset({"clk", "rst_n", "frame_error", "s_axis", "m_axis", "mem_dir", "trace"})


@dataclass(frozen=True, slots=True)
class Design:
    """All that the files of one design are written from."""

    model: str
    modules: ModuleNames
    network: Network
    sizing: Sizing
    top: TopView


def model_name(name: str) -> str:
    """Return the identifier that the modules of a model begin with."""
    return identifier(name, "model")[:_MODEL_LENGTH].strip("_")


def network_of(body: Graph, options: VerilogOptions, names: Names | None = None) -> Network:
    """Fold and connect a body."""
    names = names or Names(_RESERVED)
    flat = fold_index_maps(body)
    layers = layers_of(flat, names)
    busy = [layer for layer in layers if not isinstance(layer.first, Reshape)]
    network = build_network(flat, layers, fold_layers(busy, flat, options), names)
    return share_weights(network, forms_by_layer(options.store, layers))


def modules_of(network: Network, model: str) -> ModuleNames:
    """Return the names of the modules."""
    taken = Names(frozenset(library()))
    return ModuleNames(
        taken.fresh(f"{model}_top"),
        {u.name: taken.fresh(f"{model}_{u.name}") for u in network.of_kind(Kind.LAYER)},
    )


def design_of(body: Graph, name: str, options: VerilogOptions) -> Design:
    """Fold, connect and size a body."""
    model = model_name(name)
    names = Names(_RESERVED)
    network = network_of(body, options, names)
    sizing = size_fifos(network)
    modules = modules_of(network, model)
    notes = (
        f"{comment(name)}: {len(modules.layers)} layers, one frame every "
        f"{sizing.timing.interval} cycles, {sizing.timing.latency} cycles from its first beat in "
        "to its last beat out.",
        "Scale and zero point of each stream stand in README.md.",
    )
    return Design(model, modules, network, sizing, top_view(network, sizing, modules, names, notes))
