"""Stage 2: contrast regions of decoder maps to train the first decoder blocks, encoder frozen (METHOD.md 5)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from glocalseg.augment.views import apply_views, draw_views
from glocalseg.networks.build import initialise, local_blocks
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, freeze, pretrained_tensors, save_weights
from glocalseg.plan import Job, Plan
from glocalseg.pretraining.base import load_strategy
from glocalseg.pretraining.regions import local_loss, region_vectors
from glocalseg.stages.common import Inputs, Task, finish, open_inputs
from glocalseg.training.loop import Schedule, train
from glocalseg.training.randomness import generator, seed_of


def pretrain(job: Job, plan: Plan, root: Path) -> None:
    """Train the first decoder blocks of one (data set, global strategy, local strategy, seed) and seal its folder.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``; also if the decoder's map is too small for the regions.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = open_inputs(job, plan, root)
    config = plan.benchmark.pretrain_local
    net = inputs.network(plan, running_averages=True)
    blocks = local_blocks(net, config.blocks)
    task = make_task(inputs, plan, net)
    seconds, rate = train(
        inputs.run,
        task.trained,
        task.loss,
        steps=config.steps,
        schedule=Schedule(config.learning_rate, config.steps),
        images_per_step=task.images_per_step,
        checkpoint_every=config.checkpoint_every,
    )
    save_weights(pretrained_tensors(net, blocks), inputs.folder / FILE)
    finish(inputs, timing={"train_seconds": seconds, "images_per_second": rate}, more={"pool": list(inputs.split.pretrain)})


def make_task(inputs: Inputs, plan: Plan, net: SegmentationNet) -> Task:
    """The first decoder blocks of ``net`` with g2, its frozen encoder, and the local loss of the job's strategy.

    Raises:
        ConfigError: if the decoder has too few blocks or its map is too small for the regions.
    """
    name, seed, device = inputs.job.name.split("+")[1], inputs.seed, inputs.device
    config = plan.benchmark.pretrain_local
    strategy = load_strategy(name, plan.benchmark.strategies.get(name, {}), level="local")
    images = inputs.images(inputs.split.pretrain)
    pool = inputs.pool(inputs.split.pretrain)
    blocks = local_blocks(net, config.blocks)
    head = LocalHead(
        net.decoder.channels[blocks - 1],
        region_size=config.region_size,
        project=config.region_projection == "release",
        momentum=plan.benchmark.network.batchnorm_momentum,
    )
    initialise(head, seed_of(seed, "local head"))
    device.place(head)
    freeze(net.encoder)
    trained = nn.ModuleDict({"encoder": net.encoder, "decoder": net.decoder.blocks[:blocks], "head": head}).train()
    if config.frozen_batchnorm == "paper":  # D21
        net.encoder.eval()

    def forward(shown: Tensor) -> Tensor:
        with device.autocast():
            return head(net.decoder(net.encoder(shown), blocks))

    def loss(step: int) -> Tensor:
        draws = generator(seed, "local", step, device.device)
        views = strategy.draw(pool, config.images, draws)
        draw = draw_views(views.view, config.views, crop=False, generator=draws)
        maps = forward(apply_views(images[views.slice], draw, config.views))
        with device.autocast():
            vectors = region_vectors(maps, config.region_size, head.project)
        return local_loss(vectors, strategy.positives(views), strategy.negatives(views), temperature=config.temperature)

    count = len(strategy.draw(pool, config.images, generator(seed, "local", 0, device.device)))
    return Task(trained, loss, forward, count)
