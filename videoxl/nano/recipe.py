"""The recipe of videoxl-nano: render a world, learn to read it, learn to remember it, write a checkpoint.

A run can also take up a finished model, whose vision tower then stays as it is: only remembering is learnt further.
Every step leaves its result in the run folder and is skipped when that is there; a stopped run resumes.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from videoxl.checkpoints.loading import load_checkpoint, save_checkpoint
from videoxl.checkpoints.parts import Checkpoint
from videoxl.checkpoints.tokenizer import TextTokenizer
from videoxl.config import CHAT_PROMPT, LanguageConfig, ModelConfig, Preprocessing, VisionConfig
from videoxl.errors import RunError
from videoxl.files import atomic_write
from videoxl.nano.pictures import PicturePool, PoolConfig, background, make_pool, squash
from videoxl.nano.reader import CELL, LABEL_NAMES, Reader, augment, batch, normalise, reading_loss
from videoxl.nano.student import Student
from videoxl.nano.token_bank import Bank, make_bank
from videoxl.nano.tokenizer import build_tokenizer, text_ids
from videoxl.nano.trainer import (
    Metrics,
    StageConfig,
    convolutions_as_before,
    convolutions_as_matrices,
    has_fast_bfloat16,
    run_stage,
)
from videoxl.nano.training_videos import Phase, VideoBatch, VideoSource
from videoxl.network.qwen2 import VSTQwen2
from videoxl.network.vision import VisionEncoder
from videoxl.tasks.needle.cards import weather
from videoxl.tasks.needle.scenes import crop, footage, random_size, scene

HIDDEN = 256
VISION = VisionConfig(
    image_size=128,
    patch_size=16,
    hidden_size=192,
    intermediate_size=768,
    num_hidden_layers=6,
    num_attention_heads=3,
    hidden_act="gelu",
    select_layer=-1,
    pool_stride=4,
    stem="conv",
)
# Letters are learnt by a smaller tower on smaller pictures, at half the cost of a step; then the tower grows.
SMALL_VISION = replace(VISION, image_size=96, num_hidden_layers=4, pool_stride=3)
PREPROCESSING = Preprocessing(image_size=VISION.image_size, mode="squash")
WINDOW = 64  # visual tokens: 16 frames
RATIOS = (2, 4, 8, 16)
# Ratio 16 learns last, so it comes twice.
FROM_SCRATCH = (
    Phase(0.16, (4, 8), (2, 4)),
    Phase(0.10, (6, 16), (2, 4, 8)),
    Phase(0.27, (6, 32), (2, 4, 8, 16)),
    Phase(0.11, (16, 128), (2, 4, 8, 16, 16)),
    Phase(0.36, (8, 256), (2, 4, 8, 16, 16), (16, 32, 64, 64), long=0.08),
)
GOING_ON = (
    Phase(0.4, (4, 48), (2, 4, 8, 16, 16, 16), (16, 32, 64, 64), tokens=32768),
    Phase(0.1, (8, 256), (2, 4, 8, 16, 16, 16), (16, 32, 64, 64), tokens=32768),
    Phase(0.5, (8, 256), (2, 4, 8, 16, 16, 16), (32, 64, 64, 64), tokens=32768, long=0.08),
)


@dataclass(frozen=True)
class Recipe:
    """How much of everything. The defaults begin with random weights; `FINETUNE` goes on from a finished model.

    What the bundled model went through, which is not this in one go, is on its card.

    Args:
        pictures: rendered cards and empty pictures.
        bank: of the pictures, how many the second stage may draw its cards from.
        scenes: rendered haystack scenes, 32 frames each; footage comes on top.
        crops: times that each clip of the footage is taken into the haystack, cropped differently each time.
        letters: the stage of the small vision tower; `reading_batch` pictures a step.
        reading: the stage of the grown vision tower.
        memory: the stage of the language model.
        curriculum: of that stage.
        workers: processes that render.
    """

    pictures: int = 160_000
    bank: int = 80_000
    scenes: int = 160
    crops: int = 2
    letters: StageConfig = field(
        default_factory=lambda: StageConfig("letters", steps=9900, matrix_lr=6e-3, log_every=100)
    )
    reading: StageConfig = field(
        default_factory=lambda: StageConfig("reading", steps=18000, matrix_lr=3.5e-3, decay=0.7, log_every=100)
    )
    reading_batch: int = 64
    memory: StageConfig = field(
        default_factory=lambda: StageConfig("memory", steps=11800, matrix_lr=2.5e-3, decay=0.3, log_every=100)
    )
    curriculum: tuple[Phase, ...] = FROM_SCRATCH
    workers: int = 2
    seed: int = 0


# For a run that takes up a finished model: other cards than those that it was made with, and more of the footage.
FINETUNE = Recipe(
    pictures=48_000,
    bank=48_000,
    crops=4,
    memory=StageConfig("memory", steps=4000, matrix_lr=2e-3, other_lr=1.5e-3, decay=0.6),
    curriculum=GOING_ON,
    seed=3,
)


def build_language(tokenizer: PreTrainedTokenizerFast) -> VSTQwen2:
    """Return the language model with random weights."""
    config = LanguageConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        tie_word_embeddings=True,
    )
    language = VSTQwen2(config)
    language.initialise(0.04, tokenizer.eos_token_id)
    return language


def learn_letters(folder: Path, clips: list[np.ndarray], recipe: Recipe, accelerator: Accelerator) -> Iterator[Metrics]:
    """Run the first stage; afterwards `folder / "letters.pt"` holds the small reader."""
    torch.manual_seed(recipe.seed)
    reader = Reader(VisionEncoder(SMALL_VISION, HIDDEN), HIDDEN)
    yield from _read(reader, folder, clips, recipe, recipe.letters, accelerator)
    _write(folder / "letters.pt", reader.state_dict())


def learn_to_read(folder: Path, clips: list[np.ndarray], recipe: Recipe, accelerator: Accelerator) -> Iterator[Metrics]:
    """Run the second stage; afterwards `folder / "encoder.pt"` holds the vision tower and the projector."""
    torch.manual_seed(recipe.seed)
    reader = Reader(VisionEncoder(VISION, HIDDEN), HIDDEN)
    grow(reader, torch.load(folder / "letters.pt", weights_only=True))
    yield from _read(reader, folder, clips, recipe, recipe.reading, accelerator)
    _write(folder / "encoder.pt", reader.encoder.state_dict())


def _read(
    reader: Reader,
    folder: Path,
    clips: list[np.ndarray],
    recipe: Recipe,
    stage: StageConfig,
    accelerator: Accelerator,
) -> Iterator[Metrics]:
    pool = _cards(folder, clips, recipe)
    convolutions_as_matrices(reader.encoder)
    size = reader.encoder.config.image_size
    cell_labels = ("patch_character", "patch_index")

    def loss(module: nn.Module, step: int) -> tuple[Tensor, Metrics]:
        rng = np.random.default_rng((recipe.seed, step))
        indices = np.sort(rng.choice(len(pool.kind), recipe.reading_batch, replace=False))
        data = batch(pool, indices, ("images", *LABEL_NAMES))
        grid = PREPROCESSING.image_size // CELL
        cells = torch.stack([data[name].unflatten(1, (grid, grid)) for name in cell_labels], 1)
        images, cells = augment(data["images"], cells, size, torch.Generator().manual_seed(step))
        data |= {name: cells[:, index].flatten(1) for index, name in enumerate(cell_labels)}
        pixels = normalise(images, PREPROCESSING).to(accelerator.device)
        labels = {name: data[name].to(accelerator.device) for name in LABEL_NAMES}
        return reading_loss(module(pixels), labels)

    # In training at this size, torch's fused attention is the slowest of its kernels on the CPU.
    kernel = SDPBackend.FLASH_ATTENTION if accelerator.device.type == "cuda" else SDPBackend.MATH
    with sdpa_kernel(kernel):
        yield from run_stage(reader, loss, stage, folder, accelerator)
    convolutions_as_before(reader.encoder)


def grow(reader: Reader, small: dict[str, Tensor]) -> None:
    """Give a reader the weights of one with fewer layers and smaller pictures; it computes what that one computes.

    Added layers start without any effect, and positions are interpolated.
    """
    own, positions = reader.state_dict(), "encoder.tower.positional_embedding"
    of_class, of_patches = small[positions].split([1, len(small[positions]) - 1])
    grids = math.isqrt(len(of_patches)), math.isqrt(len(own[positions]) - 1)
    square = of_patches.T.unflatten(1, (grids[0], grids[0]))[None]
    square = F.interpolate(square, (grids[1], grids[1]), mode="bilinear", align_corners=False)
    resized = torch.cat([of_class, square[0].flatten(1).T])
    added = {
        name: torch.zeros_like(tensor) if ".attn.out_proj." in name or ".mlp.c_proj." in name else tensor
        for name, tensor in own.items()
        if name not in small
    }
    reader.load_state_dict({**small, **added, positions: resized})


def _cards(folder: Path, clips: list[np.ndarray], recipe: Recipe) -> PicturePool:
    size = PREPROCESSING.image_size
    config = PoolConfig(size, size // CELL, recipe.pictures, seed=recipe.seed)
    return make_pool(folder / "cards", config, clips, recipe.workers)


def load_encoder(folder: Path) -> VisionEncoder:
    """Return the vision encoder of a finished second stage."""
    encoder = VisionEncoder(VISION, HIDDEN)
    encoder.load_state_dict(torch.load(folder / "encoder.pt", weights_only=True))
    return encoder.eval().requires_grad_(False)


def load_bank(folder: Path, clips: list[np.ndarray], recipe: Recipe, device: torch.device) -> Bank:
    """Return the visual tokens that training videos are made of, made once for the run."""
    rng = np.random.default_rng((recipe.seed, 99))
    encoder, pool = load_encoder(folder).to(device), _cards(folder, clips, recipe)
    scenes = itertools.chain(_scenes(rng, recipe), _stills(rng, clips, recipe))
    real = _real_scenes(rng, clips, recipe)
    return make_bank(folder / "bank.npz", encoder, PREPROCESSING, device, pool, recipe.bank, scenes, real)


def _scenes(rng: np.random.Generator, recipe: Recipe) -> Iterator[np.ndarray]:
    """Yield rendered scenes without cards as pictures uint8 [n, s, s, 3]."""
    size = PREPROCESSING.image_size
    for _ in range(recipe.scenes):
        yield np.stack([squash(weather(frame, rng), size) for frame in scene(rng, 32, random_size(rng))])


def _stills(rng: np.random.Generator, clips: list[np.ndarray], recipe: Recipe) -> Iterator[np.ndarray]:
    """Yield single pictures, uint8 [1, s, s, 3]: more kinds of picture than scenes have."""
    for _ in range(recipe.scenes * 4):
        yield squash(weather(background(rng, clips, 0.5), rng), PREPROCESSING.image_size)[None]


def _real_scenes(rng: np.random.Generator, clips: list[np.ndarray], recipe: Recipe) -> Iterator[np.ndarray]:
    """Yield parts of the clips' pictures, uint8 [n, s, s, 3]."""
    for clip in clips:
        for _ in range(recipe.crops):
            seed = int(rng.integers(1 << 30))  # one crop for the whole clip: a camera does not jump
            frames = (crop(frame, np.random.default_rng(seed)) for frame in clip)
            yield np.stack([squash(weather(frame, rng), PREPROCESSING.image_size) for frame in frames])


