"""Fine-tune a float graph under quantization and return what is to be deployed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.training import checkpoint
from bitwright.training.base import Tensor, tensors
from bitwright.training.evaluate import estimate_batch_norms, network_scores
from bitwright.training.losses import (
    classes_of,
    correct,
    half_square,
    label_loss,
    scores_of,
    soft_loss,
)
from bitwright.training.prepare import prepare
from bitwright.training.schedule import begin_epoch, cosine, restarts, settled_from
from bitwright.training.settings import (
    Epoch,
    Finetuned,
    FinetuneSettings,
    Optimizer,
    Progress,
    Run,
    Samples,
    Soft,
)
from bitwright.training.student import Student
from bitwright.training.torch_graph import TorchGraph

_MEASURED = 4096  # training samples that stand for all where none are held back
_STRIDE = 1_000_003  # tells the random numbers of epochs apart


def finetune(
    graph: Graph,
    settings: FinetuneSettings,
    samples: Samples,
    *,
    teacher: Graph | None = None,
    masks: Mapping[str, Array] | None = None,
    run: Run | None = None,
) -> Finetuned:
    """Train a simplified float graph as the settings say; the same numbers each time on one machine.

    `teacher` is the graph itself unless given; without labels it alone is learned from. `masks`
    (kept weights by layer name) stay as they are. With a folder in `run`, a run that was broken off
    goes on after its last whole epoch. Raises CompileError for labels out of range, data that is
    not finite and rates that diverge; UnsupportedError names a layer that cannot be trained.
    """
    with _reproducible(settings):
        training = _Training(graph, settings, samples, teacher or graph, masks or {})
        return training.run(run or Run())


@contextmanager
def _reproducible(settings: FinetuneSettings) -> Iterator[None]:
    """Fix threads, seed and algorithms, and put them back."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()
    filling = torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs a tenth, changes nothing
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.utils.deterministic.fill_uninitialized_memory = filling
        torch.set_rng_state(state)
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Data:
    """Samples as tensors: inputs, labels, the teacher's scores (samples, C)."""

    inputs: dict[str, Tensor]
    labels: Tensor | None
    soft: Tensor | None

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))

    def part(self, which: Tensor) -> "_Data":
        return _Data(
            {n: x[which] for n, x in self.inputs.items()},
            None if self.labels is None else self.labels[which],
            None if self.soft is None else self.soft[which],
        )


