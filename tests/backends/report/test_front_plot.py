"""The plot is well-formed, the same each time, and says what it shows."""

from xml.etree import ElementTree

import pytest

from bitwright.backends.report.axes import Axis, nice_step, percent_axis, size_axis
from bitwright.backends.report.front_plot import FrontPoint, front_svg

FRONT = [FrontPoint("a<b&c", 1000, 90.0), FrontPoint("int:4", 4000, 98.5)]
FLOAT = FrontPoint("float", 32_000, 99.0)
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_points_axes_and_units_are_named() -> None:
    svg = front_svg("net <1>", FRONT, FLOAT, [FrontPoint("int:2 & all", 2000, 80.0)])
    found = texts(svg)
    assert "net <1>" in found
    assert "weights and biases, KB (1 KB = 1000 bytes)" in found
    assert "right classes, %" in found
    assert "2: 4.00 KB, 98.50 %" in found
    assert "float: 99.00 %, 32.00 KB" in found
    assert "int:2 & all" in found
    titles = [e.text for e in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert titles[0] == "a<b&c: 1,000 bytes, 90.00 %"
    assert svg == front_svg("net <1>", FRONT, FLOAT, [FrontPoint("int:2 & all", 2000, 80.0)])


def test_everything_lies_on_the_page() -> None:
    root = ElementTree.fromstring(front_svg("net", [*FRONT, FrontPoint("x", 90_000, 0.0)], FLOAT))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    dots = list(root.iter(f"{SVG}circle"))
    assert len(dots) == 4
    for dot in dots:
        assert 0 < float(dot.attrib["cx"]) < width
        assert 0 < float(dot.attrib["cy"]) < height


def test_agreement_is_called_so_and_one_point_is_enough() -> None:
    found = texts(front_svg("net", FRONT[:1], FLOAT, labelled=False))
    assert "same class as the float model, %" in found


@pytest.mark.parametrize(
    ("least", "step"), [(0.7, 1), (1.0, 1), (2.2, 2.5), (0.03, 0.05), (70, 100)]
)
def test_steps_are_round(least: float, step: float) -> None:
    assert nice_step(least) == pytest.approx(step)


def test_ticks() -> None:
    assert Axis(0, 10, 0, 100).ticks() == (0, 2, 4, 6, 8, 10)
    assert Axis(90, 1200, 0, 100, logarithmic=True).ticks() == (100, 200, 500, 1000)
    assert Axis(10, 1000, 0, 200, logarithmic=True).at(100) == 100
    assert size_axis([100.0, 100_000.0], 0, 1).logarithmic
    assert not size_axis([100.0, 400.0], 0, 1).logarithmic
    assert percent_axis([99.0, 99.0], 0, 1).high > 99
