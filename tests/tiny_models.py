"""Small random models for tests. Weights are large (std 0.3): with small ones outputs hardly depend on position."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config

from videoxl.checkpoint import Checkpoint
from videoxl.config import ModelConfig
from videoxl.language import VSTQwen2
from videoxl.model import VideoXL
from videoxl.vision import Preprocessing, VisionConfig
from videoxl.weights import Network

EOS = 2


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator) * 0.3
            parameter.copy_(1 + 0.3 * noise if "norm" in name and "weight" in name else noise)


def language_config(**changes: object) -> Qwen2Config:
    sizes = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "eos_token_id": EOS,
        "bos_token_id": None,
        "rope_theta": 10000.0,
    }
    return Qwen2Config(**{**sizes, **changes})


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


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, so that a character may take several; the chat markers are one token each."""
    markers = ["<unk>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: index for index, token in enumerate(markers)}
    for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[character] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )


def checkpoint(**changes: object) -> Checkpoint:
    config = model_config(**changes)
    network = Network(config).eval()
    randomise(network)
    return Checkpoint(config, network.vision, network.language, byte_tokenizer())


def video_xl(**changes: object) -> VideoXL:
    return VideoXL(checkpoint(**changes))
