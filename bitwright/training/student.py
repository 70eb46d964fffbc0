"""The network that trains: the graph in torch, its quantizers, and the plan they amount to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import MaxPool
from bitwright.passes.compress.plan import Plan, Range, layers_of
from bitwright.passes.compress.ranges import choose_range
from bitwright.passes.weights import Weights
from bitwright.training.activations import BinaryAct, StepAct, dorefa_range
from bitwright.training.base import Module, Tensor
from bitwright.training.binary import FixedSign, ScaledSign, StochasticSign, glorot
from bitwright.training.powers import Incremental, LogQuant
from bitwright.training.prepare import Prepared
from bitwright.training.quantizer import Float, WeightQuantizer
from bitwright.training.rules import Ruled, ruled_sites, weight_rules
from bitwright.training.settings import Act, Method, WeightRule
from bitwright.training.shared import Shared
from bitwright.training.ternary import Ternary, TrainedTernary
from bitwright.training.torch_graph import TorchGraph
from bitwright.training.uniform import DoReFa, Integer, LearnedStep, LinearQuant

_SAMPLES, _LEAST_SAMPLES = 256, 8  # that start the activation quantizers
_SEEN = 1 << 26  # elements held of them, and thinned to
_THINNED = 1 << 18


@dataclass(frozen=True)
class Group:
    """Parameters that are optimized alike: their learning rate over the run's, and weight decay."""

    parameters: list[Tensor]
    rate: float = 1.0
    decay: bool = False