class _Training:
    """A run: the student, its data, its optimizer, and where it stands."""

    def __init__(
        self,
        graph: Graph,
        settings: FinetuneSettings,
        samples: Samples,
        teacher: Graph,
        masks: Mapping[str, Array],
    ) -> None:
        prepared = prepare(graph, settings)
        self.settings = prepared.settings
        self.scores = scores_of(prepared.graph)
        inputs = _checked_inputs(graph, samples)
        labels = _checked_labels(samples, self.scores.type.size)
        self.name = checkpoint.digest(graph, settings, samples, masks, teacher.constants)
        kept = {prepared.renamed.get(n, n): m for n, m in masks.items()}
        self.student = Student(prepared, inputs, kept)
        self.teacher = TorchGraph(teacher).eval()
        self.hints = [(t, prepared.renamed.get(s, s)) for t, s in settings.distill.hints]
        self._check_hints()
        one_row = labels is not None or settings.distill.soft is Soft.HINTON
        if one_row and not (labels is not None and labels.is_floating_point()):
            classes_of(self.scores)
        soft = None
        if settings.distill.soft is not Soft.NONE:
            soft = network_scores(self.teacher, scores_of(teacher).name, inputs)
        elif labels is None and not self.hints:
            raise CompileError("without labels, fine-tuning needs a teacher: choose a soft loss")
        self.train, self.held = _split(_Data(inputs, labels, soft), self.settings)
        self.optimizer = self._optimizer()
        self.epochs: list[Epoch] = []
        self.best: tuple[tuple[float, float], dict[str, Tensor]] | None = None

    def _optimizer(self) -> torch.optim.Optimizer:
        s = self.settings
        adam = s.optimizer is Optimizer.ADAM
        groups = [
            {
                "params": g.parameters,
                "weight_decay": s.weight_decay if g.decay else 0.0,
                "factor": g.rate if adam else 1.0,
            }
            for g in self.student.groups()
            if g.parameters
        ]
        if adam:
            return torch.optim.Adam(groups, lr=s.rate)
        return torch.optim.SGD(groups, lr=s.rate, momentum=s.momentum)

    def _check_hints(self) -> None:
        for (t, s), side in zip(self.hints, self.settings.distill.hints, strict=True):
            found = [g.graph.values().get(n) for g, n in ((self.teacher, t), (self.student.net, s))]
            a, b = found
            if a is None or b is None or a.shape != b.shape:
                raise CompileError(f"the hint {side} does not name two tensors of one shape")

    def run(self, run: Run) -> Finetuned:
        """Train the epochs that are left and return what is to be deployed."""
        if run.folder:
            self._resume(run)
        for epoch in range(len(self.epochs), self.settings.epochs):
            torch.manual_seed(self.settings.seed * _STRIDE + epoch)
            begin_epoch(self.student, self.settings, epoch)
            loss = self._train_epoch(epoch, run)
            self.epochs.append(Epoch(epoch, loss, *self._measure()))
            self._remember()
            if run.folder:
                checkpoint.save(run.folder, self._state())
        return self._finish()

    def _train_epoch(self, epoch: int, run: Run) -> float:
        """Take one step for each batch and return the mean loss."""
        self.student.train()
        count, batch = self.train.count, self.settings.batch
        batches = -(-count // batch)
        order = torch.randperm(count)
        total = 0.0
        for i in range(batches):
            self._set_rate(epoch, i, batches)
            which = order[i * batch : (i + 1) * batch]
            total += self._step(self.train.part(which)) * len(which)
            if run.progress:
                done = epoch * batches + i + 1
                all_batches = self.settings.epochs * batches
                run.progress(Progress(done, all_batches, tuple(self.epochs)))
        return total / count

    def _set_rate(self, epoch: int, batch: int, batches: int) -> None:
        starts = restarts(self.settings, self.student.rules)
        first = max(s for s in starts if s <= epoch)
        last = min(s for s in starts if s > epoch)
        share = cosine((epoch - first) * batches + batch, (last - first) * batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * share * group["factor"]

    def _step(self, data: _Data) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(data)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise CompileError(
                f"the loss became {value} in epoch {len(self.epochs) + 1}; lower the learning rate "
                f"({self.settings.rate})"
            )
        loss.backward()
        self.optimizer.step()
        self.student.clip()
        return value

    def _loss(self, data: _Data) -> Tensor:
        """Return the loss of a batch: labels, teacher's scores and hints as the settings weigh them."""
        how = self.settings.distill
        taps = (self.scores.name, *(s for _, s in self.hints))
        seen = self.student(data.inputs, taps)
        scores = seen[self.scores.name].flatten(1)
        parts = []
        hard = how.label_share if data.soft is not None else 1.0
        if data.labels is not None and hard:
            parts.append(hard * label_loss(scores, data.labels))
        if data.soft is not None and (data.labels is None or hard < 1):
            soft = soft_loss(scores, data.soft, how)
            parts.append(soft if data.labels is None else (1 - hard) * soft)
        if self.hints:
            with torch.no_grad():
                told = self.teacher(data.inputs, tuple(t for t, _ in self.hints))
            parts += [how.hint_share * half_square(seen[s], told[t]) for t, s in self.hints]
        return torch.stack(parts).sum()

    def _measure(self) -> tuple[float, float]:
        """Return loss and accuracy on the held samples: of the labels, or of the teacher's choice."""
        data = self.held or self.train.part(torch.arange(min(self.train.count, _MEASURED)))
        scores = network_scores(self.student, self.scores.name, data.inputs)
        if data.labels is not None:
            loss = float(label_loss(scores, data.labels))
        elif data.soft is not None:
            loss = float(soft_loss(scores, data.soft, self.settings.distill))
        else:
            return self.epochs[-1].loss if self.epochs else 0.0, 0.0
        if data.labels is not None and not data.labels.is_floating_point():
            return loss, correct(scores, data.labels) / data.count
        if data.soft is not None:
            return loss, correct(scores, torch.argmax(data.soft, dim=1)) / data.count
        return loss, 0.0

    def _remember(self) -> None:
        """Keep the student where it is the best of those that are finished."""
        last = self.epochs[-1]
        if last.number < settled_from(self.settings, self.student.rules):
            return
        rank = (last.accuracy, -last.validation) if self.held else (float(last.number), 0.0)
        if self.best is None or rank > self.best[0]:
            state = {n: t.clone() for n, t in self.student.state_dict().items()}
            self.best = rank, state

    def _state(self) -> dict[str, object]:
        best = None if self.best is None else [list(self.best[0]), self.best[1]]
        return {
            "run": self.name,
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epochs": [[e.number, e.loss, e.validation, e.accuracy] for e in self.epochs],
            "best": best,
        }

    def _resume(self, run: Run) -> None:
        state = checkpoint.load(run.folder, self.name) if run.folder else None
        if state is None:
            return
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs = [Epoch(*e) for e in state["epochs"]]
        if state["best"] is not None:
            (accuracy, loss), weights = state["best"]
            self.best = (accuracy, loss), weights

    def _finish(self) -> Finetuned:
        """Return the best student, its batch norms estimated anew where that does not harm."""
        assert self.best is not None  # the last epoch is always finished
        self.student.load_state_dict(self.best[1])
        before = self._measure()
        estimate_batch_norms(self.student, self.train.inputs, self.settings.batch)
        after = self._measure()
        if (after[1], -after[0]) < (before[1], -before[0]):
            self.student.load_state_dict(self.best[1])
        graph, plan = self.student.plan()
        return Finetuned(graph, plan, tuple(self.epochs))


def _checked_inputs(graph: Graph, samples: Samples) -> dict[str, Tensor]:
    """Return the inputs as tensors; CompileError for missing, empty or infinite ones."""
    if not samples.count:
        raise CompileError("fine-tuning needs samples; there are none")
    for v in graph.inputs:
        x = samples.inputs.get(v.name)
        if x is None or x.shape[1:] != v.shape:
            raise CompileError(
                f"input {v.name!r}: the samples must be of shape (count, *{v.shape})"
            )
        if not np.isfinite(x).all():
            raise CompileError(f"input {v.name!r}: the samples hold NaN or infinite values")
    floats = {v.name: samples.inputs[v.name].astype(np.float32) for v in graph.inputs}
    return tensors(floats)


def _checked_labels(samples: Samples, classes: int) -> Tensor | None:
    """Return the labels as a tensor; CompileError for the first that is no class."""
    y = samples.labels
    if y is None:
        return None
    if len(y) != samples.count:
        raise CompileError(f"there are {len(y)} labels for {samples.count} samples")
    if y.dtype.kind == "f":
        return torch.tensor(y, dtype=torch.float32)
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if wrong.size:
        raise CompileError(
            f"label {y.reshape(-1)[wrong[0]]} of sample {wrong[0]} is none of the {classes} classes, "
            f"0 to {classes - 1}"
        )
    return torch.tensor(y.reshape(-1), dtype=torch.int64)


def _split(data: _Data, settings: FinetuneSettings) -> tuple[_Data, _Data | None]:
    """Return the samples to train on and those held back."""
    held = int(data.count * settings.validation)
    if not held:
        return data, None
    order = torch.randperm(data.count, generator=torch.Generator().manual_seed(settings.seed))
    return data.part(order[held:]), data.part(order[:held])
