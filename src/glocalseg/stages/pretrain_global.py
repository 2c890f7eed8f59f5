"""Stage 1: contrast whole slices to train the encoder (METHOD.md 4)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from glocalseg.augment.views import apply_views, draw_views
from glocalseg.networks.build import initialise
from glocalseg.networks.heads import GlobalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.plan import Job, Plan
from glocalseg.pretraining.base import EMPTY, Views, load_strategy
from glocalseg.pretraining.contrast import cosine_similarity, info_nce
from glocalseg.stages import common
from glocalseg.stages.common import Inputs, Task, open_inputs
from glocalseg.training.randomness import generator, seed_of


def pretrain(job: Job, plan: Plan, root: Path) -> None:
    """Train the encoder of one (data set, strategy, seed) and seal its folder.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = open_inputs(job, plan, root)
    net = inputs.network(plan, running_averages=False)
    common.pretrain(inputs, plan.benchmark.pretrain_global, net, make_task(inputs, plan, net), blocks=0)


def make_task(inputs: Inputs, plan: Plan, net: SegmentationNet) -> Task:
    """The encoder of ``net`` with g1, and the contrastive loss of the job's strategy. Raises ConfigError."""
    name, seed, device = inputs.job.name, inputs.seed, inputs.device
    config = plan.benchmark.pretrain_global
    strategy = load_strategy(name, plan.benchmark.strategies.get(name, {}), level="global")
    images = inputs.images(inputs.split.pretrain)
    pool = inputs.pool(inputs.split.pretrain)
    with torch.no_grad():
        _, channels, height, width = net.encoder.eval()(images[:1])[-1].shape
    head = GlobalHead(channels, height, width)
    initialise(head, seed_of(seed, "global head"))
    device.place(head)

    @device.compile
    def forward(shown: Tensor) -> Tensor:
        with device.autocast():
            return head(net.encoder(shown)[-1])

    augment = device.compile(apply_views)

    def loss(step: int) -> Tensor:
        device.begin_step()
        draws = generator(seed, "global", step, device.device)
        views = strategy.draw(pool, config.images, draws)
        batch = view_images(images, views)
        draw = draw_views(views.view, config.views, crop=True, generator=draws)
        # originals are shown as they are, and so are the empty images of D1, which a brightness change would colour
        augmented = ((views.view > 0) & (views.slice != EMPTY)).view(-1, 1, 1, 1)
        similarity = cosine_similarity(forward(torch.where(augmented, augment(batch, draw, config.views), batch)))
        return info_nce(similarity, strategy.positives(views), strategy.negatives(views), temperature=config.temperature)

    trained = nn.ModuleDict({"encoder": net.encoder, "head": head}).train()
    count = len(strategy.draw(pool, config.images, generator(seed, "global", 0, device.device)))
    return Task(trained, loss, forward, count)


def view_images(images: Tensor, views: Views) -> Tensor:
    """The untouched slices that views show, (N, 1, H, W); zeros where a view is empty (D1, release)."""
    return images[views.slice.clamp(min=0)] * (views.slice != EMPTY).view(-1, 1, 1, 1)