class Student(Module):
    """A prepared graph whose layers and tensors are quantized as its settings say."""

    def __init__(
        self, prepared: Prepared, samples: Mapping[str, Tensor], masks: Mapping[str, Array]
    ) -> None:
        """Start quantizers from the weights and from what the float network does on `samples`.

        `masks` (weights to keep, by the layer's name) are of the shape of the weights.
        """
        super().__init__()
        self.net = TorchGraph(prepared.graph)
        self.rules = weight_rules(prepared.graph, prepared.settings)
        self.layers = {op.name: op for op in layers_of(prepared.graph)}
        self.places = ruled_sites(prepared.graph, prepared.settings)
        pruned = {*masks, *prepared.settings.prune.sparsity}
        self._weights = {
            n: _weight_quantizer(self.weight(n), r, _mask(masks, n, self.weight(n), n in pruned))
            for n, r in self.rules.items()
        }
        self._acts = self._activation_quantizers(self._calibrated(samples))
        self.quantizers = torch.nn.ModuleList([*self._weights.values(), *self._distinct_acts()])
        self.net.weights = dict(self._weights)
        self.net.values = {_applied_at(prepared.graph, n): q for n, q in self._acts.items()}

    def weight(self, name: str) -> Tensor:
        """Return the latent weights of a layer."""
        return self.net.held(self.layers[name].inputs[1])

    def quantizer(self, name: str) -> WeightQuantizer:
        """Return the quantizer of a layer's weights."""
        return self._weights[name]

    def forward(
        self, inputs: Mapping[str, Tensor], taps: tuple[str, ...] = ()
    ) -> dict[str, Tensor]:
        """Return the outputs and taps by name."""
        found: dict[str, Tensor] = self.net(inputs, taps)
        return found

    def _distinct_acts(self) -> list[Module]:
        return list({id(q): q for q in self._acts.values()}.values())

    def _calibrated(self, samples: Mapping[str, Tensor]) -> dict[str, Array]:
        """Return what each site sees in the float network; batch norms take statistics meanwhile."""
        names = [r.site.value.name for r in self.places]
        size = sum(r.site.value.type.size for r in self.places)
        count = max(_LEAST_SAMPLES, min(_SAMPLES, _SEEN // max(size, 1)))
        samples = {n: x[:count] for n, x in samples.items()}
        kept, self.net.momentum = self.net.momentum, 1.0
        self.net.train()
        with torch.no_grad():
            seen = self.net(samples, names)
        self.net.momentum = kept
        return {n: _thinned(seen[n].numpy().reshape(-1)) for n in names}

    def _activation_quantizers(self, seen: Mapping[str, Array]) -> dict[str, Module]:
        """Return the quantizer of each site; sites of a group share one."""
        by_group: dict[str, Module] = {}
        out: dict[str, Module] = {}
        for r in self.places:
            key = r.site.group or r.site.value.name
            if key not in by_group:
                same = [o for o in self.places if (o.site.group or o.site.value.name) == key]
                values = np.concatenate([seen[o.site.value.name] for o in same])
                by_group[key] = _activation_quantizer(r, max(o.bits for o in same), values)
            out[r.site.value.name] = by_group[key]
        return out

    def clip(self) -> None:
        """Bound the latent weights of the methods that ask for it."""
        with torch.no_grad():
            for name, q in self._weights.items():
                if q.clip:
                    self.weight(name).clamp_(-q.clip, q.clip)

    def groups(self) -> Iterator[Group]:
        """Yield the parameters; steps and sizes learn at a rate in proportion to themselves."""
        weights = [self.weight(n) for n in self.layers]
        own = {id(w) for w in weights}
        yield Group(weights, decay=True)
        yield Group([p for p in self.net.parameters() if id(p) not in own])
        for p in self.quantizers.parameters():
            yield Group([p], rate=float(p.detach().abs().mean()) or 1.0)

    def plan(self) -> tuple[Graph, Plan]:
        """Return the graph with the trained numbers, and the codes and ranges of its quantizers."""
        weights: dict[str, Weights] = {}
        graph = self.net.to_graph()
        constants = dict(graph.constants)
        for name, q in self._weights.items():
            w = self.weight(name)
            found = q.codes_and_scale(w)
            with torch.no_grad():
                kept = w.detach() if q.mask is None else w.detach() * q.mask
            real = kept.to(torch.float64).numpy()
            if found is not None:
                weights[name] = found
                real = found.codes * found.scale.reshape(-1, *(1,) * (found.codes.ndim - 1))
            constants[self.layers[name].inputs[1].name] = np.array(real)
        ranges: dict[str, Range] = {n: q.range() for n, q in self._acts.items()}
        return replace(graph, constants=constants), Plan(weights=weights, ranges=ranges)


def _thinned(values: Array) -> Array:
    """Return about `_THINNED` of the values, the least and the greatest among them."""
    ends = np.array([values.min(), values.max()]) if values.size else values
    return np.concatenate([values[:: -(-values.size // _THINNED) or 1], ends])


def _mask(masks: Mapping[str, Array], name: str, w: Tensor, pruned: bool) -> Tensor | None:
    if not pruned:
        return None
    if name not in masks:
        return torch.ones_like(w.detach())
    if masks[name].shape != tuple(w.shape):
        raise CompileError(f"{name}: the mask is {masks[name].shape}, the weights {tuple(w.shape)}")
    return torch.tensor(masks[name] != 0, dtype=w.dtype)


def _weight_quantizer(w: Tensor, rule: WeightRule, mask: Tensor | None) -> WeightQuantizer:
    """Return the quantizer of a rule, started from the weights."""
    kept = (w if mask is None else w * mask).detach()
    made = _made(kept, rule, mask)
    if mask is not None:
        made.mask = mask
    return made


def _made(w: Tensor, rule: WeightRule, mask: Tensor | None) -> WeightQuantizer:
    pow2 = rule.pow2_scale
    if rule.method is Method.SHARED:
        count = (rule.values or 2**rule.bits) - (mask is not None)
        return Shared(w, max(count, 1), mask, pow2_scale=pow2)
    if rule.method is Method.DOREFA:
        by_layer = ScaledSign(w, by_output=False, pow2_scale=pow2)
        return by_layer if rule.bits == 1 else DoReFa(w, rule.bits)
    size = glorot(tuple(w.shape))
    makers: dict[Method, Callable[[], WeightQuantizer]] = {
        Method.FLOAT: lambda: Float(w),
        Method.BINARY_CONNECT: lambda: FixedSign(w, size, pow2_scale=pow2),
        Method.BINARY_CONNECT_STOCHASTIC: lambda: StochasticSign(w, size, pow2_scale=pow2),
        Method.BNN: lambda: FixedSign(w, 1.0),
        Method.BWN: lambda: ScaledSign(w, pow2_scale=pow2),
        Method.LINEAR: lambda: LinearQuant(w, rule.bits),
        Method.LOG: lambda: LogQuant(w, rule.bits),
        Method.TWN: lambda: Ternary(w, pow2_scale=pow2),
        Method.TTQ: lambda: TrainedTernary(w, pow2_scale=pow2),
        Method.INQ: lambda: Incremental(w, rule.bits),
        Method.LSQ: lambda: LearnedStep(w, rule.bits, pow2_scale=pow2),
        Method.INT: lambda: Integer(w, rule.bits, pow2_scale=pow2),
    }
    return makers[rule.method]()


def _activation_quantizer(ruled: Ruled, bits: int, values: Array) -> BinaryAct | StepAct:
    rule = ruled.rule
    if rule.method is Act.BINARY:
        return BinaryAct()
    if rule.method is Act.DOREFA:
        return StepAct(dorefa_range(bits), learned=False)
    start = choose_range(values, bits, pow2=rule.pow2_scale, loc=ruled.site.loc)
    return StepAct(start, learned=rule.method is Act.LSQ, pow2_scale=rule.pow2_scale)


def _applied_at(graph: Graph, name: str) -> str:
    """Return where a quantizer computes while training: behind the max pools that alone read it.

    Rounding commutes with a maximum, and there the greatest element, not the first of equals, gets
    the gradient.
    """
    outputs, readers = {v.name for v in graph.outputs}, graph.readers()
    while name not in outputs:
        after = readers.get(name, [])
        if len(after) != 1 or not isinstance(after[0], MaxPool):
            break
        name = after[0].name
    return name
