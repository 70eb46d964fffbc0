"""Whole runs: what is deployed computes what was trained, and a run can be repeated and resumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Arith, Arithmetic, BatchNorm, CountThresholds
from bitwright.ir.types import Bipolar
from bitwright.passes import QUANTIZED
from bitwright.passes import run as run_passes
from bitwright.passes.compress.plan import Range, assemble, layers_of
from bitwright.passes.integerize import integerize
from bitwright.training import (
    Act,
    ActRule,
    Distill,
    Finetuned,
    FinetuneSettings,
    Method,
    Optimizer,
    Progress,
    Prune,
    Run,
    Samples,
    Soft,
    WeightRule,
    finetune,
)
from bitwright.training.prepare import prepare
from bitwright.training.student import Student
from tests.training.nets import FloatNet, cnn, mlp, task

LABELS_ALONE = Distill(soft=Soft.NONE)
QUICK: dict[str, Any] = {"epochs": 3, "batch": 32, "rate": 5e-3, "distill": LABELS_ALONE}


def deployed(found: Finetuned, x: dict[str, Array]) -> Array:
    graph = assemble(found.graph, found.plan)
    graph.verify()
    (y,) = evaluate(graph, x).values()
    return y.reshape(len(y), -1)


def accuracy(found: Finetuned, data: Samples) -> float:
    return float(np.mean(deployed(found, dict(data.inputs)).argmax(axis=1) == data.labels))


def bits(method: Method) -> int:
    return {Method.INT: 4, Method.INQ: 4, Method.LOG: 4, Method.LSQ: 3, Method.SHARED: 3}.get(
        method, 2
    )


def integers_compute_the_same(found: Finetuned, data: Samples) -> None:
    x = {n: a[:8] for n, a in data.inputs.items()}
    program = integerize(run_passes(assemble(found.graph, found.plan), QUANTIZED))
    (y,) = program.run(x).values()
    np.testing.assert_allclose(y.reshape(len(y), -1), deployed(found, x), atol=1e-9)


@pytest.mark.parametrize("act", [ActRule(Act.LSQ, 4), ActRule(Act.BINARY)], ids=["lsq4", "binary"])
@pytest.mark.parametrize("method", Method)
def test_what_is_deployed_computes_what_torch_computed(method: Method, act: ActRule) -> None:
    """The student's scores equal those of the assembled graph, and it is integers throughout."""
    graph = cnn()
    data = task(graph, 96)
    rule = WeightRule(method, bits(method))
    settings = FinetuneSettings(inner=rule, inner_activations=act, **QUICK | {"epochs": 2})
    prepared = prepare(graph, settings)
    students: list[Student] = []
    original = Student.plan

    def seen(student: Student) -> Any:
        students.append(student)
        return original(student)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Student, "plan", seen)
        found = finetune(graph, settings, data)
    (student,) = students
    x = torch.tensor(data.inputs["x"])
    with torch.no_grad():
        (want,) = student.eval()({"x": x}).values()
    got = deployed(found, dict(data.inputs))
    same = np.abs(got - want.flatten(1).numpy()).max(axis=1) < 1e-3
    assert same.mean() > 0.97  # a sum on the edge of a code may fall to either side
    assert {op.name for op in layers_of(prepared.graph)} >= set(found.plan.weights)
    if method is not Method.FLOAT:
        integers_compute_the_same(found, data)


@pytest.mark.parametrize("norms", [False, True])
def test_a_binary_network_learns(norms: bool) -> None:
    graph = mlp((12, 32, 32, 3), norms=norms)
    data = task(graph, 600)
    settings = FinetuneSettings(
        inner=WeightRule(Method.BNN), inner_activations=ActRule(Act.BINARY),
        **QUICK | {"epochs": 8, "rate": 1e-2},
    )  # fmt: skip
    found = finetune(graph, settings, data)
    assert accuracy(found, data) > 0.9
    assert found.epochs[-1].loss < found.epochs[0].loss
    assert set(np.unique(found.plan.weights["fc1"].codes)) == {-1, 1}


