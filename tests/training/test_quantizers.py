"""Every weight quantizer computes what its paper says, and deploys what it computes."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
import torch

from bitwright.ir.types import Bipolar, Int
from bitwright.passes.compress.kinds import power_levels, ternarize
from bitwright.passes.compress.plan import Range
from bitwright.training.activations import BinaryAct, StepAct, dorefa_range
from bitwright.training.binary import FixedSign, ScaledSign, StochasticSign, glorot
from bitwright.training.powers import Incremental, LogQuant, exponents, powers
from bitwright.training.quantizer import WeightQuantizer
from bitwright.training.settings import Method, WeightRule
from bitwright.training.shared import Shared
from bitwright.training.ste import sign
from bitwright.training.student import _weight_quantizer
from bitwright.training.ternary import Ternary, TrainedTernary
from bitwright.training.uniform import DoReFa, Integer, LearnedStep, LinearQuant, quantize_k


def draw(*shape: int, seed: int = 0, size: float = 0.3) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(0, size, shape), dtype=torch.float32)


def made(
    method: Method, w: torch.Tensor, mask: torch.Tensor | None = None, pow2: bool = False
) -> WeightQuantizer:
    bits = 3 if method in {Method.LINEAR, Method.LOG, Method.DOREFA, Method.INQ, Method.LSQ} else 4
    return _weight_quantizer(w, WeightRule(method, bits, pow2_scale=pow2), mask)


CODED = [m for m in Method if m is not Method.FLOAT]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("pow2", [False, True])
@pytest.mark.parametrize("method", CODED)
def test_what_is_deployed_is_what_torch_computes(method: Method, pow2: bool, masked: bool) -> None:
    w = draw(6, 3, 3, 4)
    w[2, 0, 0, 0] = 0
    mask = torch.tensor(np.random.default_rng(1).random(w.shape) < 0.6, dtype=torch.float32)
    q = made(method, w, mask if masked else None, pow2).eval()
    if isinstance(q, Incremental):
        q.freeze(w, 1.0)
    value = q(w.requires_grad_()).detach().numpy()
    found = q.codes_and_scale(w)
    assert found is not None
    assert found.codes.dtype == np.int64
    assert found.scale.shape == (6,)
    assert (found.scale > 0).all()
    np.testing.assert_allclose(found.codes * found.scale.reshape(-1, 1, 1, 1), value, rtol=1e-6)
    assert np.abs(found.codes).max() <= 127
    if masked:
        assert (found.codes[mask.numpy() == 0] == 0).all()
        assert (value[mask.numpy() == 0] == 0).all()
    if pow2 and method not in {Method.DOREFA}:
        assert (np.log2(found.scale) == np.rint(np.log2(found.scale))).all()


@pytest.mark.parametrize("method", CODED)
def test_a_layer_of_zeros_survives(method: Method) -> None:
    w = torch.zeros(2, 5)
    q = made(method, w).eval()
    found = q.codes_and_scale(w)
    assert found is not None
    assert np.isfinite(found.scale).all()
    assert torch.isfinite(q(w)).all()


@pytest.mark.parametrize("method", [m for m in CODED if m is not Method.SHARED])
def test_pruned_weights_get_no_gradient(method: Method) -> None:
    w = draw(4, 8).requires_grad_()
    mask = torch.ones(4, 8)
    mask[:, :3] = 0
    (made(method, w.detach(), mask)(w) * draw(4, 8, seed=2)).sum().backward()
    assert w.grad is not None
    assert (w.grad[:, :3] == 0).all()
    assert (w.grad[:, 3:] != 0).any()


def test_the_sign_of_zero_is_plus_and_gradients_stop_beyond_one() -> None:
    x = torch.tensor([-1.5, -1.0, -0.2, 0.0, 0.3, 1.0, 1.01], requires_grad=True)
    y = sign(x)
    assert y.tolist() == [-1, -1, -1, 1, 1, 1, 1]
    (y * torch.arange(1.0, 8)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 0]


def test_binaryconnect_is_plus_or_minus_h() -> None:
    w = draw(5, 3, 3, 2)
    h = sqrt(1.5 / ((5 + 2) * 9))
    assert glorot((5, 3, 3, 2)) == pytest.approx(h)
    q = made(Method.BINARY_CONNECT, w)
    assert isinstance(q, FixedSign)
    assert q.clip == pytest.approx(h)
    np.testing.assert_allclose(q(w), torch.where(w >= 0, h, -h))


def test_stochastic_binaryconnect_draws_by_the_hard_sigmoid() -> None:
    torch.manual_seed(3)
    w = torch.tensor([[-2.0, -0.5, 0.0, 0.25, 3.0]])
    q = StochasticSign(w, 0.5).train()
    share = (torch.stack([q(w) for _ in range(4000)]) > 0).float().mean(dim=0)[0]
    np.testing.assert_allclose(share, [0, 0, 0.5, 0.75, 1], atol=0.03)
    assert q.eval()(w).tolist() == [[-0.5, -0.5, 0.5, 0.5, 0.5]]


def test_alpha_minimises_the_error_of_binary_weights() -> None:
    w = draw(3, 40)
    q = ScaledSign(w)
    codes, alpha = q.grid(w)
    np.testing.assert_allclose(alpha, w.abs().mean(dim=1), rtol=1e-6)
    error = ((w - alpha[:, None] * codes) ** 2).sum(dim=1)
    for factor in (0.99, 1.01):
        assert (((w - factor * alpha[:, None] * codes) ** 2).sum(dim=1) > error).all()


def test_the_gradient_of_bwn_goes_through_alpha_and_sign() -> None:
    w = torch.tensor([[0.5, -2.0, 0.25, -0.75]], requires_grad=True)
    g = torch.tensor([[1.0, 2.0, -3.0, 0.5]])
    (ScaledSign(w)(w) * g).sum().backward()
    s, alpha = torch.sign(w.detach()), w.detach().abs().mean()
    want = (g * s).sum() * s / 4 + g * alpha * (w.detach().abs() <= 1)
    assert w.grad is not None
    np.testing.assert_allclose(w.grad, want, rtol=1e-6)


def test_alpha_of_pruned_weights_is_the_mean_of_the_rest() -> None:
    w = torch.tensor([[1.0, -3.0, 8.0, 0.5]])
    q = _weight_quantizer(w, WeightRule(Method.BWN), torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    found = q.codes_and_scale(w)
    assert found is not None
    assert found.codes.tolist() == [[1, -1, 0, 0]]
    assert found.scale.tolist() == [2.0]


def test_ternary_is_the_exact_optimum() -> None:
    w = draw(7, 2, 2, 5)
    codes, alpha = Ternary(w).grid(w)
    want = ternarize(w.reshape(7, -1).double().numpy())
    assert (codes.reshape(7, -1).numpy() == want.codes).all()
    np.testing.assert_allclose(alpha, want.scale, rtol=1e-6)


def test_the_gradients_of_trained_ternary_by_the_chain_rule() -> None:
    w = torch.tensor([[0.5, -0.4, 0.001, -0.002], [0.3, -0.2, 0.9, -1.0]], requires_grad=True)
    q = TrainedTernary(w)
    with torch.no_grad():
        q.sizes[:] = torch.tensor([0.7, 0.4])
    g = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    (q(w) * g).sum().backward()
    assert q.sizes.grad is not None
    assert w.grad is not None
    np.testing.assert_allclose(q.sizes.grad, [1 + 5 + 7, -(2 + 6 + 8)], rtol=1e-5)
    down = round(0.4 / (0.7 / 127)) * 0.7 / 127
    np.testing.assert_allclose(
        w.grad, [[0.7, 2 * down, 3, 4], [5 * 0.7, 6 * down, 7 * 0.7, 8 * down]], rtol=1e-5
    )


def test_inq_s_exponents() -> None:
    assert exponents(1.0, 5) == (0, -7)
    assert exponents(0.74, 5)[0] == -1
    assert exponents(0.75, 5)[0] == 0
    assert exponents(0.3, 2)[0] == exponents(0.3, 2)[1]  # ternary
    n1, n2 = exponents(0.9, 5)
    every = powers(torch.linspace(-1, 1, 100001), n1, n2).unique()
    assert len(every) == 17


def test_inq_s_closed_form_is_its_rule() -> None:
    """(alpha + beta) / 2 <= |w| < 3 beta / 2 gives beta, for adjacent levels alpha < beta."""
    n1, n2 = exponents(1.4, 4)
    levels = [2.0**e for e in range(n2, n1 + 1)]
    edges = [b * f for b in levels for f in (0.5, 0.75, 1.0, 1.5)]
    near = [np.nextafter(np.float32(e), np.float32(to)) for e in edges for to in (0, 9)]
    grid = sorted({float(v) for v in (*edges, *near)})
    w = torch.tensor([*grid, *(-v for v in grid), 0.0], dtype=torch.float32)
    got = powers(w, n1, n2) * 2.0**n2
    for x, y in zip(w.tolist(), got.tolist(), strict=True):
        m, want = Fraction(abs(x)), 0.0
        for alpha, beta in zip([0.0, *levels], levels, strict=False):
            if Fraction(alpha + beta) / 2 <= m < Fraction(beta) * 3 / 2:
                want = float(np.sign(x)) * beta
        if m >= Fraction(levels[-1]) * 3 / 2:
            want = float(np.sign(x)) * levels[-1]  # frozen n1: stay at the greatest
        assert y == want, x
    units = w.double().numpy() / 2.0**n2
    assert (powers(w, n1, n2).numpy() == power_levels(units, n1 - n2)).all()


def test_logarithmic_rounding_switches_elsewhere() -> None:
    for e in (-3, 0, 2):
        edge, up, down = 2.0 ** (e + 0.5), torch.tensor([1.001]), torch.tensor([0.999])
        assert float(powers(edge * up, 9, -9, 2**-0.5)) == 2.0 ** (e + 1 + 9)
        assert float(powers(edge * down, 9, -9, 2**-0.5)) == 2.0 ** (e + 9)
        assert float(powers(edge * up, 9, -9)) == 2.0 ** (e + 9)  # INQ switches at 1.5 * 2^e
        assert float(powers(torch.tensor([1.5 * 2.0**e]), 9, -9)) == 2.0 ** (e + 1 + 9)
    w = draw(4, 50)
    q = LogQuant(w, 4)
    levels = np.unique(np.abs(q.grid(w)[0].numpy()))
    assert set(levels) <= {0, 1, 2, 4, 8}


def test_inq_freezes_exact_counts_the_greatest_first_though_many_are_equal() -> None:
    w = torch.tensor([[0.5, -0.5, 0.5, 0.5], [0.9, 0.1, -0.1, 0.1]])
    q = Incremental(w, 5)
    for share, count in ((0.5, 4), (0.75, 6), (0.875, 7), (1.0, 8)):
        q.freeze(w, share)
        assert int(q.frozen.sum()) == count
    q = Incremental(w, 5)
    q.freeze(w, 0.125)
    assert q.frozen.nonzero().tolist() == [[1, 0]]
    q.freeze(w, 0.125)
    assert int(q.frozen.sum()) == 1


def test_frozen_weights_stay_and_have_no_gradient() -> None:
    w = draw(3, 8).requires_grad_()
    q = Incremental(w, 4)
    q.freeze(w.detach(), 0.5)
    before = q(w).detach()[q.frozen].clone()
    (q(w) * draw(3, 8, seed=1)).sum().backward()
    assert w.grad is not None
    assert (w.grad[q.frozen] == 0).all()
    assert (w.grad[~q.frozen] != 0).all()
    with torch.no_grad():
        w += 1
        assert (q(w)[q.frozen] == before).all()
        assert torch.allclose(q(w)[~q.frozen], w[~q.frozen])


def test_pruned_weights_do_not_count_for_inq() -> None:
    w = draw(2, 10)
    mask = torch.ones(2, 10)
    mask[0] = 0
    q = _weight_quantizer(w, WeightRule(Method.INQ, 4), mask)
    assert isinstance(q, Incremental)
    q.freeze(w, 0.5)
    assert int(q.frozen.sum()) == 5
    assert int(q.frozen[0].sum()) == 0


def test_lsq_s_gradient() -> None:
    """Esser et al. (2020), equation 3: round(v / s) - v / s inside, the ends outside."""
    w = torch.tensor([[0.13, -0.31, 0.9, -2.0, 0.0]], requires_grad=True)
    q = LearnedStep(w, 3)
    with torch.no_grad():
        q.step[:] = 0.2
    g = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    (q(w) * g).sum().backward()
    v = (w.detach() / 0.2).numpy()[0]
    slopes = np.where(v <= -4, -4, np.where(v >= 3, 3, np.rint(v) - v))
    want = (slopes * g.numpy()[0]).sum() / sqrt(5 * 3)
    assert q.step.grad is not None
    assert w.grad is not None
    assert float(q.step.grad[0]) == pytest.approx(float(want), rel=1e-5)
    np.testing.assert_allclose(w.grad, [[1, 2, 0, 0, 5]], atol=1e-6)
    start = LearnedStep(w, 3).step
    assert float(start.detach()[0]) == pytest.approx(2 * float(w.detach().abs().mean()) / sqrt(3))


def test_integers_reach_their_greatest_code() -> None:
    w = draw(5, 30)
    for bits in (2, 5, 8):
        codes, _ = Integer(w, bits).grid(w)
        assert (codes.abs().amax(dim=1) == 2 ** (bits - 1) - 1).all()


def test_linear_quant_has_a_fixed_power_of_two_step() -> None:
    w = torch.tensor([[0.3, -0.3, 0.01, 0.37]])
    q = LinearQuant(w, 3)
    codes, step = q.grid(torch.tensor([[0.9, -0.9, 0.05, 0.07]]))
    assert step.tolist() == [0.125]
    assert codes.tolist() == [[3, -4, 0, 1]]


@pytest.mark.parametrize("bits", [1, 2, 3, 7])
def test_quantize_k_is_idempotent(bits: int) -> None:
    r = torch.linspace(0, 1, 1001)
    once = quantize_k(r, bits)
    np.testing.assert_allclose(quantize_k(once, bits), once, atol=1e-7)
    assert len(once.unique()) == 2**bits


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_dorefa_s_integers(bits: int) -> None:
    """Odd codes, none 0; sum w a = 2 sum u a - (2^k - 1) sum a with u the stored level."""
    w, top = draw(6, 40, size=1), 2**bits - 1
    q = DoReFa(w, bits)
    codes, scale = q.grid(w)
    assert (codes.abs() % 2 == 1).all()
    assert codes.abs().max() == top
    assert float(scale) == pytest.approx(1 / top)
    curve = torch.tanh(w)
    want = 2 * quantize_k(curve / (2 * curve.abs().max()) + 0.5, bits) - 1
    np.testing.assert_allclose(q(w), want, atol=1e-6)
    u = ((codes + top) / 2).to(torch.int64)
    a = torch.arange(40) % 4
    whole = codes.to(torch.int64)
    assert ((whole * a).sum(dim=1) == 2 * (u * a).sum(dim=1) - top * a.sum()).all()


def test_one_bit_dorefa_has_one_scale_for_the_layer() -> None:
    w = draw(3, 20)
    q = _weight_quantizer(w, WeightRule(Method.DOREFA, 1), None)
    found = q.codes_and_scale(w)
    assert found is not None
    assert np.unique(found.scale).size == 1
    assert found.scale[0] == pytest.approx(float(w.abs().mean()))


def test_the_gradient_of_a_centroid_is_the_sum_of_its_members() -> None:
    w = draw(5, 12)
    q = Shared(w, 4)
    g = draw(5, 12, seed=4)
    (q(w) * g).sum().backward()
    assert q.centroids.grad is not None
    for k in range(4):
        assert float(q.centroids.grad[k]) == pytest.approx(float(g[q.labels == k].sum()), rel=1e-4)
    assert len(np.unique(q.grid(w)[0].detach())) == 4
    near = (w[..., None] - q.centroids.detach()).abs().argmin(dim=-1)
    assert (near == q.labels).all()


def test_shared_weights_of_a_pruned_layer_count_zero() -> None:
    w, mask = draw(4, 50), torch.ones(4, 50)
    mask[:, ::2] = 0
    q = _weight_quantizer(w, WeightRule(Method.SHARED, values=8), mask)
    found = q.codes_and_scale(w)
    assert found is not None
    assert len(np.unique(found.codes)) == 8
    assert (found.codes[:, ::2] == 0).all()


def test_binary_activations() -> None:
    q = BinaryAct()
    assert q(torch.tensor([0.0, -0.1, 7.0])).tolist() == [1, -1, 1]
    assert q.range() == Range(Bipolar(), 1.0)


def test_activations_in_steps() -> None:
    q = StepAct(Range(Int(0, 3), 0.5), learned=True)
    x = torch.tensor([[-0.4, 0.2, 0.3, 0.75, 9.0]], requires_grad=True)
    y = q(x)
    assert y.tolist() == [[0, 0, 0.5, 1.0, 1.5]]
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 2, 3, 4, 0]]
    inside = 2 * (0 - 0.4) + 3 * (1 - 0.6) + 4 * (2 - 1.5) + 5 * 3
    assert q.step.grad is not None
    assert float(q.step.grad) == pytest.approx(inside / sqrt(5 * 3), rel=1e-5)
    assert q.range() == Range(Int(0, 3), 0.5)


def test_fixed_and_power_of_two_steps() -> None:
    fixed = StepAct(Range(Int(-8, 7), 0.3), learned=False)
    assert not list(fixed.parameters())
    assert fixed.range().scale == pytest.approx(0.3)
    pow2 = StepAct(Range(Int(-8, 7), 0.3), learned=True, pow2_scale=True)
    assert pow2.range().scale == 0.25
    assert pow2(torch.tensor([[0.3, 9.0]])).tolist() == [[0.25, 1.75]]


def test_dorefa_activations_fill_the_unit_interval() -> None:
    q = StepAct(dorefa_range(2), learned=False)
    x = torch.linspace(-0.5, 1.5, 41)[None]
    np.testing.assert_allclose(q(x), quantize_k(torch.clamp(x, 0, 1), 2), atol=1e-6)
