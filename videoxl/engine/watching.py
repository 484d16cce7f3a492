"""One video on its way into memory: visual tokens in, a `VisualMemory` out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..memory.stores import BufferStore
from ..memory.value import VisualMemory
from ..planning.windows import spans
from .condense import Condenser


class Session:
    """Reads the prompt's prefix at once, then takes visual tokens as they come.

    Args:
        condenser: fresh, with a `BufferStore`.
        prefix_ids: tokens before the video.
        device: where tokens go.
        fingerprint: of the model, for the memory to carry.
    """

    def __init__(self, condenser: Condenser, prefix_ids: Sequence[int], device: torch.device, fingerprint: str) -> None:
        self._condenser = condenser
        self._prefix_ids = tuple(int(token) for token in prefix_ids)
        self._fingerprint = fingerprint
        self._times: list[np.ndarray] | None = []
        with torch.no_grad():
            condenser.read_prefix(torch.tensor([self._prefix_ids], dtype=torch.long, device=device))

    @torch.no_grad()
    def feed(self, tokens: Tensor, times: np.ndarray | None) -> None:
        """Take visual tokens [n, hidden] and the seconds of each, [n]; once None, the memory will know no times."""
        if times is None or self._times is None:
            self._times = None
        else:
            self._times.append(times)
        self._condenser.feed(tokens[None])

    @torch.no_grad()
    def finish(self) -> VisualMemory:
        """Return the memory."""
        self._condenser.finish()
        store, plans = self._condenser.store, self._condenser.plans
        assert isinstance(store, BufferStore)
        times = None if self._times is None else np.concatenate([*self._times, np.empty(0)])
        return VisualMemory(
            layers=tuple((keys[0], values[0]) for keys, values in store.layers()),
            prefix_ids=self._prefix_ids,
            ratios=tuple(plan.ratio for plan in plans),
            window_vsts=tuple(plan.num_vst for plan in plans),
            spans=None if times is None else spans(plans, times),
            num_visual_tokens=sum(plan.num_tokens for plan in plans),
            fingerprint=self._fingerprint,
        )