def test_without_labels_the_student_follows_its_teacher() -> None:
    graph = mlp((12, 32, 32, 3))
    x = task(graph, 500).inputs
    y = evaluate(graph, x)["fc2"][:, 0].argmax(axis=1)
    settings = FinetuneSettings(
        inner=WeightRule(Method.TWN), inner_activations=ActRule(Act.LSQ, 4),
        **QUICK | {"epochs": 6, "distill": Distill(temperature=2.0)},
    )  # fmt: skip
    found = finetune(graph, settings, Samples(x))
    assert accuracy(found, Samples(x, y)) > 0.85
    assert found.epochs[-1].accuracy > 0.8


def test_hints_pull_hidden_tensors_together() -> None:
    graph = mlp()
    data = task(graph, 200)
    how = Distill(soft=Soft.LOGITS, hints=(("relu0", "relu0"), ("fc1", "fc1")), hint_share=10)
    settings = FinetuneSettings(inner=WeightRule(Method.LSQ, 3), **QUICK | {"distill": how})
    assert finetune(graph, settings, data).epochs[-1].loss > 0
    for wrong in (("relu0", "relu1"), ("nothing", "relu0")):
        bad = replace(settings, distill=replace(how, hints=(wrong,)))
        with pytest.raises(CompileError, match="does not name two tensors of one shape"):
            finetune(graph, bad, data)


def equal(a: Finetuned, b: Finetuned) -> bool:
    same = [np.array_equal(a.graph.constants[n], b.graph.constants[n]) for n in a.graph.constants]
    codes = [np.array_equal(w.codes, b.plan.weights[n].codes) for n, w in a.plan.weights.items()]
    return all((*same, *codes, a.plan.ranges == b.plan.ranges, a.epochs == b.epochs))


class BrokenOffError(Exception):
    pass


@pytest.mark.parametrize("method", [Method.BINARY_CONNECT_STOCHASTIC, Method.INQ, Method.TTQ])
def test_a_broken_run_goes_on_bit_for_bit(method: Method, tmp_path: Path) -> None:
    graph = mlp(norms=True)
    data = task(graph, 120)
    settings = FinetuneSettings(
        inner=WeightRule(method, bits(method)), **QUICK | {"epochs": 5},
        prune=Prune({"fc1": 0.5}, start=1, over=2),
    )  # fmt: skip
    whole = finetune(graph, settings, data)
    assert equal(whole, finetune(graph, settings, data))

    def stop(p: Progress) -> None:
        if len(p.epochs) == 2 and p.done % 2:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        finetune(graph, settings, data, run=Run(tmp_path, stop))
    seen: list[Progress] = []
    resumed = finetune(graph, settings, data, run=Run(tmp_path, seen.append))
    assert len(seen[0].epochs) == 2
    assert seen[-1].done == seen[-1].total
    assert equal(whole, resumed)
    assert equal(whole, finetune(graph, settings, data, run=Run(tmp_path)))
    with pytest.raises(CompileError, match="a run with other data or settings"):
        finetune(graph, replace(settings, seed=1), data, run=Run(tmp_path))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(CompileError, match=r"checkpoint\.pt: the checkpoint cannot be read"):
        finetune(mlp(), FinetuneSettings(**QUICK), task(mlp(), 40), run=Run(tmp_path))


def test_seeds_tell_runs_apart_and_nothing_outside_changes() -> None:
    graph = mlp()
    data, settings = task(graph, 80), FinetuneSettings(**QUICK)
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    a = finetune(graph, settings, data)
    assert torch.equal(torch.rand(3), want)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not equal(a, finetune(graph, replace(settings, seed=1), data))


@pytest.mark.parametrize("optimizer", Optimizer)
def test_pruning_reaches_its_share_and_masks_hold(optimizer: Optimizer) -> None:
    graph = mlp((12, 24, 16, 3))
    data = task(graph, 200)
    mask = np.ones((24, 12))
    mask[3] = 0
    settings = FinetuneSettings(
        inner=WeightRule(Method.FLOAT), **QUICK | {"epochs": 6}, optimizer=optimizer,
        prune=Prune({"fc1": 0.75}, start=1, over=3), weight_decay=1e-4,
    )  # fmt: skip
    found = finetune(graph, settings, data, masks={"fc0": mask})
    assert (found.graph.constants["fc1.w"] == 0).mean() == 0.75
    assert (found.plan.weights["fc0"].codes[3] == 0).all()
    assert (found.plan.weights["fc0"].codes[4] != 0).any()
    assert "fc1" not in found.plan.weights
    assert "fc1.w" in found.graph.constants


