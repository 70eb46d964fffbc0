"""How a rung of the ladder ends."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a rung ended. What could not run is never reported as passed."""

    PASS = "pass"
    FAIL = "FAIL"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rung found: how many values were compared, and a sentence."""

    status: Status
    values: int
    detail: str
