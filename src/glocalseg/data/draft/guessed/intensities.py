"""What the intensities of all volumes suggest for a card: modality, padding, a window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glocalseg.data.draft.measured.tone import Tone
from glocalseg.data.draft.measured.volume import Measured

AIR, BONE = -900.0, 200.0  # HU: nearly every CT has both
SPREAD = 10.0  # times by which percentiles of volumes may differ before it is said


@dataclass(frozen=True)
class Intensities:
    """Medians over volumes, unless said otherwise."""

    ct: bool
    modality: str  # a guess, or what dataset.json says
    said: bool  # by dataset.json
    low: tuple[float, float, float]  # 1st percentile of what is not padding: smallest, median, largest
    high: tuple[float, float, float]  # 99th
    padding: dict[float, int]  # volumes by value
    window: tuple[float, float] | None  # of CT: what labels hold and half as much on either side, rounded to tens

    @property
    def uneven(self) -> bool:
        """Whether the scales of volumes have nothing to do with each other."""
        spans = (self.high[0] - self.low[0], self.high[2] - self.low[2])
        return min(spans) > 0 and max(spans) / min(spans) > SPREAD


def intensities_of(measured: Sequence[Measured], listed: Mapping[str, Any]) -> Intensities:
    """Of all volumes that could be read."""
    tones = [m.tone for m in measured if m.tone is not None]
    padding = Counter(tone.padding.value for tone in tones if tone.padding)
    ct = bool(tones) and _like_ct(tones)
    said = _modality(listed)
    inside = [tone.inside for tone in tones if tone.inside]
    window = None
    if ct and inside:
        low, high = np.percentile([i[0] for i in inside], 5), np.percentile([i[2] for i in inside], 95)
        around = (high - low) / 2  # what lies beside a structure is to be told from it
        window = (float(np.floor((low - around) / 10) * 10), float(np.ceil((high + around) / 10) * 10))
    return Intensities(
        ct=ct,
        modality=said or ("CT" if ct else "MR"),
        said=bool(said),
        low=_spread([tone.percentiles[1] for tone in tones]),
        high=_spread([tone.percentiles[3] for tone in tones]),
        padding=dict(sorted(padding.items(), key=lambda pair: (-pair[1], pair[0]))),
        window=window if window and window[0] < window[1] else None,
    )


def _like_ct(tones: Sequence[Tone]) -> bool:
    """Hounsfield units: from air to bone, in nearly all volumes; resampled ones need not be whole numbers."""
    fits = [tone.percentiles[0] <= AIR and BONE <= tone.percentiles[4] < 2**15 for tone in tones]
    return float(np.mean(fits)) >= 0.8


def _modality(listed: Mapping[str, Any]) -> str:
    """As ``dataset.json`` has it: of the decathlon ``modality``, of nnU-Net ``channel_names``."""
    channels = listed.get("modality", listed.get("channel_names"))
    if isinstance(channels, dict):
        return ", ".join(str(name) for name in channels.values())
    return str(channels) if isinstance(channels, str) else ""


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        return 0.0, 0.0, 0.0
    return float(min(values)), float(np.median(values)), float(max(values))
