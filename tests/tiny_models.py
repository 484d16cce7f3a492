"""Small random models for tests. Weights are large (std 0.3): with small ones outputs hardly depend on position."""

from dataclasses import asdict

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from videoxl.checkpoints.parts import Checkpoint
from videoxl.checkpoints.tokenizer import TextTokenizer
from videoxl.config import LanguageConfig, ModelConfig, Preprocessing, VisionConfig
from videoxl.model import VideoXL
from videoxl.network.parts import Network
from videoxl.network.qwen2 import VSTQwen2

EOS = 2


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator) * 0.3
            parameter.copy_(1 + 0.3 * noise if "norm" in name and "weight" in name else noise)


def language_config(**changes: object) -> LanguageConfig:
    sizes = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
    }
    return LanguageConfig(**{**sizes, **changes})


def oracle(config: LanguageConfig) -> transformers.Qwen2ForCausalLM:
    """The installed transformers' Qwen2 of the same sizes, with random weights."""
    sizes = {name: value for name, value in asdict(config).items() if name != "rope_theta"}
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    model = transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**sizes, rope_parameters=rope, use_sliding_window=False, eos_token_id=EOS)
    ).eval()
    randomise(model)
    return model


def language(**changes: object) -> VSTQwen2:
    model = VSTQwen2(language_config(**changes)).eval()
    randomise(model)
    return model


def model_config(**changes: object) -> ModelConfig:
    parts = {
        "language": language_config(),
        "vision": VisionConfig(32, 8, 32, 48, 2, 4, select_layer=-2, pool_stride=2),
        "preprocessing": Preprocessing(32, "squash"),
        "window": 32,
        "ratios": (2, 4, 8, 16),
        "name": "tiny",
        "eos_token_ids": (EOS,),
    }
    return ModelConfig(**{**parts, **changes})


def byte_tokenizer() -> TextTokenizer:
    """One token per byte, so that a character may take several; the chat markers are one token each."""
    markers = ["<unk>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: index for index, token in enumerate(markers)}
    for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[character] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in markers[1:]])
    return TextTokenizer(tokenizer)


def checkpoint(**changes: object) -> Checkpoint:
    config = model_config(**changes)
    network = Network(config).eval()
    randomise(network)
    return Checkpoint(config, network.vision, network.language, byte_tokenizer())


def video_xl(**changes: object) -> VideoXL:
    return VideoXL(checkpoint(**changes))
