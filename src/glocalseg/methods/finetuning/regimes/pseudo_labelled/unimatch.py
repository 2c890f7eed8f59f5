"""UniMatch: FixMatch with two strong views of every unlabelled slice, and a third stream whose features are dropped at random.

What the network says of the weak view, where its probability is at least 0.95, labels all three: two strong views with boxes of
their own, and the weak view with channels of all of the encoder's maps dropped. The loss is (x + s1 / 4 + s2 / 4 + f / 2) / 2, x
of the labelled slices.

Departures:
- x is the benchmark's segmentation loss; in its medical code the mean of Dice and cross-entropy. So where the benchmark's is
  their sum, the unlabelled losses weigh half as much beside it as there. They are that code's: Dice of the sure pixels, by class
  over the batch, with squares.
- The labelled slices are those of the other regimes here, and as many unlabelled ones, augmented alike, join them. A box comes
  from another slice of the same step; that code draws as many again and looks at them in inference mode.
- A view keeps the range of its slice; that code's images have eight bits. Blurs are of pixels of the benchmark's frame.
- A box that would leave the frame is cut or moved; that code draws until one fits.
- Features of unlabelled slices alone are dropped; that code drops those of labelled ones, too, and does not use what comes of it.
- Optimiser and learning rate are the benchmark's; that code uses stochastic gradient descent with a falling rate.
- That code chooses its weights on volumes that it tests; here validation does, as for every regime.

Source: Yang et al., Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023, arXiv 2208.09910,
with the medical part of its code LiheYoung/UniMatch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.losses import EPSILON, segmentation_loss
from glocalseg.methods.finetuning.unlabelled import (
    apply_strong,
    confidence,
    cutmix_boxes,
    draw_strong,
    mask_rates,
    one_hot,
    pasted,
)
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class UniMatch(Regime):
    """Labelled slices as supervised draws them, and as many unlabelled ones in a weak and two strong views.

    Options:
        strong: weight of the strong views, both together, beside the labelled loss.
        features: weight of the stream with dropped features.
        silent: share of the steps, from the first, without the unlabelled losses.
        tau: probability from where on a pixel counts.
        dropped: probability that a channel of a map is dropped.
        jitter: half-width of brightness and contrast of a strong view.
        blur: its largest standard deviation in pixels.
        cutmix: probability that it has a box of another slice; 0 for none.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "mask_rate": "Share of the unlabelled pixels that the network is sure of; all others count for nothing.",
        "mask_rate_foreground": "The same share of the pixels taken for a structure; near 0 only background is taught.",
        "foreground": "Share of the unlabelled pixels that are taken for a structure; 0 is a network that sees background alone.",
    }
    strong: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    features: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    silent: float = Field(default=0.0, ge=0, lt=1)
    tau: float = Field(default=0.95, ge=0, lt=1)
    dropped: float = Field(default=0.5, ge=0, lt=1)
    jitter: float = Field(default=0.5, ge=0, le=1)
    blur: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    cutmix: float = Field(default=0.5, ge=0, le=1)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network, the segmentation loss, and the losses of the three streams."""
        n, classes, size = config.batch, slices.labels.shape[1], (slices.images.shape[2], slices.images.shape[3])
        last: dict[str, Tensor] = {}

        @device.compile
        def weakly(shown: Tensor, kept: list[Tensor]) -> Tensor:
            with device.autocast():
                maps = net.encoder(shown)
                fewer = [m[-len(k) :] * k.to(m.dtype) for m, k in zip(maps, kept, strict=True)]
                return net.head(net.decoder([torch.cat(pair) for pair in zip(maps, fewer, strict=True)]))

        @device.compile
        def segment(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        def forward(images: Tensor) -> Tensor:
            shown, views = images.chunk(2)
            everything = [torch.ones(len(shown) // 2, c, 1, 1, device=images.device) for c in net.encoder.channels]  # type: ignore[union-attr]
            return torch.cat([weakly(shown, everything), segment(views)])

        augment, strongly = device.compile(apply_training), device.compile(apply_strong)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            weak = unlabelled_batch(slices, config, draws, augment)
            draw = draw_strong(2 * n, jitter=self.jitter, blur=self.blur, generator=draws)
            boxes = cutmix_boxes(2 * n, size, self.cutmix, draws).split(n)
            views = [pasted(v, box) for v, box in zip(strongly(weak.repeat(2, 1, 1, 1), draw).split(n), boxes, strict=True)]
            kept = kept_channels(n, net.encoder.channels, self.dropped, draws)  # type: ignore[arg-type]
            labelled, said, fewer = weakly(torch.cat([images, weak]), kept).split(n)
            first, second = segment(torch.cat(views)).split(n)
            found, sure = confidence(said)
            counted = sure >= self.tau
            last.update(counted=counted, found=found)

            def taught(logits: Tensor, found: Tensor, counted: Tensor) -> Tensor:
                return batch_dice_loss(logits.float().softmax(dim=1), one_hot(found, classes), counted)

            of_views = [
                taught(logits, pasted(found, box), pasted(counted, box))
                for logits, box in zip((first, second), boxes, strict=True)
            ]
            on = float(step >= self.silent * config.steps)
            unlabelled = self.strong * (of_views[0] + of_views[1]) / 2 + self.features * taught(fewer, found, counted)
            return {EVERYTHING: (segmentation_loss(labelled, labels, config.loss) + on * unlabelled) / 2}

        return Task(
            nn.ModuleDict({"network": net.train()}),
            losses,
            forward,
            4 * n,
            net,
            diagnostics=lambda: mask_rates(last["counted"], last["found"]),
        )


def batch_dice_loss(probabilities: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """One minus the mean over classes of the Dice of all counted pixels of a batch, with squares below; 0 where none counts.

    Unlike Dice by slice it pushes back a structure in slices that are said to have none.

    Args:
        probabilities: (N, C, H, W) float32, summing to 1 over C.
        target: (N, C, H, W) float32, one-hot.
        counted: (N, 1, H, W), 0 or 1.
    """
    said, wanted = probabilities * counted, target * counted
    overlap = (said * wanted).sum(dim=(0, 2, 3))
    total = said.square().sum(dim=(0, 2, 3)) + wanted.square().sum(dim=(0, 2, 3))
    return 1 - ((2 * overlap + EPSILON) / (total + EPSILON)).mean()


def kept_channels(n: int, channels: list[int], dropped: float, generator: torch.Generator) -> list[Tensor]:
    """For each of an encoder's maps a factor of each channel of n images, (n, C, 1, 1): 0, or what makes up for those at 0."""
    return [
        (torch.rand(n, c, 1, 1, generator=generator, device=generator.device) >= dropped).float() / (1 - dropped)
        for c in channels
    ]


METHOD = UniMatch