def learn_to_remember(
    folder: Path, clips: list[np.ndarray], recipe: Recipe, accelerator: Accelerator
) -> Iterator[Metrics]:
    """Run the third stage; afterwards `folder / "language.pt"` holds the language model."""
    tokenizer = build_tokenizer()
    bank = load_bank(folder, clips, recipe, accelerator.device)
    source = VideoSource(bank, tokenizer, recipe.memory.steps, recipe.curriculum, recipe.seed)
    torch.manual_seed(recipe.seed)
    language = build_language(tokenizer)
    if (folder / "start.pt").exists():
        language.load_state_dict(torch.load(folder / "start.pt", weights_only=True))
    student = Student(language, text_ids(tokenizer, CHAT_PROMPT.partition("<image>")[0]))

    batches: list[Iterator[VideoBatch]] = []

    def loss(module: nn.Module, step: int) -> tuple[Tensor, Metrics]:
        if not batches:  # only now is it known where a stopped run goes on
            batches.append(_batches(source, step, recipe.workers if accelerator.device.type == "cuda" else 0))
        return module(next(batches[0]).to(accelerator.device))

    yield from run_stage(student, loss, recipe.memory, folder, accelerator)
    _write(folder / "language.pt", student.language.state_dict())


def _batches(source: VideoSource, first: int, workers: int) -> Iterator[VideoBatch]:
    """Return the batches from a step on, made ahead in other processes where a GPU would wait for them."""
    loader: DataLoader[VideoBatch] = DataLoader(
        source, batch_size=None, sampler=range(first, len(source)), num_workers=workers
    )
    return iter(loader)


