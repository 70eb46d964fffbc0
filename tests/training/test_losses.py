"""Distillation: gradients by finite differences, and its limits."""

import numpy as np
import pytest
import torch

from bitwright.errors import UnsupportedError
from bitwright.training.losses import (
    classes_of,
    half_square,
    hinton,
    label_loss,
    scores_of,
    soft_loss,
)
from bitwright.training.settings import Distill, Soft
from tests.training.nets import FloatNet, mlp


def scores(seed: int) -> torch.Tensor:
    drawn = np.random.default_rng(seed).normal(0, 2, (4, 6))
    return torch.tensor(drawn, dtype=torch.float64)


@pytest.mark.parametrize("t", [1, 4, 20])
def test_hinton_s_gradient(t: float) -> None:
    """T (p_student - p_teacher) for each sample, as the formula and as finite differences."""
    student, teacher = scores(0).requires_grad_(), scores(1)
    hinton(student, teacher, t).backward()
    assert student.grad is not None
    p, q = (torch.softmax(z.detach() / t, dim=1) for z in (student, teacher))
    np.testing.assert_allclose(student.grad, t * (p - q) / 4, atol=1e-12)
    for place in ((0, 0), (3, 5)):
        moved = [student.detach().clone() for _ in range(2)]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        ends = [float(hinton(m, teacher, t)) for m in moved]
        assert float(student.grad[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("soft", [Soft.HINTON, Soft.LOGITS])
def test_nothing_is_learned_from_a_teacher_who_says_the_same(soft: Soft) -> None:
    student = scores(0).requires_grad_()
    loss = soft_loss(student, scores(0), Distill(soft=soft, temperature=4))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert student.grad is not None
    assert float(student.grad.abs().max()) < 1e-12


def test_at_high_temperatures_hinton_matches_logits() -> None:
    student, teacher = scores(0).requires_grad_(), scores(1)
    hinton(student, teacher, 2000.0).backward()
    a, b = (z.detach() - z.detach().mean(dim=1, keepdim=True) for z in (student, teacher))
    assert student.grad is not None
    np.testing.assert_allclose(student.grad, (a - b) / 6 / 4, atol=1e-3)


def test_logit_matching_is_half_the_square() -> None:
    student, teacher = scores(0).requires_grad_(), scores(1)
    half_square(student, teacher).backward()
    assert student.grad is not None
    np.testing.assert_allclose(student.grad, (student.detach() - teacher) / 4)


def test_one_score_is_matched_as_a_number() -> None:
    a, b = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    assert float(soft_loss(a, b, Distill(soft=Soft.HINTON))) == 2.0


def test_labels_are_classes_or_targets() -> None:
    z = scores(0).float()
    want = -torch.log_softmax(z, dim=1)[torch.arange(4), torch.tensor([0, 1, 2, 5])].mean()
    assert float(label_loss(z, torch.tensor([0, 1, 2, 5]))) == pytest.approx(float(want))
    assert float(label_loss(z, z.reshape(4, 1, 6) + 2)) == pytest.approx(6 * 2)


def test_scores_stand_before_the_softmax() -> None:
    assert scores_of(mlp((4, 3), softmax=True)).name == "fc0"
    assert scores_of(mlp((4, 5, 3))).name == "fc1"


def test_rows_of_scores_are_refused() -> None:
    net = FloatNet(1, 5, 5, 2)
    with pytest.raises(UnsupportedError, match="soft = logits"):
        classes_of(net.conv(net.x, 4, "conv"))
