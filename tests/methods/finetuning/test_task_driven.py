"""Task-driven: who trains in which stage, the losses by hand, what of a batch is changed, and fields that fold or saturate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.regimes.judged.task_driven import TaskDriven, composition, cut
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.task import Task
from methods.finetuning.waiting import no_values
from methods.made_up import SIDE, finetuning_task, loss_of, trained

STEPS, LEAD = 3, 3  # of the second stage, of the first


def made(*, steps: int = STEPS, **options: Any) -> tuple[SegmentationNet, Task]:
    return finetuning_task("task_driven", steps=steps, options=options)


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in module.state_dict().items()}


def unchanged(module: torch.nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(t, before[n]) for n, t in module.named_parameters())


def test_the_first_stage_is_a_share_of_the_second() -> None:
    config = FinetuneConfig(steps=400)
    assert [TaskDriven(lead_share=share).lead(config) for share in (1.0, 0.5, 1e-6)] == [400, 200, 1]


def test_in_the_first_stage_the_network_rests_and_in_the_second_all_others(tmp_path: Path) -> None:
    net, task = made()
    begin = {name: state(part) for name, part in task.modules.items()}
    trained(task, tmp_path, LEAD)
    assert all(torch.equal(t, begin["network"][n]) for n, t in net.state_dict().items())
    assert not any(unchanged(task.modules[name], begin[name]) for name in ("helpers", "generators", "judges"))
    middle = {name: state(part) for name, part in task.modules.items()}
    trained(task, tmp_path, LEAD + STEPS)
    assert not unchanged(net, begin["network"])
    assert all(unchanged(task.modules[name], middle[name]) for name in ("helpers", "generators", "judges"))
    assert task.result is net


def test_segmentation_networks_train_alone_at_first(tmp_path: Path) -> None:
    _, task = made(alone=0.6)
    assert [set(task.losses(step)) for step in (1, 2, LEAD)] == [{"helpers"}, {"helpers", "generators", "judges"}, {"net"}]


def test_the_second_stage_begins_with_the_labelled_slices_of_supervised() -> None:
    """As many as are not changed: at the end of the batch."""
    seen: dict[str, Tensor] = {}
    net, task = made()
    plain_net, plain = finetuning_task("supervised", steps=STEPS)
    for name, each in (("changed", net), ("plain", plain_net)):
        each.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    task.losses(LEAD + 2)
    plain.losses(2)
    alike = [torch.equal(a, b) for a, b in zip(seen["changed"], seen["plain"], strict=True)]
    assert alike[-2:] == [True, True]  # of six slices between 1.8 and 3 are plain
    assert alike[:2] == [False, False]


def test_a_batch_is_composed_as_published() -> None:
    counts = {kind: set() for kind in ("deformed", "recoloured", "both", "neither")}  # type: ignore[var-annotated]
    for seed in range(300):
        moves, tints = (t.flatten().tolist() for t in composition(20, torch.Generator().manual_seed(seed)))
        kinds = [2 * m + t for m, t in zip(moves, tints, strict=True)]
        assert kinds == sorted(kinds, key=[2, 1, 3, 0].index)
        for kind, number in zip(counts, (2, 1, 3, 0), strict=True):
            counts[kind].add(kinds.count(number))
    assert counts == {
        "deformed": set(range(1, 5)), "recoloured": set(range(1, 9)), "both": set(range(1, 10)), "neither": set(range(6, 11)),
    }  # fmt: skip
    cuts = {cut(5, 14, 6, torch.Generator().manual_seed(seed)).item() for seed in range(100)}
    assert cuts == {2, 3, 4}


class Watched:
    """What generators, judges and segmentation networks are shown and answer in a step of the first stage."""

    def __init__(self, step: int = 0, **options: Any) -> None:
        _, self.task = made(**options)
        self.calls: dict[str, list[tuple[tuple[Tensor, ...], Tensor]]] = {}
        for group in ("helpers", "generators", "judges"):
            for kind in ("deform", "recolour"):
                calls = self.calls.setdefault(f"{group} {kind}", [])
                self.task.modules[group][kind].register_forward_hook(lambda *found, calls=calls: calls.append(found[1:]))
        self.losses = self.task.losses(step)


def test_the_losses_of_the_first_stage_are_as_published() -> None:
    options = {"adversarial": 0.6, "change": 0.2}
    found, without = Watched(**options), Watched(adversarial=0.0, change=0.0)
    expected = without.losses["helpers"]  # the segmentation losses
    judging = torch.zeros(())
    real, made_one = torch.ones(6), torch.zeros(6)
    for kind in ("deform", "recolour"):
        ((_, field),) = found.calls[f"generators {kind}"]
        (_, passing), (_, said) = found.calls[f"judges {kind}"]
        expected = expected + 0.6 * F.binary_cross_entropy_with_logits(passing[6:], real) - 0.2 * field.abs().mean()
        judging = judging + F.binary_cross_entropy_with_logits(said[:6], real)
        judging = judging + F.binary_cross_entropy_with_logits(said[6:], made_one)
    assert found.losses["helpers"] is found.losses["generators"]
    torch.testing.assert_close(found.losses["helpers"], expected)
    torch.testing.assert_close(found.losses["judges"], judging)


def test_what_is_segmented_in_the_first_stage() -> None:
    """The first slices as they are; of the others one network sees the deformed, one the recoloured, each with its labels."""
    found = Watched(adversarial=0.0, change=0.0)
    (images, _), tint = found.calls["generators recolour"][0]
    (recoloured,), said = found.calls["helpers recolour"][0]
    changed = [not torch.equal(a, b) for a, b in zip(recoloured, images, strict=True)]
    assert changed == sorted(changed)
    assert 2 <= sum(changed) <= 4
    torch.testing.assert_close(recoloured[-2:], (images + tint)[-2:])
    (shown,), _ = found.calls["judges deform"][0]
    assert torch.equal(found.calls["helpers deform"][0][0][0][-2:], shown[-2:])
    assert (said.shape, shown.shape) == ((6, 3, SIDE, SIDE), (12, 1, SIDE, SIDE))


@pytest.mark.parametrize(("task_gradient", "moved"), [("paper", True), ("release", False)])
def test_the_segmentation_loss_moves_the_generators_or_does_not(task_gradient: str, moved: bool) -> None:
    found = Watched(task_gradient=task_gradient, adversarial=0.0, change=0.0)
    weights = [p for kind in ("deform", "recolour") for p in found.task.modules["generators"][kind].join.parameters()]
    helped = found.task.modules["helpers"]["deform"].head[-1].weight
    *gradients, own = torch.autograd.grad(found.losses["generators"], [*weights, helped], allow_unused=True)
    sizes = [0.0 if g is None else g.norm().item() for g in gradients]
    assert (max(sizes) > 1e-4) is moved
    assert own is not None


@pytest.mark.parametrize("step", [0, LEAD])
def test_no_stage_waits(step: int) -> None:
    _, task = made()
    with no_values():
        sum(task.losses(step).values()).backward()  # type: ignore[union-attr]


def test_an_interruption_in_the_second_stage_changes_nothing(tmp_path: Path) -> None:
    def trained_until(folder: str, fail_at: int | None) -> Task:
        return trained(made(steps=2)[1], tmp_path / folder, 4, fail_at=fail_at, checkpoint_every=1)

    whole = trained_until("whole", None)
    for at in (2, 3):  # where the second stage begins, and inside it
        with pytest.raises(RuntimeError, match="the power went"):
            trained_until("broken", at)
    found = trained_until("broken", None).modules.state_dict()
    assert [n for n, t in whole.modules.state_dict().items() if not torch.equal(t, found[n])] == []


def test_the_network_learns_in_the_second_stage(tmp_path: Path) -> None:
    net, task = finetuning_task("task_driven", steps=24, loss="dice_ce", options={"lead_share": 0.1})
    _, plain = finetuning_task("supervised", steps=24, loss="dice_ce", net=net)
    before = loss_of(plain, lambda: range(100, 105))
    trained(task, tmp_path, 26, rate=1e-2, checkpoint_every=26)
    assert loss_of(plain, lambda: range(100, 105)) < 0.7 * before


def test_fields_that_fold_or_saturate_and_judges_that_win_are_seen() -> None:
    _, task = made()
    task.losses(0)
    signs = {n: v.item() for n, v in task.diagnostics().items()}
    assert signs["folded"] < 0.05
    assert signs["saturated"] < 0.3
    assert 0.2 < signs["judge_accuracy_deform"] < 0.8  # of judges that have learnt nothing
    with torch.no_grad():
        for kind in ("deform", "recolour"):
            task.modules["generators"][kind].join[-1].weight.mul_(1e3)
    for step in (1, LEAD):
        task.losses(step)
        found = {n: v.item() for n, v in task.diagnostics().items()}
        assert found["folded"] > 0.3
        assert found["saturated"] > 0.9
    judge = task.modules["judges"]["recolour"]
    judge.forward = lambda shown: 1.5 - shown.abs().amax(dim=(1, 2, 3))  # type: ignore[method-assign]  # no real one is so bright
    assert task.diagnostics()["judge_accuracy_recolour"] > 0.9
