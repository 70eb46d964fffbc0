"""The commands as a user meets them: exit code and both streams."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bitwright.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def go(*args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bitwright", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as e:
            code = int(e.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return go


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    for word in words:
        assert word in ran.err
