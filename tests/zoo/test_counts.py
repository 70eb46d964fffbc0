"""Parameters and multiplications of the networks, against the figures of their papers."""

import pytest
from torch import nn

from examples.zoo.finn import cnv, fully_connected
from examples.zoo.lenet import lenet5
from examples.zoo.mobilenet import mobilenet
from examples.zoo.shufflenet import shufflenet
from examples.zoo.squeezenet import Fire
from examples.zoo.table import IMAGENET, ZOO
from examples.zoo.vgg import bnn_cifar, vgg16
from tests.zoo.counts import dot_products, macs, on_meta, parameters, weights


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("squeezenet", 1_248_424),
        ("mobilenet", 4_231_976),
        ("lenet-300-100", 266_610),
        ("lenet5", 431_080),
        ("alexnet", 60_965_224),
        ("vgg16", 138_357_544),
        ("shufflenet", 1_865_728),
        ("sepnet", 505_098),
    ],
)
def test_parameters(name: str, expected: int) -> None:
    assert parameters([on_meta(ZOO[name].build)]) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bnn-cifar", 14_022_016),
        ("tfc", 59_008),
        ("sfc", 334_336),
        ("lfc", 2_910_208),
        ("cnv", 1_542_848),
    ],
)
def test_weights_without_biases_and_norms(name: str, expected: int) -> None:
    assert weights(on_meta(ZOO[name].build)) == expected


@pytest.mark.parametrize("name", ZOO)
def test_every_network_takes_its_shape(name: str) -> None:
    entry = ZOO[name]
    assert sum(macs(on_meta(entry.build), entry.shape).values()) > 0


def test_layers_of_vgg16() -> None:
    layers = dot_products(on_meta(vgg16))
    assert [layers[f"conv5_{k}"].weight.numel() for k in (1, 2, 3)] == [2_359_296] * 3
    assert layers["fc6"].weight.numel() == 102_760_448


def test_macs_of_squeezenet() -> None:
    found = macs(on_meta(ZOO["squeezenet"].build), IMAGENET)
    assert sum(found.values()) / 1e6 == pytest.approx(818.9, abs=0.05)


@pytest.mark.parametrize("inputs", [64, 128, 512])
def test_fire_against_a_plain_convolution(inputs: int) -> None:
    squeeze, outputs = 16, 128
    fire = Fire(inputs, squeeze, outputs // 2, outputs // 2)
    half = outputs // 2
    formula = squeeze * (inputs + 1) + half * (squeeze + 1) + half * (9 * squeeze + 1)
    assert parameters([fire]) == formula
    plain = nn.Conv2d(inputs, outputs, 3, bias=False)
    ratio = (squeeze * inputs + 5 * squeeze * outputs) / (9 * inputs * outputs)
    assert weights(fire) / weights(nn.Sequential(plain)) == pytest.approx(ratio, rel=1e-12)


def test_parameters_of_mobilenet_by_kind() -> None:
    model = on_meta(mobilenet)
    parts: dict[str, list[nn.Module]] = {"conv": [], "depthwise": [], "norm": [], "fc": []}
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            parts["conv"].append(module)
            if module.groups > 1:
                parts["depthwise"].append(module)
        elif isinstance(module, nn.BatchNorm2d):
            parts["norm"].append(module)
        elif isinstance(module, nn.Linear):
            parts["fc"].append(module)
    assert {name: parameters(modules) for name, modules in parts.items()} == {
        "conv": 3_185_088, "depthwise": 44_640, "norm": 21_888, "fc": 1_025_000,
    }  # fmt: skip


def test_macs_of_mobilenet_by_kind() -> None:
    found = macs(on_meta(mobilenet), IMAGENET)
    total = sum(found.values())
    share = {
        kind: 100 * sum(n for name, n in found.items() if kind in name) / total
        for kind in ("pointwise", "depthwise")
    }
    assert total / 1e6 == pytest.approx(568.74, abs=0.005)
    assert share == pytest.approx({"pointwise": 94.86, "depthwise": 3.06}, abs=0.005)


@pytest.mark.parametrize(
    ("width", "millions", "mega_macs"), [(0.75, 2.6, 325), (0.5, 1.3, 149), (0.25, 0.5, 41)]
)
def test_width_multiplier_of_mobilenet(width: float, millions: float, mega_macs: int) -> None:
    model = on_meta(lambda: mobilenet(width))
    assert round(parameters([model]) / 1e6, 1) == millions
    assert sum(macs(model, IMAGENET).values()) // 10**6 == mega_macs


def test_resolution_multiplier_of_mobilenet() -> None:
    """Convolutions at half the resolution cost a quarter."""
    whole, half = (macs(on_meta(mobilenet), (3, side, side)) for side in (448, 224))
    fc = whole.pop("fc")
    assert half.pop("fc") == fc
    assert sum(whole.values()) == 4 * sum(half.values())


@pytest.mark.parametrize(("outputs", "kernel"), [(64, 3), (32, 5)])
def test_depthwise_separable_cost(outputs: int, kernel: int) -> None:
    shape, pad = (16, 12, 12), kernel // 2
    split = nn.Sequential(
        nn.Conv2d(16, 16, kernel, padding=pad, groups=16, device="meta"),
        nn.Conv2d(16, outputs, 1, device="meta"),
    )
    dense = nn.Sequential(nn.Conv2d(16, outputs, kernel, padding=pad, device="meta"))
    ratio = sum(macs(split, shape).values()) / sum(macs(dense, shape).values())
    assert ratio == pytest.approx(1 / outputs + 1 / kernel**2, rel=1e-12)


def test_shufflenet_costs_what_its_paper_says() -> None:
    """About 140 million multiplications for 1x (Zhang et al. 2017, table 2)."""
    found = macs(on_meta(shufflenet), IMAGENET)
    assert sum(found.values()) / 1e6 == pytest.approx(140, rel=0.05)


def test_groups_divide_the_weights() -> None:
    one, four = (nn.Conv2d(16, 32, 3, groups=g, bias=False) for g in (1, 4))
    assert weights(nn.Sequential(one)) == 4 * weights(nn.Sequential(four))


def test_norms_take_the_place_of_biases_in_lenet5() -> None:
    assert weights(on_meta(lambda: lenet5(norm=True))) == weights(on_meta(lenet5)) == 430_500


def test_sizes_can_be_chosen() -> None:
    assert weights(on_meta(lambda: fully_connected(32))) == 784 * 32 + 2 * 32 * 32 + 320
    assert macs(on_meta(lambda: cnv(8)), (3, 32, 32))["fc1"] == 32 * 64
    assert macs(on_meta(lambda: bnn_cifar((8, 16), 32)), (3, 32, 32))["fc1"] == 16 * 64 * 32