def write_model(folder: Path, out: Path) -> None:
    """Write the checkpoint of a finished run in our layout, 16 bit."""
    tokenizer = build_tokenizer()
    language = build_language(tokenizer)
    language.load_state_dict(torch.load(folder / "language.pt", weights_only=True))
    config = ModelConfig(
        language=language.config,
        vision=VISION,
        preprocessing=PREPROCESSING,
        window=WINDOW,
        ratios=RATIOS,
        name="videoxl-nano",
        eos_token_ids=(tokenizer.eos_token_id,),
    )
    text_tokenizer = TextTokenizer(tokenizer.backend_tokenizer)
    save_checkpoint(Checkpoint(config, load_encoder(folder), language, text_tokenizer), out, torch.float16)


def resume_from(folder: Path, name: str) -> None:
    """Put the parts of a finished model into a run folder, where the last stage finds them.

    Raises:
        RunError: the model has another vision tower or language model than this recipe's.
    """
    if (folder / "start.pt").exists():
        return
    tokenizer, model = build_tokenizer(), load_checkpoint(name, "cpu", torch.float32)
    torch.manual_seed(0)
    language = build_language(tokenizer)
    start = language.state_dict()
    shapes = {key: tensor.shape[1:] for key, tensor in model.language.state_dict().items()}
    if (model.config.vision, model.config.preprocessing) != (VISION, PREPROCESSING) or shapes != {
        key: tensor.shape[1:] for key, tensor in start.items()
    }:
        raise RunError(f"{name}: another kind of model than this recipe makes", "Give a checkpoint of videoxl-nano.")
    rows = carried_rows(model.tokenizer.backend.get_vocab() if model.tokenizer else {}, tokenizer.get_vocab())
    for key, tensor in model.language.state_dict().items():
        if key in ("model.embed_tokens.weight", "lm_head.weight"):
            start[key][list(rows.values())] = tensor[list(rows)]
        else:
            start[key].copy_(tensor)
    _write(folder / "encoder.pt", model.vision.state_dict())
    _write(folder / "start.pt", start)


