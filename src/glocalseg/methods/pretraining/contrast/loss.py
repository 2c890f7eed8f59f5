"""The one contrastive loss (docs/method.md 4.1); strategies differ in their masks alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine_similarity(embeddings: Tensor) -> Tensor:
    """(N, N) float32 cosine similarities of (N, D) embeddings, in [-1, 1]."""
    z = F.normalize(embeddings.float(), dim=1)
    return z @ z.T


def info_nce(similarity: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """Mean contrastive loss over all ordered positive pairs.

    Each pair's denominator holds that pair and the anchor's negatives; other positives are left out.

    Args:
        similarity: (N, N) float32, cosine similarity of the N views, in [-1, 1].
        positives: (N, N) bool, True where j is to be pulled towards i; the diagonal is False.
        negatives: (N, N) bool, True where k is to be pushed from i; disjoint from positives.
        temperature: tau > 0.

    Returns:
        Scalar float32. A batch without a positive pair gives nan, which stops the training with a named error; asking here
        would wait for the device at every step.

    Source: docs/method.md 4.1, equations (1) and (2).
    """
    logits = similarity.float() / temperature
    repelled = torch.logsumexp(logits.masked_fill(~negatives, -torch.inf), dim=1, keepdim=True)
    loss = torch.logaddexp(logits, repelled) - logits
    return loss.masked_fill(~positives, 0.0).sum() / positives.sum()
