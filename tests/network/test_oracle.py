"""Our language model against the installed transformers' Qwen2, which is nobody's dependency but this file's."""

import pytest
import torch
from tiny_models import language_config, oracle, randomise

from videoxl.engine.generate import read
from videoxl.memory.stores import BufferStore
from videoxl.network.qwen2 import VSTQwen2

pytestmark = pytest.mark.oracle
CONFIGS = {
    "grouped heads": {},
    "one key head, tied": {"num_key_value_heads": 1, "tie_word_embeddings": True, "rope_theta": 1e6},
    "deep": {"num_hidden_layers": 5, "num_key_value_heads": 4, "hidden_size": 64, "rms_norm_eps": 1e-3},
}


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_text_only_logits_equal_those_of_transformers(name):
    config = language_config(**CONFIGS[name])
    ids = torch.randint(0, 300, (1, 50), generator=torch.Generator().manual_seed(1))
    try:
        plain = oracle(config)
        state = plain.state_dict()
        exact = plain(ids).logits
        half = plain.bfloat16()(ids).logits.float()
    except Exception as error:
        pytest.fail(f"the API of transformers' Qwen2 moved, not ours: {type(error).__name__}: {error}")
    ours = VSTQwen2(config).eval()
    randomise(ours)
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert not unexpected and all("beacon" in key for key in missing), "transformers renamed Qwen2's parameters"
    assert exact.std() > 1  # else the tolerances would say nothing
    torch.testing.assert_close(ours.logits(read(ours, BufferStore(50), ids)), exact, atol=1e-3, rtol=1e-4)
    # In 16 bit, weights this large amplify every rounding: ours may lie as far from the exact logits as theirs do.
    ours_half = ours.bfloat16().logits(read(ours, BufferStore(50), ids))
    assert (ours_half - exact).std() < 1.2 * (half - exact).std()
