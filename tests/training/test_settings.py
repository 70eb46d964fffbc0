"""Settings are read without torch; wrong ones get a sentence."""

import importlib.util
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

from bitwright.errors import CompileError, MissingToolError
from bitwright.training import (
    Distill,
    FinetuneSettings,
    Method,
    Prune,
    WeightRule,
    finetune,
)
from bitwright.training.schedule import cosine, frozen_share, pruned_share, restarts, settled_from
from tests.training.nets import mlp, task


def test_nothing_but_training_imports_torch() -> None:
    code = "import sys, bitwright, bitwright.cli, bitwright.training; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_torch_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingToolError, match=r"pip install 'bitwright\[train\]'"):
        finetune(mlp(), FinetuneSettings(), task(mlp(), 4))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: WeightRule(Method.INQ, 7), "inq:7: bits must be 2 to 6"),
        (lambda: WeightRule(Method.DOREFA, 8), "dorefa:8: bits must be 1 to 7"),
        (lambda: WeightRule(Method.INQ, 5, schedule=(0.5, 0.25, 1.0)), "must rise"),
        (lambda: WeightRule(Method.INQ, 5, schedule=(0.5, 0.9)), "must rise from above 0 to 1"),
        (lambda: WeightRule(Method.TWN, k=True), "K belongs to bwn"),
        (lambda: WeightRule(Method.SHARED, values=999), "choose 2 to 256"),
        (lambda: Distill(temperature=0), "temperature is 0"),
        (lambda: Distill(label_share=1.5), "from 0 to 1"),
        (lambda: Prune({"fc": 1.0}), "fc: a sparsity of 1.0"),
        (lambda: FinetuneSettings(epochs=0), "at least 1"),
        (lambda: FinetuneSettings(rate=0), "learning rate is 0"),
        (lambda: FinetuneSettings(validation=1), "validation share is 1"),
    ],
)
def test_wrong_numbers(made: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        made()


def test_inq_s_epochs() -> None:
    rule = WeightRule(Method.INQ, 5)
    shares = [frozen_share(rule, e, 8) for e in range(8)]
    assert shares == [0.5, 0.5, 0.75, 0.75, 0.875, 0.875, 1, 1]
    assert [frozen_share(rule, e, 3) for e in range(3)] == [0.5, 0.75, 1]
    assert frozen_share(rule, 0, 1) == 1
    settings = FinetuneSettings(epochs=8)
    assert settled_from(settings, {"a": rule}) == 6
    assert restarts(settings, {"a": rule}) == (0, 2, 4, 6, 8)
    assert restarts(settings, {"a": WeightRule(Method.TWN)}) == (0, 8)


def test_the_pruned_share_rises_and_stays() -> None:
    prune = Prune({"a": 0.8}, start=2, over=3)
    shares = [pruned_share(prune, "a", e) for e in range(8)]
    assert shares[:2] == [0, 0]
    assert all(a < b for a, b in pairwise(shares[1:6]))
    assert shares[5:] == pytest.approx([0.8] * 3)
    assert pruned_share(Prune({"a": 0.8}), "a", 0) == pytest.approx(0.8)
    assert settled_from(FinetuneSettings(epochs=10, prune=prune), {}) == 5


def test_the_rate_falls_as_half_a_cosine() -> None:
    assert [cosine(s, 4) for s in range(5)] == pytest.approx([1, 0.85355339, 0.5, 0.14644661, 0])
