"""The vision path against transformers' CLIP, Pillow and plain loops."""

import pytest
import torch
from PIL import Image
from tiny_models import randomise
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from videoxl.checkpoints.weights import local_name
from videoxl.config import Preprocessing, VisionConfig
from videoxl.errors import CheckpointError
from videoxl.network.preprocessing import preprocess
from videoxl.network.vision import VisionEncoder

TOWER = "model.vision_tower.vision_tower."


@pytest.fixture(scope="module")
def towers():
    """transformers' CLIP and ours with the same weights, through our table of names."""
    sizes = {"image_size": 28, "patch_size": 7, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 4}
    clip = CLIPVisionModel(CLIPVisionConfig(**sizes, num_attention_heads=3, hidden_act="quick_gelu")).eval()
    randomise(clip)
    ours = VisionEncoder(VisionConfig(**sizes, num_attention_heads=3), 16).eval()
    randomise(ours, seed=1)
    fused: dict[str, dict[int, torch.Tensor]] = {}
    for name, tensor in clip.state_dict().items():
        local = local_name(TOWER + name)
        if local is not None:
            fused.setdefault(local[0].removeprefix("vision."), {})[local[1] or 0] = tensor
    state = {name: torch.cat([parts[i] for i in sorted(parts)]) for name, parts in fused.items()}
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert not unexpected and all(name.startswith("projector.") for name in missing)
    return clip, ours


@pytest.mark.parametrize("layer", [-1, -2, -4, 1, 3])
def test_features_equal_transformers(towers, layer):
    clip, ours = towers
    pixels = torch.randn(3, 3, 28, 28)
    ours.config = VisionConfig(28, 7, 24, 40, 4, 3, select_layer=layer)
    with torch.no_grad():
        expected = clip(pixels, output_hidden_states=True).hidden_states[layer][:, 1:]
        torch.testing.assert_close(ours.features(pixels), expected, atol=2e-5, rtol=1e-4)


def test_unused_blocks_do_not_run(towers):
    _, ours = towers
    ours.config = VisionConfig(28, 7, 24, 40, 4, 3, select_layer=-2)
    ours.zero_grad()
    ours(torch.randn(1, 3, 28, 28)).sum().backward()
    blocks = ours.tower.transformer.resblocks
    assert blocks[2].mlp.c_fc.weight.grad is not None
    assert blocks[3].mlp.c_fc.weight.grad is None


@pytest.mark.parametrize("mode", ["average", "max"])
def test_pooling_is_row_major_after_the_projector(towers, mode):
    _, ours = towers
    ours.config = VisionConfig(28, 7, 24, 40, 4, 3, pool_mode=mode)
    pixels = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        patches = ours(pixels, pool=False)
        tokens = ours(pixels)
    assert patches.shape == (2, 16, 16)
    assert tokens.shape == (2, 4, 16)
    for token, corner in enumerate([0, 2, 8, 10]):  # of each 2x2 square in the 4x4 grid
        square = patches[:, [corner, corner + 1, corner + 4, corner + 5]]
        expected = square.mean(1) if mode == "average" else square.amax(1)
        torch.testing.assert_close(tokens[:, token], expected)


@pytest.mark.oracle
@pytest.mark.parametrize("size", [(61, 97), (99, 58), (40, 33), (48, 48), (48, 70)])
def test_preprocess_equals_the_image_processor(size):
    frames = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size=48)
    expected = processor([Image.fromarray(frame.numpy()) for frame in frames], return_tensors="pt")["pixel_values"]
    ours = preprocess(frames, Preprocessing(48))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(61, 97), (99, 58), (40, 33), (300, 200), (30, 90), (24, 24)])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_torch_resize_is_within_one_step(size, mode):
    generator = torch.Generator().manual_seed(0)
    # Noise is the hardest picture to agree on.
    frames = torch.randint(0, 256, (4, *size, 3), dtype=torch.uint8, generator=generator)
    prep = Preprocessing(48, mode, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    difference = (preprocess(frames, prep, resize="torch") - preprocess(frames, prep, resize="pillow")).abs()
    assert difference.max() <= 1.001


def test_squash_keeps_the_whole_picture():
    frame = torch.zeros(1, 30, 90, 3, dtype=torch.uint8)
    frame[:, :, :10] = 255  # at the far left, which a centre crop would cut off
    prep = Preprocessing(30, "squash")
    pixels = preprocess(frame, prep)
    assert pixels.shape == (1, 3, 30, 30)
    assert pixels[0, 0, 15, 1] > 1.5 > -1.5 > pixels[0, 0, 15, 10]
    assert preprocess(frame, Preprocessing(30))[0, 0].max() < -1.5


def test_wrong_frames():
    for wrong in (torch.zeros(1, 4, 4, 3), torch.zeros(4, 4, 3, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            preprocess(wrong, Preprocessing(4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 30}, "multiple"),
        ({"num_attention_heads": 5}, "heads"),
        ({"hidden_act": "relu"}, "relu"),
        ({"pool_mode": "median"}, "median"),
        ({"pool_stride": 9}, "stride 9"),
        ({"select_layer": 0}, "layer 0"),
        ({"select_layer": -25}, "layer -25"),
    ],
)
def test_impossible_configurations(change, message):
    with pytest.raises(CheckpointError, match=message):
        VisionConfig(**{"image_size": 28, "patch_size": 7, **change})
