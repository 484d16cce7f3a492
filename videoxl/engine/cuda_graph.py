"""The tokens of an answer on a GPU: the forward of one is recorded once and replayed for the others.

A forward of one token is about a thousand small kernels, and launching them one by one takes longer than they
run. A recording (a CUDA graph) is launched at once. Its shapes and addresses are fixed: so the token, its position and
what it may see are in tensors that are written to before, and it attends to the whole buffers.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from ..memory.stores import BufferStore
from ..network.attention import AttentionProbe
from ..network.qwen2 import VSTQwen2

Step = Callable[[], None]


def can_record(language: VSTQwen2) -> bool:
    """Return whether forwards of this model can be recorded: all of it is on one GPU."""
    devices = {parameter.device for parameter in language.parameters()}
    return len(devices) == 1 and language.device.type == "cuda" and not torch.is_grad_enabled()


def record(step: Step, device: torch.device) -> Step:
    """Return a function that does on a GPU what `step` would do now; `step` itself is not done."""
    with torch.cuda.device(device):  # or it would be looked for on the first one
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            step()
    return graph.replay


class RecordedDecoder:
    """Reads single tokens after what a store holds, as `generate.read` does.

    Args:
        language: the language model.
        store: has free slots for the tokens.
        probe: looks at every forward; what it adds up, it must add up in place.
        record: see `record`.
    """

    def __init__(
        self,
        language: VSTQwen2,
        store: BufferStore,
        probe: AttentionProbe | None = None,
        record: Callable[[Step, torch.device], Step] = record,
    ) -> None:
        self._language, self._store, self._probe, self._record = language, store, probe, record
        self._token = torch.zeros(1, 1, dtype=torch.long, device=language.device)
        self._position = torch.zeros(1, dtype=torch.long, device=language.device)
        self._positions = torch.arange(store.capacity, device=language.device)
        self._fixed_store = store.with_fixed_shape(self._position)
        self._hidden = torch.empty(0)
        self._replay: Step | None = None
        self._has_begun = self._has_tried = False

    def read(self, token_ids: Tensor) -> Tensor:
        """Read one token [1, 1], keep it in the store, and return hidden states [1, 1, h], good until the next call."""
        self._token.copy_(token_ids)
        self._position.fill_(self._store.length)
        if not self._has_begun:  # as it is: what libraries do once cannot be recorded
            self._step()
            self._has_begun = True
        else:
            if not self._has_tried:
                self._has_tried = True
                with contextlib.suppress(RuntimeError):  # a driver that cannot, or no memory: slower, the same answer
                    self._replay = self._record(self._step, self._token.device)
            (self._replay or self._step)()
        self._store.advance(1)
        return self._hidden

    def _step(self) -> None:
        embeds = self._language.embed(self._token)
        seen = (self._positions <= self._position)[None, None, None]
        self._hidden = self._language(embeds, self._position, self._fixed_store, mask=seen, probe=self._probe)
