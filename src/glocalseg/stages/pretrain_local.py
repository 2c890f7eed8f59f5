"""Stage 2: contrast regions of decoder maps to train the first decoder blocks, encoder frozen (METHOD.md 5)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from glocalseg.augment.views import apply_views, draw_views
from glocalseg.networks.build import initialise, local_blocks
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.weights import FILE, freeze, pretrained_tensors, save_weights
from glocalseg.plan import Job, Plan
from glocalseg.pretraining.base import load_strategy
from glocalseg.pretraining.regions import local_loss, region_vectors
from glocalseg.stages.common import finish, open_inputs
from glocalseg.training.loop import Schedule, train
from glocalseg.training.randomness import generator, seed_of


def pretrain(job: Job, plan: Plan, root: Path) -> None:
    """Train the first decoder blocks of one (data set, global strategy, local strategy, seed) and seal its folder.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``; also if the decoder's map is too small for the regions.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = open_inputs(job, plan, root)
    config, device, seed = plan.benchmark.pretrain_local, inputs.device, inputs.seed
    name = job.name.split("+")[1]
    strategy = load_strategy(name, plan.benchmark.strategies.get(name, {}), level="local")
    net = inputs.network(plan, running_averages=True)
    images = inputs.images(inputs.split.pretrain)
    pool = inputs.pool(inputs.split.pretrain)
    blocks = local_blocks(net, config.blocks)
    project = config.region_projection == "release"
    head = LocalHead(
        net.decoder.channels[blocks - 1],
        region_size=config.region_size,
        project=project,
        momentum=plan.benchmark.network.batchnorm_momentum,
    )
    initialise(head, seed_of(seed, "local head"))
    device.place(head)
    freeze(net.encoder)
    decoder = net.decoder.blocks[:blocks]
    trained = nn.ModuleDict({"encoder": net.encoder, "decoder": decoder, "head": head}).train()
    if config.frozen_batchnorm == "paper":  # D21
        net.encoder.eval()

    def loss(step: int) -> Tensor:
        draws = generator(seed, "local", step, device.device)
        views = strategy.draw(pool, config.images, draws)
        draw = draw_views(views.view, config.views, crop=False, generator=draws)
        shown = apply_views(images[views.slice], draw, config.views)
        with device.autocast():
            maps = head(net.decoder(net.encoder(shown), blocks))
            vectors = region_vectors(maps, config.region_size, head.project)
        return local_loss(vectors, strategy.positives(views), strategy.negatives(views), temperature=config.temperature)

    seconds, rate = train(
        inputs.run,
        trained,
        loss,
        steps=config.steps,
        schedule=Schedule(config.learning_rate, config.steps),
        images_per_step=len(strategy.draw(pool, config.images, generator(seed, "local", 0, device.device))),
        checkpoint_every=config.checkpoint_every,
    )
    save_weights(pretrained_tensors(net, blocks), inputs.folder / FILE)
    finish(inputs, timing={"train_seconds": seconds, "images_per_second": rate}, more={"pool": list(inputs.split.pretrain)})
