"""A smaller encoder out of a trained one: some of its blocks, some of the units of their feed-forward, all its items.

Called by   services/training/compression/prune.py, distil.py
Out         a model at its start, to be trained on: what is left is copied, nothing is random
Errors      ValueError when the blocks or the width that are asked for are not there
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import ItemSides
from shared.models.blocks import SwiGlu


def shrunk(model: SequenceModel, sides: ItemSides, kept_blocks: Sequence[int], feed_forward: int) -> SequenceModel:
    """Return a model with the kept blocks, in their order, and `feed_forward` times the width in each."""
    config = model.encoder.config
    if not kept_blocks or not set(kept_blocks) <= set(range(config.blocks)) or feed_forward > config.feed_forward:
        raise ValueError(f"blocks {list(kept_blocks)} of width {feed_forward} are not in {config}")
    smaller = replace(config, blocks=len(kept_blocks), feed_forward=feed_forward)
    small = SequenceModel(smaller, model.num_items, sides)
    known = model.state_dict()
    place_of = {old: new for new, old in enumerate(kept_blocks)}
    start = {}
    for name, weight in known.items():
        if not name.startswith("encoder.blocks."):
            start[name] = weight
            continue
        old, rest = name.removeprefix("encoder.blocks.").split(".", 1)
        if int(old) in place_of:
            start[f"encoder.blocks.{place_of[int(old)]}.{rest}"] = weight
    if feed_forward < config.feed_forward:
        narrow_feeds(model, place_of, start, feed_forward * config.dim)
    small.load_state_dict(start)
    return small


def narrow_feeds(model: SequenceModel, place_of: dict[int, int], start: dict[str, Tensor], hidden: int) -> None:
    """Leave the units that add most to a block's output: reach of the unit times length of what it writes."""
    for old, new in place_of.items():
        feed = model.encoder.blocks[old].feed
        if not isinstance(feed, SwiGlu):
            raise ValueError("only gated feed-forward layers are narrowed")
        prefix = f"encoder.blocks.{new}.feed"
        switch_HD, value_HD = feed.widen.weight.detach().chunk(2)
        switch_H, value_H = feed.widen.bias.detach().chunk(2)
        narrow_DH = feed.narrow.weight.detach()
        weight_H = switch_HD.norm(dim=1) * value_HD.norm(dim=1) * narrow_DH.norm(dim=0)
        kept = torch.sort(torch.topk(weight_H, hidden).indices).values
        start[f"{prefix}.widen.weight"] = torch.cat([switch_HD[kept], value_HD[kept]])
        start[f"{prefix}.widen.bias"] = torch.cat([switch_H[kept], value_H[kept]])
        start[f"{prefix}.narrow.weight"] = narrow_DH[:, kept]
