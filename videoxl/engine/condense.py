"""Condensing: visual tokens go through the language model window by window, and only the VSTs' keys and values stay.

Inference and training run the same `Condenser`; they differ in the store. `planning.windows` decides where windows end
and where their VSTs are.
"""

import copy
from typing import Protocol

import torch
from torch import Tensor

from ..memory.stores import GrowingStore
from ..network.attention import KeyValueStore
from ..network.qwen2 import VSTQwen2
from ..planning.windows import RatioPolicy, WindowPlan, WindowPlanner


class WindowObserver(Protocol):
    """Is called after every forward."""

    def __call__(self, plan: WindowPlan | None, hidden: Tensor) -> None:
        """Take a window's plan (None for the prefix) and its final hidden states [b, n, h]."""


class Condenser:
    """Reads a prefix and then visual tokens, as they come, into a store.

    Args:
        language: the language model.
        store: takes the keys and values; empty, or with a memory to extend.
        policy: ratios.
        window: visual tokens in a full window.
        on_window: called after every forward with the plan (None for the prefix) and the final hidden states
            [b, n, h], for progress, losses and tests.
    """

    def __init__(
        self,
        language: VSTQwen2,
        store: KeyValueStore,
        policy: RatioPolicy,
        window: int,
        on_window: WindowObserver | None = None,
    ) -> None:
        self.language = language
        self.store = store
        self.plans: list[WindowPlan] = []
        self._policy = policy
        self._window = window
        self._on_window = on_window
        self._planner = WindowPlanner(policy, store.length)
        self._waiting: list[Tensor] = []
        self._num_waiting = 0

    def read_prefix(self, prefix_ids: Tensor) -> None:
        """Read the prompt's tokens before the video, [b, s], in one forward; call it first, with an empty store."""
        num_prefix = prefix_ids.shape[1]
        self._planner = WindowPlanner(self._policy, num_prefix)
        if num_prefix:
            positions = torch.arange(num_prefix, device=prefix_ids.device)
            hidden = self.language(self.language.embed(prefix_ids), positions, self.store)
            self.store.advance(num_prefix)
            self._observe(None, hidden)

    def feed(self, tokens: Tensor) -> None:
        """Take visual tokens [b, n, h] in order, and run every window that they complete."""
        self._waiting.append(tokens)
        self._num_waiting += tokens.shape[1]
        if self._num_waiting >= self._window:
            self._run_windows(self._window)

    def fork(self, store: KeyValueStore) -> "Condenser":
        """Return an independent copy that continues from here, in a copy of the store."""
        other = copy.copy(self)
        other.store = store
        other.plans = list(self.plans)
        other._planner = copy.deepcopy(self._planner)
        other._waiting = list(self._waiting)
        return other

    def finish(self) -> None:
        """Run the last window, which may be shorter. No tokens can be fed after this."""
        if self._num_waiting:
            self._run_windows(1)

    def _run_windows(self, min_tokens: int) -> None:
        """Run windows of the waiting tokens while at least so many wait."""
        tokens = torch.cat(self._waiting, dim=1)
        start = 0
        while tokens.shape[1] - start >= min_tokens:
            window = tokens[:, start : start + self._window]
            self._run(window)
            start += window.shape[1]
        self._waiting = [tokens[:, start:]]
        self._num_waiting = tokens.shape[1] - start

    def _run(self, tokens: Tensor) -> None:
        plan = self._planner.next(tokens.shape[1])
        self.plans.append(plan)
        if plan.layout is None:
            return
        embeds = self.language.embed_window(tokens, plan.layout)
        positions, kept = _positions(plan.positions, tokens.device), _positions(plan.kept_positions, tokens.device)
        hidden = self.language(embeds, positions, self.store, layout=plan.layout, kept_positions=kept)
        self.store.advance(plan.num_vst)
        self._observe(plan, hidden)

    def _observe(self, plan: WindowPlan | None, hidden: Tensor) -> None:
        if self._on_window is not None:
            self._on_window(plan, hidden)


def _positions(positions: range, device: torch.device) -> Tensor:
    return torch.arange(positions.start, positions.stop, device=device)


def condense_batch(
    language: VSTQwen2,
    tokens: Tensor,
    prefix_ids: Tensor,
    ratio: int | RatioPolicy,
    window: int,
    on_window: WindowObserver | None = None,
) -> GrowingStore:
    """Condense videos of equal length so that gradients flow through all that is kept, as training needs.

    Ask with `language(language.embed(ids), positions, store, mask=mask, keep=False)`, positions from `store.length` on.

    Args:
        language: the language model.
        tokens: [b, n, h] visual tokens.
        prefix_ids: [b or 1, s] prompt tokens before the video.
        ratio: one ratio for all windows, or a policy.
        window: visual tokens in a full window.
        on_window: see `Condenser`.

    Returns:
        A store of keys and values [b, kv_heads, s + VSTs, d] per layer (`store.layers()`).
    """
    policy = RatioPolicy((ratio,)) if isinstance(ratio, int) else ratio
    store = GrowingStore()
    condenser = Condenser(language, store, policy, window, on_window)
    condenser.read_prefix(prefix_ids.expand(len(tokens), -1))
    condenser.feed(tokens)
    condenser.finish()
    return store
