"""Pseudo-contrast: supervised, while pixels of a class attract its mean over slices and, by pseudo-labels, over unlabelled ones.

Joint training with a local contrastive loss, by the authors of the paper. An embedding of the decoder's last map belongs to each
pixel. Of every slice and structure a few pixels are drawn; they are pulled towards the structure's mean embedding in their own
slice and in a neighbour of the batch, against the means of all structures in both. Pseudo-labels are found anew in rounds, as in
self-training.

Departures:
- The steps are those of the other regimes, split evenly: one part without pseudo-labels, then one for each round. The released
  code has 5,001 steps of a supervised training and then 301 a round, of which its comments say 5,000.
- The contrast begins with the first step, among labelled slices; there the first training has none.
- Weights and the optimiser's averages go on from round to round, and each part has the schedule of a whole training; there the
  first round begins with a new segmentation head, every other one at the weights that were best on validation, and the learning
  rate is constant.
- One batch, of labelled slices and as many unlabelled ones, augmented as everywhere here, is segmented and contrasted; there ten
  slices, changed in intensity alone, are contrasted beside the twenty that are segmented.
- A slice meets the next and the previous one of the batch, in which labelled and unlabelled ones alternate; there a fixed list of
  pairs, of which some are two views of a slice.
- Slices need not show all structures: what a slice lacks has no term. There only slices that show all are contrasted. Unlabelled
  slices in which no structure was found are not drawn.
- With a single structure, the means of the background repel, too; there is nothing else that could.
- Pseudo-labels are not discarded by a threshold, as by default in that code.
- The conditional random field's widths are shares of the frame (refine: none is without it).

As in that code the segmentation loss is of labelled slices alone, and so the paper's abstract says; segmented: both adds the
unlabelled ones with their pseudo-labels. As in it the denominator holds the means of all structures in both slices, that of the
pixel's own included. Its appearance kernel reaches a hundredth of a pixel, so the image has no part in the refinement; reach
widens it.

Source: Chaitanya et al., Local contrastive loss with pseudo-label based self-training for semi-supervised medical image
segmentation, Medical Image Analysis 87, 2023, arXiv 2112.09645, with its code
krishnabits001/pseudo_label_contrastive_training.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch
from glocalseg.methods.finetuning.crf import Crf
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.pseudo_labels import PseudoLabels, round_starts
from glocalseg.methods.finetuning.unlabelled import one_hot
from glocalseg.methods.pretraining.base import drawn
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class PseudoContrast(Regime):
    """Labelled slices as supervised draws them; from the first round on as many unlabelled ones.

    Options:
        rounds: how often the unlabelled slices are labelled.
        weight: of the contrast beside the segmentation loss.
        temperature: of the contrast.
        pixels: drawn of every structure in every slice.
        segmented: which slices have a segmentation loss: labelled ones, or both kinds.
        refine: what refines the pseudo-labels: crf, or none.
        reach: of the refinement's appearance kernel, its standard deviation in pixels of a 192-pixel frame.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "classes": "Share of the structures that a step's pixels meet in another slice; others have no positives.",
        "foreground": "Share of the pseudo-labelled pixels that is a structure; 0 before the first round, later if all is lost.",
        "empty": "Share of the unlabelled slices without any structure in their labels; 1 before the first round.",
    }
    rounds: int = Field(default=3, ge=1, le=100)
    weight: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    pixels: int = Field(default=3, ge=1, le=100)
    segmented: Literal["labelled", "both"] = "labelled"
    refine: Literal["none", "crf"] = "crf"
    reach: float = Field(default=0.01, gt=0, le=2)

    def begins(self, config: FinetuneConfig) -> tuple[int, ...]:
        """The first step of every round."""
        return round_starts(config.steps, self.rounds)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network with a head for embeddings, its pseudo-labels, and the segmentation loss with the contrast."""
        starts = self.begins(config)
        count, _, height, width = slices.unlabelled.shape
        found = PseudoLabels(count, (height, width)).to(device.device)
        crf = Crf(reach=self.reach) if self.refine == "crf" else None
        head = LocalHead(net.decoder.channels[-1], region_size=1, project=False, momentum=net.momentum)
        drawn(head, "contrast head", seed, device)
        last: dict[str, Tensor] = {}

        @device.compile
        def both(shown: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                maps = net.decoder(net.encoder(shown))
                return net.head(maps), head(maps)

        def forward(shown: Tensor) -> Tensor:
            return torch.cat(both(shown), dim=1)

        augment, contrast = device.compile(apply_training), device.compile(class_contrast)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            if step in starts:
                found.renew(net, slices.unlabelled, device, at_once=2 * config.batch, crf=crf)
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            if step >= starts[0]:
                others, taught = found.batch(slices, config, draws, augment, empty=False)
                images, labels = alternating(images, others), alternating(labels, taught)
            logits, embeddings = both(images)
            classes = labels.argmax(dim=1, keepdim=True)
            chosen = random_pixels(one_hot(classes, labels.shape[1]), self.pixels, draws)
            contrasted, last["met"] = contrast(embeddings, classes, *chosen, labels.shape[1], self.temperature)
            if step < starts[0]:
                loss = segmentation_loss(logits, labels, config.loss)
            else:
                loss = segmentation_loss(logits[::2], labels[::2], config.loss)
                if self.segmented == "both":  # the mean over both kinds, where there are both
                    other = segmentation_loss(logits[1::2], labels[1::2], config.loss)
                    loss = torch.where(found.usable.any(), (loss + other) / 2, loss)
            return {EVERYTHING: loss + self.weight * contrasted}

        def diagnostics() -> dict[str, Tensor]:
            return {"classes": last["met"].float().mean(), "foreground": found.foreground(), "empty": found.empty()}

        modules = nn.ModuleDict({"network": net, "head": head, "pseudo_labels": found}).train()
        return Task(modules, losses, forward, 2 * config.batch, net, diagnostics=diagnostics)


def alternating(first: Tensor, second: Tensor) -> Tensor:
    """Two batches (B, ...) as one (2 B, ...) in which their members alternate."""
    return torch.stack([first, second], dim=1).flatten(0, 1)


def random_pixels(one: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Different pixels of every class of every slice, drawn uniformly: where they are, and which there are.

    Args:
        one: (N, C, H, W) one-hot classes.

    Returns:
        (N, C, count) numbers of pixels, int64, and bool, False where a class has fewer pixels than that.
    """
    scores = torch.rand(one.shape, generator=generator, device=generator.device)
    best, place = torch.where(one > 0, scores, -1.0).flatten(2).topk(min(count, one.shape[2] * one.shape[3]), dim=2)
    return place, best >= 0


