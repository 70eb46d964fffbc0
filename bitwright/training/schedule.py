"""What changes from epoch to epoch: the learning rate, INQ's frozen share, the pruned share."""

from math import cos, pi

import numpy as np
import torch

from bitwright.passes.compress.prune import keep_greatest
from bitwright.training.powers import Incremental
from bitwright.training.settings import FinetuneSettings, Method, Prune, WeightRule
from bitwright.training.student import Student


def cosine(step: int, steps: int) -> float:
    """Return the learning rate over the first: half a cosine from 1 at step 0 towards 0."""
    return (1 + cos(pi * step / max(steps, 1))) / 2


def part_of(epoch: int, epochs: int, parts: int) -> int:
    """Return which of `parts` equal parts of the run an epoch belongs to; each has one if it can."""
    return min(epoch * parts // epochs, parts - 1)


def frozen_share(rule: WeightRule, epoch: int, epochs: int) -> float:
    """Return the share of INQ's weights that is frozen during an epoch; all in the last one."""
    if epoch == epochs - 1:
        return 1.0
    return rule.schedule[part_of(epoch, epochs, len(rule.schedule))]


def pruned_share(prune: Prune, name: str, epoch: int) -> float:
    """Return the share of zeros of a layer during an epoch (Zhu and Gupta 2017)."""
    final = prune.sparsity.get(name, 0.0)
    if epoch < prune.start:
        return 0.0
    t = min((epoch - prune.start + 1) / (prune.over + 1), 1.0)
    return float(final * (1 - (1 - t) ** 3))


def settled_from(settings: FinetuneSettings, rules: dict[str, WeightRule]) -> int:
    """Return the first epoch whose network has all the zeros and codes that it will have."""
    first = 0
    if settings.prune.sparsity:
        first = min(settings.prune.start + settings.prune.over, settings.epochs - 1)
    for rule in rules.values():
        if rule.method is Method.INQ:
            whole = (
                e for e in range(settings.epochs) if frozen_share(rule, e, settings.epochs) == 1
            )
            first = max(first, next(whole))
    return first


def restarts(settings: FinetuneSettings, rules: dict[str, WeightRule]) -> tuple[int, ...]:
    """Return the epochs at which the learning rate starts again: INQ's, the run's first and its end."""
    found = {0, settings.epochs}
    for rule in rules.values():
        if rule.method is Method.INQ:
            shares = [frozen_share(rule, e, settings.epochs) for e in range(settings.epochs)]
            found |= {e for e in range(1, settings.epochs) if shares[e] != shares[e - 1]}
    return tuple(sorted(found))


def begin_epoch(student: Student, settings: FinetuneSettings, epoch: int) -> None:
    """Prune and freeze what this epoch asks for."""
    last = epoch == settings.epochs - 1
    for name, rule in student.rules.items():
        quantizer, w = student.quantizer(name), student.weight(name).detach()
        if name in settings.prune.sparsity:
            final = settings.prune.sparsity[name]
            share = final if last else pruned_share(settings.prune, name, epoch)
            magnitude = (w * quantizer.mask).abs().numpy()
            kept = keep_greatest(magnitude, 1 - share) if share else np.ones(magnitude.shape, bool)
            quantizer.mask *= torch.tensor(kept, dtype=w.dtype)
        if isinstance(quantizer, Incremental):
            quantizer.freeze(w, frozen_share(rule, epoch, settings.epochs))
