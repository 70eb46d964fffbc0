from pathlib import Path

import pytest

from bitwright.errors import CompileError
from bitwright.options import CompileOptions, Fold, options_from


def test_frames_a_second_become_cycles() -> None:
    assert CompileOptions(fps=3000, clock=100).frame_cycles == 33_333
    assert CompileOptions(cycles=17).frame_cycles == 17
    assert CompileOptions().frame_cycles is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"fps": 30}, "give both"),
        ({"clock": 30}, "give both"),
        ({"fps": 30, "clock": 0}, "must be positive"),
        ({"fps": 30, "clock": 9, "cycles": 5}, "one of --cycles and --fps"),
        ({"fold": "none.json"}, "No such file"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(CompileError, match=sentence):
        options_from(given)


def test_lanes_by_layer_come_from_json_or_toml(tmp_path: Path) -> None:
    as_json, as_toml = tmp_path / "fold.json", tmp_path / "fold.toml"
    as_json.write_text('{"conv": {"pe": 4, "simd": 8}, "fc": {"pe": 1, "simd": 2}}')
    as_toml.write_text("[conv]\npe = 4\nsimd = 8\n[fc]\npe = 1\nsimd = 2\n")
    want = {"conv": (4, 8), "fc": (1, 2)}

    assert options_from({"fold": str(as_json)}).lanes == want
    assert options_from({"fold": as_toml}).lanes == want
    assert options_from({"fold": "max"}).fold is Fold.MAX
    assert options_from({"fold": Fold.MIN}).lanes == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "needs whole numbers"),
        ('{"conv": {"pe": 0, "simd": 8}}', "'conv' needs whole numbers"),
        ('{"conv": {"pe": true, "simd": 8}}', "'conv' needs whole numbers"),
        ('{"conv": 3}', "'conv' needs whole numbers"),
        ("{", "fold.json: "),
    ],
)
def test_a_file_of_something_else_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "fold.json"
    path.write_text(text)

    with pytest.raises(CompileError, match=sentence):
        options_from({"fold": path})
