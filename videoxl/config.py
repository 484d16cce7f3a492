"""What a model is, apart from its weights: sizes, preprocessing, prompt. Frozen values; no torch."""

from dataclasses import dataclass, fields
from typing import Literal

from .errors import CheckpointError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
STEM_PATCH = 16  # pixels: the patch of the convolutional stem
CHAT_PROMPT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<image>\n{question}<|im_end|>\n<|im_start|>assistant\n"
)
# Video-XL is trained on 2, 4 and 8; its paper evaluates up to 16, and windows of 1440 tokens divide by 32 as well.
PUBLISHED_RATIOS = (2, 4, 8, 16, 32)
_ADVICE = "Use a checkpoint in the Video-XL layout; download it again if a file is damaged."


@dataclass(frozen=True)
class LanguageConfig:
    """Sizes of the language model, under the names that Qwen2's `config.json` has for them.

    Args:
        max_position_embeddings: bounds memory, question and answer together.
        rms_norm_eps: added to the mean square in every norm.
        rope_theta: base of the rotation angles.
        tie_word_embeddings: whether the head shares the embedding's weights.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
            whole = isinstance(value, int) or field.type is float
            if field.type is not bool and not (number and whole):
                raise CheckpointError(f"{field.name} is {value!r}, which is not a valid size", _ADVICE)
        if self.hidden_size % self.num_attention_heads or self.num_attention_heads % self.num_key_value_heads:
            heads = f"{self.num_attention_heads} heads, {self.num_key_value_heads} of them for keys"
            raise CheckpointError(f"a hidden_size of {self.hidden_size} does not split into {heads}", _ADVICE)
        if self.head_dim % 2:
            raise CheckpointError(f"heads of width {self.head_dim} cannot be rotated: it is odd", _ADVICE)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def slot_size(self) -> int:
        """Numbers that one slot of memory holds: a key and a value in every head and layer."""
        return 2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of the vision tower, and which of its states become visual tokens.

    The defaults are CLIP ViT-L/14 at 336 pixels, the tower of Video-XL 7B.

    Args:
        image_size: edge of the square input, pixels.
        patch_size: edge of a patch, pixels; divides `image_size`.
        select_layer: index into the hidden states as transformers counts them: 0 is the embedding, k the output of
            block k, negative numbers count from the end (-2: the output of the last block but one).
        hidden_act: "quick_gelu" or "gelu".
        pool_stride: edge of the square of patches that is pooled into one token; 1 keeps every patch.
        pool_mode: "average" or "max".
        stem: "patch" is CLIP's single convolution; "conv" is a small stack of convolutions to the same grid (Xiao et
            al. 2021, "Early convolutions help transformers see better"), which learns to read from far fewer pictures.
    """

    image_size: int = 336
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    select_layer: int = -2
    pool_stride: int = 2
    pool_mode: str = "average"
    stem: str = "patch"

    def __post_init__(self) -> None:
        for wrong, problem in (
            (self.image_size % self.patch_size, f"image_size {self.image_size} is not a multiple of {self.patch_size}"),
            (self.hidden_size % self.num_attention_heads, f"hidden_size {self.hidden_size} does not split into heads"),
            (
                self.hidden_act not in ("quick_gelu", "gelu"),
                f"hidden_act {self.hidden_act!r} is not quick_gelu or gelu",
            ),
            (self.stem not in ("patch", "conv"), f"stem {self.stem!r} is not patch or conv"),
            (
                self.stem == "conv" and self.patch_size != STEM_PATCH,
                f"the conv stem has patches of {STEM_PATCH}, not {self.patch_size}",
            ),
            (self.pool_mode not in ("average", "max"), f"pool mode {self.pool_mode!r} is not average or max"),
            (
                not 1 <= self.pool_stride <= self.grid,
                f"pool stride {self.pool_stride} does not fit {self.grid} patches",
            ),
            (not 1 <= self.num_blocks <= self.num_hidden_layers, f"select layer {self.select_layer} does not exist"),
        ):
            if wrong:
                raise CheckpointError(f"vision configuration: {problem}", _ADVICE)

    @property
    def grid(self) -> int:
        """Patches along one edge of the image."""
        return self.image_size // self.patch_size

    @property
    def num_blocks(self) -> int:
        """Number of transformer blocks that must run to reach the selected state."""
        return self.select_layer if self.select_layer >= 0 else self.num_hidden_layers + 1 + self.select_layer

    @property
    def tokens_per_frame(self) -> int:
        """Visual tokens that one frame becomes."""
        return (self.grid // self.pool_stride) ** 2


@dataclass(frozen=True)
class Preprocessing:
    """How frames become the tower's input.

    Args:
        image_size: edge of the square result, pixels.
        mode: "shortest" resizes the shorter edge to `image_size` and crops the centre, as the reference does (the ends
            of the long side are cut off); "squash" resizes the whole picture to the square, so nothing is lost.
        mean: subtracted per channel after scaling to 0..1.
        std: divided by per channel.
    """

    image_size: int = 336
    mode: Literal["shortest", "squash"] = "shortest"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        if self.mode not in ("shortest", "squash"):
            raise CheckpointError(f"preprocessing mode {self.mode!r} is not shortest or squash", _ADVICE)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) that a frame is resized to before the centre crop."""
        size = self.image_size
        if self.mode == "squash":
            return size, size
        # int(), not round(): CLIPImageProcessor truncates the long side.
        return (size, int(size * width / height)) if height <= width else (int(size * height / width), size)


@dataclass(frozen=True)
class ModelConfig:
    """Everything about a model but its weights.

    Args:
        language: sizes of the language model.
        vision: sizes of the vision tower, selected layer, pooling.
        preprocessing: how frames become the tower's input.
        window: visual tokens in a full window.
        ratios: the ratios that the model can be used with, ascending.
        name: what the model calls itself.
        prompt: the chat around a question, with `<image>` where the video goes and `{question}`.
        eos_token_ids: tokens that end an answer.
        repetition_penalty: applied to answers unless the caller chooses another; 1.0 has no effect.
    """

    language: LanguageConfig
    vision: VisionConfig
    preprocessing: Preprocessing
    window: int
    ratios: tuple[int, ...] = PUBLISHED_RATIOS
    name: str = "unnamed"
    prompt: str = CHAT_PROMPT
    eos_token_ids: tuple[int, ...] = ()
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.prompt.count("<image>") != 1 or "{question}" not in self.prompt.partition("<image>")[2]:
            raise CheckpointError(f"prompt {self.prompt!r} lacks <image> followed by {{question}}", _ADVICE)
        if not self.ratios or min(self.ratios) < 1 or self.window < 1:
            raise CheckpointError(f"ratios {self.ratios} with a window of {self.window} visual tokens", _ADVICE)
        if self.preprocessing.image_size != self.vision.image_size:
            raise CheckpointError(
                f"frames are prepared at {self.preprocessing.image_size} pixels, but the vision tower takes "
                f"{self.vision.image_size}",
                _ADVICE,
            )

    @property
    def max_positions(self) -> int:
        """Positions that the language model was made for."""
        return self.language.max_position_embeddings


def video_xl_7b(layers: int = 28) -> ModelConfig:
    """Return the sizes of the published Video-XL 7B, with so many of its 28 language layers: for measurements."""
    language = LanguageConfig(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=layers,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
    )
    return ModelConfig(language, VisionConfig(), Preprocessing(), window=1440, name="random-7b")
