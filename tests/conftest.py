"""What all tests share: golden files, the examples folder and how hard Hypothesis tries."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent

# Compilers and simulators run inside the tests, so no single case has a deadline.
settings.register_profile("core", max_examples=50, deadline=None, derandomize=True, database=None)
CASES = int(os.environ.get("BITWRIGHT_FUZZ") or 5000)
settings.register_profile("fuzz", max_examples=CASES, deadline=None)
settings.load_profile("core")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden, which rewrites the golden files."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


class Golden:
    """Compare text with a file under tests/golden."""

    def __init__(self, folder: Path, *, update: bool) -> None:
        self.folder = folder
        self.update = update

    def check(self, name: str, got: str) -> None:
        path = self.folder / name
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(got, encoding="utf-8")
        assert path.is_file(), f"tests/golden/{name} is missing: rerun with --update-golden"
        assert got == path.read_text(encoding="utf-8"), f"{name}: see --update-golden"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(TESTS / "golden", update=bool(request.config.getoption("--update-golden")))


@pytest.fixture(scope="session")
def examples() -> Path:
    return TESTS.parent / "examples"