def carried_rows(old: dict[str, int], new: dict[str, int]) -> dict[int, int]:
    """Return which row of a new embedding table each old row goes to: the same token's, wherever that stands."""
    return {index: new[token] for token, index in old.items() if token in new}


_STAGES = (("letters.pt", learn_letters), ("encoder.pt", learn_to_read), ("language.pt", learn_to_remember))


def train_nano(
    folder: Path,
    media: Path | None,
    recipe: Recipe | None = None,
    on_line: Callable[[Metrics], None] | None = None,
    start: str | None = None,
) -> Path:
    """Train the model and return the folder of its checkpoint, `folder / "videoxl-nano"`.

    Args:
        folder: the run: pools, checkpoints, log. The same call on the same folder resumes.
        media: a folder of clips for the haystack, or None for rendered scenes only.
        recipe: how much of everything.
        on_line: called with every line of metrics.
        start: a finished model to go on from, by its name or folder; None begins with random weights.
    """
    recipe = recipe or (FINETUNE if start else Recipe())
    folder.mkdir(parents=True, exist_ok=True)
    if start:
        resume_from(folder, start)
    clips = _clips(folder, media)
    precision = "bf16" if has_fast_bfloat16() else "no"
    for result, stage in _STAGES[-1:] if start else _STAGES:
        if not (folder / result).exists():
            # A new one for each stage: it saves all that was ever registered with it, finished stages included.
            for line in stage(folder, clips, recipe, Accelerator(mixed_precision=precision)):
                if on_line:
                    on_line(line)
    write_model(folder, folder / "videoxl-nano")
    return folder / "videoxl-nano"


def _clips(folder: Path, media: Path | None) -> list[np.ndarray]:
    """Return the footage, decoded once and then kept in the run folder."""
    path = folder / "clips.npz"
    if not path.exists():
        clips = footage(media) if media else []
        with atomic_write(path) as file:
            np.savez(file, *clips)
    stored = np.load(path)
    return [stored[name] for name in stored.files]


def _write(path: Path, state: dict[str, Tensor]) -> None:
    with atomic_write(path) as file:
        torch.save({name: tensor.cpu() for name, tensor in state.items()}, file)
