"""Pseudo-contrast: the contrast against loops, who meets whom, which slices are segmented, that it learns, and what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.pseudo_labelled.pseudo_contrast import alternating, class_contrast, random_pixels
from glocalseg.methods.finetuning.unlabelled import one_hot
from glocalseg.training.task import Task
from methods.finetuning.waiting import no_values
from methods.made_up import DEPTH, SIDE, finetuning_task, labelled_slices, loss_of, trained, volumes

QUIET = {"rotation": 0, "scale": 0, "flip": False, "right_angles": False, "elastic": 0, "intensity": "release"}
STEPS = 8  # rounds begin at 2, 4 and 6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow(z: Tensor, classes: Tensor, place: Tensor, there: Tensor, count: int, temperature: float) -> tuple[float, set[int]]:
    """The contrast pair by pair, and the structures that met themselves in a neighbour."""
    z, classes = z.flatten(2), classes.flatten(1)
    n = len(z)

    def mean(image: int, c: int) -> Tensor | None:
        chosen = z[image][:, classes[image] == c]
        return chosen.mean(dim=1) if chosen.shape[1] else None

    def cosine(a: Tensor, b: Tensor) -> Tensor:
        return torch.dot(a, b) / a.norm() / b.norm() / temperature

    own_terms, other_terms, met = [], [], set()
    for image in range(n):
        for other in ((image - 1) % n, (image + 1) % n):
            means = [m for i in (image, other) for c in range(1 if count > 2 else 0, count) if (m := mean(i, c)) is not None]
            for c in range(1, count):
                for k in range(place.shape[2]):
                    if not there[image, c, k]:
                        continue
                    pixel = z[image][:, place[image, c, k]]
                    repelled = sum(torch.exp(cosine(pixel, m)) for m in means)
                    for i, terms in ((image, own_terms), (other, other_terms)):
                        if (target := mean(i, c)) is not None:
                            terms.append(-torch.log(torch.exp(cosine(pixel, target)) / repelled))
                            if i == other:
                                met.add(c)
    return float(sum(torch.stack(t).mean() if t else 0.0 for t in (own_terms, other_terms))), met


@pytest.mark.parametrize("count", [2, 4])
def test_the_contrast_is_the_loop(count: int) -> None:
    g = generator()
    z, classes = torch.randn(4, 5, 6, 7, generator=g), torch.randint(count, (4, 1, 6, 7), generator=g)
    classes[0][classes[0] == count - 1] = 0  # a slice that lacks a structure
    classes[2] = 0  # and one that lacks all
    classes[3, 0, 0, :2] = 1
    place, there = random_pixels(one_hot(classes, count), 3, g)
    loss, met = class_contrast(z, classes, place, there, count, 0.5)
    expected, wanted = slow(z, classes, place, there, count, 0.5)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert {c + 1 for c, found in enumerate(met.tolist()) if found} == wanted


def test_without_structures_there_is_no_loss_and_no_gradient_that_is_none() -> None:
    z, classes = (
        torch.randn(3, 4, 5, 5, generator=generator(), requires_grad=True),
        torch.zeros(3, 1, 5, 5, dtype=torch.long),
    )
    place, there = random_pixels(one_hot(classes, 3), 3, generator())
    loss, met = class_contrast(z, classes, place, there, 3, 0.1)
    loss.backward()
    assert loss == 0
    assert not met.any()
    assert not z.grad.any()


def test_pixels_are_of_their_class_different_and_all_are_drawn() -> None:
    classes = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 0, 0]])[None, None]
    seen = set()
    for seed in range(60):
        place, there = random_pixels(one_hot(classes, 4), 3, generator(seed))
        assert there.sum(dim=2).tolist() == [[3, 3, 1, 0]]
        for c in range(4):
            found = place[0, c][there[0, c]].tolist()
            assert len(set(found)) == len(found)
            assert all(classes.flatten()[p] == c for p in found)
            seen |= set(found)
    assert seen == set(range(9))


def test_kinds_of_slices_alternate() -> None:
    assert alternating(torch.tensor([[1], [2]]), torch.tensor([[3], [4]])).flatten().tolist() == [1, 3, 2, 4]


def step_of(step: int, **changes: Any) -> tuple[Task, dict[str, Tensor], Tensor]:
    """A task after the beginning of its first round, what its network is shown and answers, and its loss, in a later step."""
    net, task = finetuning_task("pseudo_contrast", steps=STEPS, augment=QUIET, **changes)
    seen: dict[str, Tensor] = {}
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.update(shown=inputs[0]))
    for name, part in (("said", net.head), ("embeddings", task.modules["head"])):
        part.register_forward_hook(lambda *found, name=name: seen.update({name: found[2]}))
    if step > 2:
        task.losses(2)
    return task, seen, task.losses(step)["all"]


def nearest(shown: Tensor, images: Tensor) -> Tensor:
    return torch.cdist(shown.flatten(1), images.flatten(1)).argmin(dim=1)


def test_first_come_labelled_slices_alone_those_of_supervised() -> None:
    _, seen, loss = step_of(1)
    net, plain = finetuning_task("supervised", steps=STEPS, augment=QUIET)
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.update(plain=inputs[0]))
    usual = plain.losses(1)["all"]
    assert torch.equal(seen["shown"], seen["plain"])
    _, _, without = step_of(1, options={"weight": 0.0})
    torch.testing.assert_close(without, usual, rtol=1e-5, atol=0)
    assert loss > without


@pytest.mark.parametrize("segmented", ["labelled", "both"])
def test_the_loss_of_a_round(segmented: str) -> None:
    """Segmentation of the slices that it says, and the contrast of all, with the pixels that the step draws."""
    options = {"segmented": segmented, "refine": "none", "weight": 0.7}
    _, seen, loss = step_of(3, options=options)
    task, _, without = step_of(3, options={**options, "weight": 0.0})
    slices, shown = labelled_slices(unlabelled=True), seen["shown"]
    labels = slices.labels[nearest(shown[::2], slices.images)]
    taught = one_hot(task.modules["pseudo_labels"].labels[nearest(shown[1::2], slices.unlabelled)][:, None], 3)
    expected = segmentation_loss(seen["said"][::2], labels, "dice")
    if segmented == "both":
        expected = (expected + segmentation_loss(seen["said"][1::2], taught, "dice")) / 2
    torch.testing.assert_close(without, expected, rtol=1e-3, atol=1e-4)
    assert shown.shape == (12, 1, SIDE, SIDE)
    # any pixels of the right classes give about the same contrast
    classes = alternating(labels, taught).argmax(dim=1, keepdim=True)
    place, there = random_pixels(one_hot(classes, 3), 100, generator())
    contrast, _ = class_contrast(seen["embeddings"], classes, place, there, 3, 0.1)
    assert (loss - without).item() == pytest.approx(0.7 * contrast.item(), rel=0.25)


@pytest.mark.parametrize("options", [{}, {"segmented": "both", "refine": "none"}])
def test_a_round_waits_for_nothing(options: dict[str, Any]) -> None:
    _, task = finetuning_task("pseudo_contrast", steps=STEPS, options=options)
    with no_values():
        for step in (2, 3):
            task.losses(step)["all"].backward()


def test_an_interruption_inside_a_round_changes_nothing(tmp_path: Path) -> None:
    def trained_until(folder: str, fail_at: int | None) -> Task:
        _, task = finetuning_task("pseudo_contrast", steps=STEPS)
        return trained(task, tmp_path / folder, STEPS, fail_at=fail_at, checkpoint_every=1)

    whole = trained_until("whole", None)
    with pytest.raises(RuntimeError, match="the power went"):
        trained_until("broken", 5)
    found = trained_until("broken", None).modules.state_dict()
    assert [n for n, t in whole.modules.state_dict().items() if not torch.equal(t, found[n])] == []
    assert whole.modules["pseudo_labels"].labels.any()


def test_it_learns_to_tell_structures_apart(tmp_path: Path) -> None:
    """Both losses fall: with weight 0 what is left is segmentation."""
    _, task = finetuning_task("pseudo_contrast", steps=40, loss="dice_ce", options={"rounds": 1, "weight": 1.0})
    _, plain = finetuning_task(
        "pseudo_contrast",
        steps=40,
        loss="dice_ce",
        options={"rounds": 1, "weight": 0.0},
        net=task.result,  # type: ignore[arg-type]
    )

    def both() -> tuple[float, float]:
        every, segmentation = (loss_of(t, lambda: range(5)) for t in (task, plain))  # labelled slices
        return segmentation, every - segmentation

    plain.modules["head"].load_state_dict(task.modules["head"].state_dict())
    before = both()
    trained(task, tmp_path, 40, rate=5e-3, checkpoint_every=40)
    after = both()
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.7 * before[1]


def test_what_has_no_positives_is_seen() -> None:
    """The network takes one structure for background, as a refinement that removes it would: nothing of it is met."""
    shares = []
    for kept in ((1.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
        _, task = finetuning_task("pseudo_contrast", steps=STEPS, options={"refine": "none"})
        found = task.modules["pseudo_labels"]
        truth = torch.cat([torch.zeros(1), torch.tensor([1.0, 2.0]) * torch.tensor(kept)]).to(torch.uint8)
        found.labels.copy_(truth[volumes()[1][2 * DEPTH :].argmax(dim=1)])
        found.usable.copy_((found.labels > 0).flatten(1).any(dim=1))
        task.losses(3)
        shares.append({n: v.item() for n, v in task.diagnostics().items()})
    assert [s["classes"] for s in shares] == [1, 0.5, 0]
    assert [s["empty"] for s in shares] == [0, 0, 1]
    assert shares[0]["foreground"] > shares[1]["foreground"] > shares[2]["foreground"] == 0
