"""Stage 2: contrast regions of decoder maps to train the first decoder blocks, encoder frozen (METHOD.md 5)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from glocalseg.augment.views import apply_views, draw_views
from glocalseg.networks.build import initialise, local_blocks
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import freeze
from glocalseg.plan import Job, Plan
from glocalseg.pretraining.base import load_strategy
from glocalseg.pretraining.regions import Repulsion, local_loss, region_vectors
from glocalseg.stages import common
from glocalseg.stages.common import Inputs, Task, open_inputs
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
    common.pretrain(inputs, config, net, make_task(inputs, plan, net), blocks=local_blocks(net, config.blocks))


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

    first = strategy.draw(pool, config.images, generator(seed, "local", 0, device.device))
    repulsion = Repulsion.of(strategy.negatives(first), device.device)

    @device.compile
    def forward(shown: Tensor) -> Tensor:
        with device.autocast():
            return head(net.decoder(net.encoder(shown), blocks))

    augment = device.compile(apply_views)

    def loss(step: int) -> Tensor:
        device.begin_step()
        draws = generator(seed, "local", step, device.device)
        views = strategy.draw(pool, config.images, draws)
        draw = draw_views(views.view, config.views, crop=False, generator=draws)
        maps = forward(augment(images[views.slice], draw, config.views))
        with device.autocast():
            vectors = region_vectors(maps, config.region_size, head.project)
        return local_loss(vectors, strategy.positives(views), repulsion, temperature=config.temperature)

    return Task(trained, loss, forward, len(first))