def class_contrast(
    embeddings: Tensor, classes: Tensor, place: Tensor, there: Tensor, count: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """The contrast of chosen pixels with their structures' means, in their own slice and in both neighbours of the batch.

    A term is -log of exp(s) over the sum of exp(s) of all structures' means in the pixel's slice and in the neighbour, s the
    cosine divided by the temperature. The mean of the terms of own means and the mean of those of neighbours' are added.

    Args:
        embeddings: (N, D, H, W).
        classes: (N, 1, H, W) int64, 0 for background.
        place, there: of chosen pixels, (N, count, K), see ``random_pixels``.
        count: of classes, background included.

    Returns:
        The loss, float32, 0 where there is no term; and which structures, (count - 1,) bool, met themselves in a neighbour.
    """
    z = embeddings.float().flatten(2)
    one = one_hot(classes, count).flatten(2)
    shown = one.any(dim=2)  # (N, C): which classes a slice has
    means = F.normalize(torch.einsum("ndp,ncp->ncd", z, one) / one.sum(dim=2, keepdim=True).clamp(min=1), dim=2)
    dimension, k = z.shape[1], place.shape[2]
    pixels = z.gather(2, place[:, 1:].flatten(1)[:, None].expand(-1, dimension, -1))
    pixels = F.normalize(pixels, dim=1).unflatten(2, (count - 1, k)).permute(0, 2, 3, 1)  # (N, structures, K, D)
    first = 1 if count > 2 else 0  # the first class whose mean repels
    there = there[:, 1:]

    def similarity(other: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
        """Of every pixel with the mean of its own structure in other slices, and the logarithm of the sum over all that repel."""
        s = torch.einsum("nckd,nmd->nckm", pixels, other) / temperature
        own = torch.diagonal(s[..., 1:], dim1=1, dim2=3).permute(0, 2, 1)  # (N, structures, K)
        repelled = s.masked_fill(~has[:, None, None, :], -1e9)[..., first:]
        return own, repelled.logsumexp(dim=3)

    own, repelled_here = similarity(means, shown)
    here, across = [], []
    for shift in (1, -1):
        has = shown.roll(shift, dims=0)
        met, repelled_there = similarity(means.roll(shift, dims=0), has)
        repelled = torch.logaddexp(repelled_here, repelled_there)
        here.append((repelled - own, there))
        across.append((repelled - met, there & has[:, 1:, None]))
    loss = mean_of(here) + mean_of(across)
    return loss, torch.stack([valid for _, valid in across]).flatten(0, 1).any(dim=2).any(dim=0)


def mean_of(terms: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean of those values of tensors that are valid; 0 where none is."""
    values, valid = (torch.stack(part) for part in zip(*terms, strict=True))
    return values.masked_fill(~valid, 0).sum() / valid.sum().clamp(min=1)


METHOD = PseudoContrast