def test_pruned_and_binary_is_ternary() -> None:
    graph = mlp((12, 24, 16, 3))
    settings = FinetuneSettings(inner=WeightRule(Method.BWN), **QUICK, prune=Prune({"fc1": 0.5}))
    codes = finetune(graph, settings, task(graph, 100)).plan.weights["fc1"].codes
    assert set(np.unique(codes)) == {-1, 0, 1}
    assert (codes == 0).mean() == 0.5


def test_edges_have_8_bits_and_names_win() -> None:
    graph = mlp((12, 24, 16, 8, 3))
    settings = FinetuneSettings(
        inner=WeightRule(Method.TWN), inner_activations=ActRule(Act.LSQ, 2), **QUICK,
        weights={"fc1": WeightRule(Method.BWN)}, activations={"fc3": ActRule(Act.FIXED, 6)},
    )  # fmt: skip
    plan = finetune(graph, settings, task(graph, 100)).plan
    greatest = {n: int(np.abs(w.codes).max()) for n, w in plan.weights.items()}
    assert greatest == {"fc0": 127, "fc1": 1, "fc2": 1, "fc3": 127}
    assert {n: r.elem.bits for n, r in plan.ranges.items()} == {
        "x": 8, "relu0": 2, "relu1": 2, "relu2": 6,
    }  # fmt: skip


def test_the_softmax_stays_out_of_the_loss_and_in_the_graph() -> None:
    graph = mlp(softmax=True)
    found = finetune(graph, FinetuneSettings(**QUICK), task(graph, 100))
    y = deployed(found, dict(task(graph, 10).inputs))
    np.testing.assert_allclose(y.sum(axis=1), 1)


def test_real_targets() -> None:
    graph = mlp((12, 16, 2))
    x = task(graph, 200).inputs
    y = evaluate(graph, x)["fc1"].astype(np.float32)
    found = finetune(graph, FinetuneSettings(**QUICK | {"epochs": 6}), Samples(x, y))
    assert np.abs(deployed(found, dict(x)) - y[:, 0]).mean() < 0.3 * np.abs(y).mean()


def norms(graph: Graph) -> list[str]:
    return [op.inputs[0].name for op in graph.ops if isinstance(op, BatchNorm)]


def test_signs_stand_behind_batch_norms_without_relus() -> None:
    binary = FinetuneSettings(inner_activations=ActRule(Act.BINARY))
    assert [type(op).__name__ for op in prepare(mlp(), binary).graph.ops] == [
        "Linear", "BatchNorm", "Linear", "BatchNorm", "Linear"
    ]  # fmt: skip
    assert norms(prepare(mlp(norms=True), binary).graph) == ["fc0", "fc1"]
    steps = prepare(mlp(norms=True), FinetuneSettings()).graph
    assert len(steps.ops) == len(mlp(norms=True).ops)


def residual() -> Graph:
    net = FloatNet(1, 12)
    a = net.relu(net.linear(net.x, 12, "fc0"), "a")
    y = net.linear(a, 12, "fc1")
    y = net.relu(net.op(Arithmetic, "sum", a, y, kind=Arith.ADD), "b")
    return net.graph(net.linear(y, 3, "fc2"))


def test_a_shortcut_is_not_made_binary() -> None:
    graph = residual()
    binary = FinetuneSettings(inner_activations=ActRule(Act.BINARY), **QUICK)
    assert norms(prepare(graph, binary).graph) == ["a", "sum"]
    found = finetune(graph, binary, task(graph, 100))
    kinds = {n: type(r.elem).__name__ for n, r in found.plan.ranges.items()}
    assert kinds.pop("sum") == "Int"
    assert kinds == {
        "x": "Int", "a": "Int", "a:norm": "Bipolar", "fc1": "Int", "sum:norm": "Bipolar"
    }  # fmt: skip
    integers_compute_the_same(found, task(graph, 20))


