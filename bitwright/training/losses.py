"""What training minimises: the labels' loss, the teacher's scores, the teacher's hints."""

import torch
from torch.nn import functional

from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import ArgMax, Reshape, Softmax, TopK, Value
from bitwright.training.base import Tensor
from bitwright.training.settings import Distill, Soft


def scores_of(graph: Graph) -> Value:
    """Return the scores of the first output, before a softmax or a choice of the greatest."""
    producers = graph.producers()
    first: Value = graph.outputs[0]
    value = first
    while (op := producers.get(value.name)) is not None:
        if isinstance(op, ArgMax | TopK | Softmax):
            first = op.inputs[0]
        elif not isinstance(op, Reshape):
            break
        value = op.inputs[0]
    return first


def classes_of(value: Value) -> int:
    """Return the number of classes; UnsupportedError where a sample has several rows of scores."""
    if sum(d > 1 for d in value.shape) > 1:
        raise UnsupportedError(
            f"{value.name!r} holds {value.shape} scores, but labels and soft targets need one row a "
            "sample; train with the logits of the teacher (soft = logits) and without labels"
        )
    return value.type.size


def hinton(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(softmax(teacher / T), softmax(student / T)), the mean over samples.

    Hinton et al. (2015); the divergence differs from the cross-entropy by a constant, so that its
    gradient for a sample is T (p_student - p_teacher) and it is 0 where both agree.
    """
    target = functional.log_softmax(teacher / temperature, dim=1)
    found = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(found, target, reduction="batchmean", log_target=True) * temperature**2


def half_square(student: Tensor, teacher: Tensor) -> Tensor:
    """Return half the squared distance of two rows, the mean over samples.

    Of scores: Ba and Caruana (2014); of hidden tensors: FitNets (Romero et al. 2015), equation 3.
    """
    return ((student - teacher) ** 2).flatten(1).sum(dim=1).mean() / 2


def soft_loss(student: Tensor, teacher: Tensor, how: Distill) -> Tensor:
    """Return the teacher's loss on scores (samples, C); one score alone is matched as a number."""
    if how.soft is Soft.HINTON and student.shape[1] > 1:
        return hinton(student, teacher, how.temperature)
    return half_square(student, teacher)


def label_loss(student: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of classes, or half the squared distance of real targets."""
    if labels.is_floating_point():
        return half_square(student, labels.reshape(student.shape))
    return functional.cross_entropy(student, labels)


def correct(scores: Tensor, labels: Tensor) -> int:
    """Return how many samples have their greatest score at the label."""
    return int((torch.argmax(scores, dim=1) == labels).sum())
