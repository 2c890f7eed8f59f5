"""Stage 1: contrast whole slices to train the encoder (METHOD.md 4)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from glocalseg.augment.views import apply_views, draw_views
from glocalseg.networks.build import initialise
from glocalseg.networks.heads import GlobalHead
from glocalseg.networks.weights import FILE, pretrained_tensors, save_weights
from glocalseg.plan import Job, Plan
from glocalseg.pretraining.base import EMPTY, Views, load_strategy
from glocalseg.pretraining.contrast import cosine_similarity, info_nce
from glocalseg.stages.common import finish, open_inputs
from glocalseg.training.loop import Schedule, train
from glocalseg.training.randomness import generator, seed_of


def pretrain(job: Job, plan: Plan, root: Path) -> None:
    """Train the encoder of one (data set, strategy, seed) and seal its folder.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = open_inputs(job, plan, root)
    config, device, seed = plan.benchmark.pretrain_global, inputs.device, inputs.seed
    strategy = load_strategy(job.name, plan.benchmark.strategies.get(job.name, {}), level="global")
    net = inputs.network(plan, running_averages=False)
    images = inputs.images(inputs.split.pretrain)
    pool = inputs.pool(inputs.split.pretrain)
    with torch.no_grad():
        _, channels, height, width = net.encoder.eval()(images[:1])[-1].shape
    head = GlobalHead(channels, height, width)
    initialise(head, seed_of(seed, "global head"))
    device.place(head)
    trained = nn.ModuleDict({"encoder": net.encoder, "head": head}).train()

    def loss(step: int) -> Tensor:
        draws = generator(seed, "global", step, device.device)
        views = strategy.draw(pool, config.images, draws)
        batch = view_images(images, views)
        augmented = (views.view > 0) & (views.slice != EMPTY)  # the release's zeros stay zeros
        draw = draw_views(views.view, config.views, crop=True, generator=draws)
        shown = torch.where(augmented.view(-1, 1, 1, 1), apply_views(batch, draw, config.views), batch)
        with device.autocast():
            embeddings = head(net.encoder(shown)[-1])
        similarity = cosine_similarity(embeddings)
        return info_nce(similarity, strategy.positives(views), strategy.negatives(views), temperature=config.temperature)

    seconds, rate = train(
        inputs.run,
        trained,
        loss,
        steps=config.steps,
        schedule=Schedule(config.learning_rate, config.steps),
        images_per_step=len(strategy.draw(pool, config.images, generator(seed, "global", 0, device.device))),
        checkpoint_every=config.checkpoint_every,
    )
    save_weights(pretrained_tensors(net, 0), inputs.folder / FILE)
    finish(inputs, timing={"train_seconds": seconds, "images_per_second": rate}, more={"pool": list(inputs.split.pretrain)})


def view_images(images: Tensor, views: Views) -> Tensor:
    """The untouched slices that views show, (N, 1, H, W); zeros where a view is empty (D1, release)."""
    return images[views.slice.clamp(min=0)] * (views.slice != EMPTY).view(-1, 1, 1, 1)
