#!/usr/bin/env python3
"""Measure how long a language model of random weights takes for each token of an answer, over a full memory.

    OMP_NUM_THREADS=1 python scripts/bench_decode.py [--hidden 256] [--layers 4] [--heads 8] [--kv-heads 2]
        [--intermediate 704] [--slots 4600] [--tokens 64] [--runs 5]

Greedy, float32, on the CPU, text made of the tokens with the bundled tokenizer. One line a run: milliseconds a token,
the median and the least of its tokens, without the first, which reads the question.
"""

import argparse
import itertools
import statistics
import time

import torch

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.checkpoints.tokenizer import load_tokenizer
from videoxl.config import LanguageConfig, ModelConfig, Preprocessing, VisionConfig
from videoxl.engine.answer import AnswerRequest, stream_answer
from videoxl.memory.value import VisualMemory
from videoxl.network.qwen2 import VSTQwen2
from videoxl.options import AnswerOptions

_QUESTION = 12  # tokens


def random_model(args: argparse.Namespace) -> VSTQwen2:
    """Return a language model of the sizes asked for."""
    config = LanguageConfig(
        vocab_size=266,  # the bundled tokenizer's
        hidden_size=args.hidden,
        intermediate_size=args.intermediate,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=args.kv_heads,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
    )
    language = VSTQwen2(config).eval()
    language.initialise(std=0.04, vst_token=0)
    return language


def random_memory(config: LanguageConfig, num_slots: int) -> VisualMemory:
    """Return a memory of noise."""
    shape = (config.num_key_value_heads, num_slots, config.head_dim)
    layers = tuple((torch.randn(shape), torch.randn(shape)) for _ in range(config.num_hidden_layers))
    return VisualMemory(layers, ratios=(2,), window_vsts=(num_slots,))


def seconds_per_token(language: VSTQwen2, memory: VisualMemory, num_tokens: int) -> list[float]:
    """Return how long each token but the first took."""
    tokenizer = load_tokenizer(checkpoint_folder("videoxl-nano"))
    assert tokenizer is not None
    config = ModelConfig(language.config, VisionConfig(), Preprocessing(), window=64, name="random", eos_token_ids=())
    options = AnswerOptions(num_tokens + 1)
    answer = stream_answer(AnswerRequest(language, tokenizer, config, memory, range(_QUESTION), options))
    marks = [time.perf_counter() for _, token in answer if token is not None]
    return [after - before for before, after in itertools.pairwise(marks)]


def main() -> None:
    """Parse the options, answer, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sizes = {"hidden": 256, "layers": 4, "heads": 8, "kv-heads": 2, "intermediate": 704}
    for name, default in {**sizes, "slots": 4600, "tokens": 64, "runs": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help="(default %(default)s)")
    args = parser.parse_args()
    torch.manual_seed(0)
    language = random_model(args)
    memory = random_memory(language.config, args.slots)
    print(f"{torch.get_num_threads()} threads, {sum(weight.numel() for weight in language.parameters())} weights")
    for _ in range(args.runs):
        seconds = seconds_per_token(language, memory, args.tokens)
        print(f"{1e3 * statistics.median(seconds):.2f} ms a token, least {1e3 * min(seconds):.2f}", flush=True)


if __name__ == "__main__":
    main()
