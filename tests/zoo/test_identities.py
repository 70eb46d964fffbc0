"""Algebra that the architectures promise."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from examples.zoo.finn import Sign
from examples.zoo.sepnet import PatternBlock
from examples.zoo.shufflenet import shuffle


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("groups", "per_group"), [(2, 3), (3, 4), (4, 4), (1, 6)])
def test_a_shuffle_is_undone_by_the_number_of_channels_of_a_group(
    groups: int, per_group: int
) -> None:
    x = torch.randn(2, groups * per_group, 3, 5)
    assert torch.equal(shuffle(shuffle(x, groups), per_group), x)
    for c in range(x.shape[1]):
        moved = (c % per_group) * groups + c // per_group
        assert torch.equal(shuffle(x, groups)[:, moved], x[:, c])


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_a_convolution_in_groups_is_a_dense_one_with_blocks(groups: int) -> None:
    conv = nn.Conv2d(6, 12, 3, padding=1, groups=groups, dtype=torch.float64)
    blocks = conv.weight.unflatten(0, (groups, -1))
    dense = torch.zeros(12, 6, 3, 3, dtype=torch.float64)
    for g, block in enumerate(blocks):
        rows, columns = block.shape[:2]
        dense[g * rows : (g + 1) * rows, g * columns : (g + 1) * columns] = block
    x = torch.randn(2, 6, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(functional.conv2d(x, dense, conv.bias, padding=1), conv(x))


@pytest.mark.parametrize(("kernel", "groups"), [(3, 4), (5, 4), (3, 1)])
def test_a_pattern_block_is_one_convolution(kernel: int, groups: int) -> None:
    block = PatternBlock(8, kernel, groups).double()
    x = torch.randn(2, 8, 9, 9, dtype=torch.float64)
    merged = block.merged().double()
    # The merged weights pass through float32 once.
    torch.testing.assert_close(merged(x), block(x), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(block.pattern(x), block(x), atol=1e-2), "the 1x1 must matter"


def test_sign_of_zero_and_the_straight_gradient() -> None:
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    signs = Sign().train()(x)
    signs.sum().backward()
    assert signs.tolist() == [-1, -1, 1, 1, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    assert Sign().eval()(x).tolist() == signs.tolist()
