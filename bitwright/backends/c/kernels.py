"""The kernel functions of one model: each distinct view once, under a legal unique name."""

from dataclasses import dataclass, field, replace
from typing import Any

from bitwright.backends.names import Names
from bitwright.backends.render import render


@dataclass
class KernelSet:
    """Collects kernel functions; equal views share one function."""

    names: Names
    _texts: dict[tuple[str, Any], tuple[str, str]] = field(default_factory=dict)

    def add(self, template: str, view: Any) -> str:
        """Return the name of the function of `view`, whose own name is a hint."""
        key = (template, view)
        if key not in self._texts:
            name = self.names.fresh(view.name)
            self._texts[key] = (name, render(template, replace(view, name=name)))
        return self._texts[key][0]

    @property
    def texts(self) -> tuple[str, ...]:
        """The functions' texts, callees before callers."""
        return tuple(text for _, text in self._texts.values())

    def uses(self, word: str) -> bool:
        """Tell whether some function mentions `word`."""
        return any(word in text for text in self.texts)
