"""What a backend returns: files by relative path, and a report of plain numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files (path -> bytes) below the target's folder, and what is known of them."""

    files: Mapping[str, bytes]
    report: Mapping[str, Any] = field(default_factory=dict)