def test_weights_without_a_size_get_a_norm_behind_them_and_outputs_keep_their_name() -> None:
    settings = FinetuneSettings(
        inner=WeightRule(Method.BNN), edge=WeightRule(Method.BNN), **QUICK,
        weights={"fc2": WeightRule(Method.BNN)}, prune=Prune({"fc2": 0.5}),
    )  # fmt: skip
    graph = mlp()
    prepared = prepare(graph, settings)
    assert [v.name for v in prepared.graph.outputs] == ["fc2"]
    assert prepared.renamed == {"fc2": "fc2:sum"}
    assert norms(prepared.graph) == ["fc0", "fc1", "fc2:sum"]
    found = finetune(graph, settings, task(graph, 60))
    assert (found.plan.weights["fc2:sum"].codes == 0).mean() == 0.5


def test_xnor_s_k_scales_by_the_input_s_magnitude() -> None:
    graph = cnn()
    settings = FinetuneSettings(
        inner=WeightRule(Method.BWN, k=True), inner_activations=ActRule(Act.BINARY), **QUICK
    )
    prepared = prepare(graph, settings).graph
    x = task(graph, 2).inputs
    seen: dict[str, Array] = {}
    evaluate(prepared, x, tap=lambda op, y: seen.update({op.name: y}))
    (norm,) = [n for n in seen if n.endswith(":norm") and n.startswith("conv0")]
    a = np.pad(np.abs(seen[norm]).mean(axis=-1), ((0, 0), (0, 0), (1, 1), (1, 1)))
    box = np.mean([a[:, :, i : i + 6, j : j + 6] for i in range(3) for j in range(3)], axis=0)
    np.testing.assert_allclose(seen["conv1:scaled"], seen["conv1"] * box[..., None])
    for net in (graph, mlp()):
        found = finetune(net, settings, task(net, 64))
        assert Range(Bipolar(), 1.0) in found.plan.ranges.values()
        integers_compute_the_same(found, task(net, 20))
    with pytest.raises(CompileError, match="K belongs to layers whose input is binary"):
        finetune(graph, replace(settings, inner_activations=ActRule(Act.LSQ)), task(graph, 64))


def test_settings_name_layers_that_are_there() -> None:
    with pytest.raises(
        CompileError, match="no layer is called 'fc9'; the layers are fc0, fc1, fc2"
    ):
        finetune(mlp(), FinetuneSettings(weights={"fc9": WeightRule(Method.BWN)}), task(mlp(), 9))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            np.zeros((4, 1, 12)),
            np.array([0, 3, 1, 1]),
            "label 3 of sample 1 is none of the 3 classes",
        ),
        (np.zeros((4, 1, 12)), np.array([0, 1]), "there are 2 labels for 4 samples"),
        (np.zeros((4, 1, 11)), None, "must be of shape"),
        (np.full((4, 1, 12), np.nan), None, "NaN or infinite"),
        (np.zeros((0, 1, 12)), None, "there are none"),
    ],
)
def test_bad_data_gets_a_sentence(x: Array, y: Array | None, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        finetune(mlp(), FinetuneSettings(), Samples({"x": x}, y))


def test_what_diverges_gets_a_sentence() -> None:
    settings = FinetuneSettings(optimizer=Optimizer.SGD, **QUICK | {"rate": 1e12})
    with pytest.raises(CompileError, match="lower the learning rate"):
        finetune(mlp(), settings, task(mlp(), 100))


def test_neither_labels_nor_teacher() -> None:
    with pytest.raises(CompileError, match="needs a teacher"):
        finetune(mlp(), FinetuneSettings(**QUICK), Samples(task(mlp(), 20).inputs))


def test_a_mask_must_fit() -> None:
    with pytest.raises(CompileError, match="fc1: the mask is"):
        finetune(mlp(), FinetuneSettings(), task(mlp(), 20), masks={"fc1": np.ones(3)})


def test_a_layer_that_cannot_train_is_named() -> None:
    net = FloatNet(1, 4)
    y = net.linear(net.x, 4, "fc")
    y = net.op(CountThresholds, "count", y, net.b.constant("t", np.zeros((1, 2))), axis=1)
    graph = net.graph(y)
    with pytest.raises(
        UnsupportedError, match="node_count: fine-tuning does not handle CountThresholds"
    ):
        finetune(graph, FinetuneSettings(), Samples({"x": np.zeros((4, 1, 4))}))
