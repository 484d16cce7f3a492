"""Checkpoint folders: both layouts, shards, names, damage, devices."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.errors
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import byte_tokenizer, checkpoint, language_config

from videoxl.checkpoints import hub
from videoxl.checkpoints import loading as module
from videoxl.checkpoints.layout import read_config
from videoxl.checkpoints.loading import load_checkpoint, save_checkpoint, worker_devices
from videoxl.config import CHAT_PROMPT, VisionConfig
from videoxl.engine.generate import read
from videoxl.errors import CheckpointError
from videoxl.memory.stores import BufferStore
from videoxl.network.parts import Network

PUBLISHED = Path(__file__).parents[1] / "data" / "parity" / "checkpoint"
PREFIX = "model.vision_tower.vision_tower."


@pytest.fixture
def folder(tmp_path):
    """A copy of a checkpoint in the published layout."""
    return Path(shutil.copytree(PUBLISHED, tmp_path / "model"))


def change(folder, edit, name="model.safetensors"):
    state = load_file(folder / name)
    state = {key: tensor.clone() for key, tensor in state.items()}
    edit(state)
    save_file(state, folder / name, {"format": "pt"})


def change_json(folder, name="config.json", **values):
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **values}))


def weights(loaded):
    return {**loaded.vision.state_dict(prefix="vision."), **loaded.language.state_dict(prefix="language.")}


def assert_same(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=0, rtol=0)


def test_published_layout(folder):
    loaded = load_checkpoint(folder, "cpu")
    assert loaded.config.window == 48
    assert loaded.config.ratios == (2, 4, 8, 16, 32)
    assert loaded.config.eos_token_ids == (502,)
    assert loaded.config.prompt == CHAT_PROMPT
    assert loaded.config.vision == VisionConfig(56, 14, 32, 64, 3, 4)
    assert loaded.tokenizer is None
    state = load_file(folder / "model.safetensors")
    torch.testing.assert_close(
        loaded.language.model.layers[1].self_attn.beacon_k_proj.weight,
        state["model.layers.1.self_attn.beacon_k_proj.weight"],
    )
    thirds = [state[f"{PREFIX}vision_model.encoder.layers.2.self_attn.{letter}_proj.bias"] for letter in "qkv"]
    torch.testing.assert_close(loaded.vision.tower.transformer.resblocks[2].attn.in_proj_bias, torch.cat(thirds))
    assert not any(tensor.is_meta for tensor in weights(loaded).values())
    assert not loaded.vision.training and not loaded.language.training


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_our_layout_round_trip(tmp_path, tied, stem):
    vision = VisionConfig(32, 16, 32, 48, 2, 4, pool_stride=1, pool_mode="max", hidden_act="gelu", stem=stem)
    language = language_config(tie_word_embeddings=tied, vocab_size=301)
    saved = checkpoint(vision=vision, language=language, repetition_penalty=1.1, ratios=(2, 16))
    save_checkpoint(saved, tmp_path / "ours", torch.float32)
    loaded = load_checkpoint(tmp_path / "ours", "cpu")
    assert loaded.config == saved.config
    assert_same(loaded, saved)
    assert (loaded.language.lm_head.weight is loaded.language.model.embed_tokens.weight) == tied
    text = "<|im_start|>user\nnaïve?<|im_end|>"
    assert loaded.tokenizer.encode(text) == saved.tokenizer.encode(text)


@pytest.mark.parametrize(("name", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_dtype(folder, name, dtype):
    loaded = load_checkpoint(folder, "cpu", name)
    assert {tensor.dtype for tensor in weights(loaded).values()} == {dtype}
    with torch.no_grad():
        hidden = read(loaded.language, BufferStore(8), torch.arange(8)[None])
    assert hidden.dtype == dtype and hidden.isfinite().all()


def shard(folder):
    """Split the weights so that q, k and v of one layer lie in different files."""
    state = load_file(folder / "model.safetensors")
    names = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"]
    index = {key: names[position % 3] for position, key in enumerate(sorted(state))}
    for name in names:
        save_file({key: state[key] for key in state if index[key] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "model.safetensors").unlink()
    return names


def test_shards_equal_one_file(folder):
    shard(folder)
    assert_same(load_checkpoint(folder, "cpu"), load_checkpoint(PUBLISHED, "cpu"))


def test_saving_over_shards_leaves_none(tmp_path):
    saved = checkpoint()
    save_checkpoint(saved, tmp_path, torch.float32)
    files = {path.name for path in tmp_path.iterdir()}
    shard(tmp_path)
    save_checkpoint(saved, tmp_path, torch.float32)
    assert {path.name for path in tmp_path.iterdir()} == files
    assert_same(load_checkpoint(tmp_path, "cpu"), saved)


def test_missing_shard(folder):
    names = shard(folder)
    (folder / names[1]).unlink()
    with pytest.raises(CheckpointError, match=names[1]) as caught:
        load_checkpoint(folder, "cpu")
    assert "again" in caught.value.advice


@pytest.mark.parametrize("keep", [0, 4, 5000, -1])
def test_truncated_weights(folder, keep):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged or cut off"):
        load_checkpoint(folder, "cpu")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no \*\.safetensors file"):
        load_checkpoint(folder, "cpu")


def test_missing_and_unexpected_names_are_named(folder):
    key = "vision_model.encoder.layers.1.mlp.fc1.bias"
    change(folder, lambda state: state.pop(PREFIX + key))
    with pytest.raises(CheckpointError, match=f"1 missing weights: {PREFIX + key}"):
        load_checkpoint(folder, "cpu")
    change(folder, lambda state: state.update({PREFIX + key: torch.zeros(64), "model.surprise": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"1 unexpected weights: model\.surprise"):
        load_checkpoint(folder, "cpu")


@pytest.mark.parametrize("letter", ["q", "v"])
def test_one_of_three_fused_parts_missing(folder, letter):
    change(folder, lambda state: state.pop(f"{PREFIX}vision_model.encoder.layers.0.self_attn.{letter}_proj.weight"))
    with pytest.raises(CheckpointError, match=r"missing weights: .*layers\.0\.self_attn\.q_proj\.weight"):
        load_checkpoint(folder, "cpu")


def test_wrong_shape(folder):
    change(folder, lambda state: state.update({"model.norm.weight": torch.zeros(63)}))
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight has shape \[63\], not \[64\]"):
        load_checkpoint(folder, "cpu")


def test_one_extra_vocabulary_row_is_dropped(folder):
    def extend(state):
        for key in ("model.embed_tokens.weight", "lm_head.weight"):
            state[key] = torch.cat([state[key], torch.full((1, 64), 9.0)])

    change(folder, extend)
    assert_same(load_checkpoint(folder, "cpu"), load_checkpoint(PUBLISHED, "cpu"))


def test_names_of_other_versions(folder):
    def rename(state):
        for key in [key for key in state if key.startswith(PREFIX)]:
            state[key.replace("vision_model.", "")] = state.pop(key)
        state[f"{PREFIX}embeddings.position_ids"] = torch.arange(17)[None]
        state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)

    change(folder, rename)
    assert_same(load_checkpoint(folder, "cpu"), load_checkpoint(PUBLISHED, "cpu"))


@pytest.mark.parametrize("tower", ["openai/clip-vit-large-patch14-336", "/not/here/clip", "../clip"])
def test_towers_without_their_own_file_are_clip_large(folder, tower):
    shutil.rmtree(folder / "vision_tower")
    change_json(folder, mm_vision_tower=tower, mm_hidden_size=1024)
    config = read_config(folder)
    assert config.vision == VisionConfig(336, 14, 1024, 4096, 24, 16, "quick_gelu", 1e-5, -2, 2, "average")
    assert config.preprocessing.image_size == 336
    change_json(folder, mm_hidden_size=1152)
    with pytest.raises(CheckpointError, match="mm_hidden_size 1152"):
        read_config(folder)


def test_a_bundled_name_is_not_a_folder_that_happens_to_be_here(tmp_path, monkeypatch):
    (tmp_path / "videoxl-nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert (hub.checkpoint_folder("videoxl-nano") / "model.safetensors").exists()
    with pytest.raises(CheckpointError):  # the empty folder itself
        hub.checkpoint_folder("./videoxl-nano")


def test_config_decides(folder):
    change_json(folder, mm_vision_select_layer=-1, beacon_window=96, beacon_stride=96, beacon_ratio=[3])
    change_json(folder, "generation_config.json", eos_token_id=[5, 6], repetition_penalty=1.05)
    config = read_config(folder)
    assert config.vision.select_layer == -1
    assert config.window == 96 and 3 in config.ratios
    assert config.eos_token_ids == (5, 6) and config.repetition_penalty == 1.05


@pytest.mark.parametrize("kept", [False, True])
def test_theta_may_stand_in_either_place(folder, kept):
    """transformers 5 writes it into `rope_parameters`, with or without a type; both at once must agree."""
    theta = read_config(folder).language.rope_theta
    nested = {"rope_parameters": {"rope_theta": theta}}
    change_json(folder, **nested, **({} if kept else {"rope_theta": None}))
    assert read_config(folder).language.rope_theta == theta != 10000.0
    change_json(folder, rope_theta=theta, rope_parameters={"rope_theta": 2 * theta})
    with pytest.raises(CheckpointError, match="rope_theta has two values"):
        read_config(folder)


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_rotations_that_are_not_computed_are_refused_by_name(folder, key):
    change_json(folder, **{key: {"rope_type": "yarn", "factor": 4.0}})
    with pytest.raises(CheckpointError, match="rope type 'yarn' is not supported"):
        read_config(folder)


@pytest.mark.parametrize(
    "key", ["max_position_embeddings", "rms_norm_eps", "rope_theta", "num_key_value_heads", "intermediate_size"]
)
def test_sizes_have_no_defaults(folder, key):
    content = json.loads((folder / "config.json").read_text())
    del content[key]
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"key '{key}' is missing"):
        read_config(folder)


def test_ratios_beyond_a_small_window_are_not_offered(folder):
    change_json(folder, beacon_window=12, beacon_stride=12)
    assert read_config(folder).ratios == (2, 4, 8)


@pytest.mark.parametrize(
    "values",
    [
        {"beacon_param": ["q", "k", "v", "o"]},
        {"beacon_pos": "append"},
        {"beacon_accum": False},
        {"beacon_sink_size": 4},
        {"beacon_stride": 24},
        {"mm_projector_type": "linear"},
        {"use_sliding_window": True},
        {"hidden_act": "gelu"},
    ],
)
def test_unsupported_models_are_refused(folder, values):
    change_json(folder, **values)
    with pytest.raises(CheckpointError, match=f"{next(iter(values))} = .* is not supported"):
        read_config(folder)


def test_damaged_configuration(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        read_config(folder)
    for content in ('{"beacon_stride": null, "hidden_size": "wide"}', '{"beacon_param": null}'):
        (folder / "config.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"config\.json"):
            read_config(folder)


def test_fingerprint_tells_weights_apart(folder):
    before = load_checkpoint(folder, "cpu").fingerprint
    assert before == load_checkpoint(PUBLISHED, "cpu").fingerprint
    change(folder, lambda state: state["lm_head.weight"].add_(1))
    assert load_checkpoint(folder, "cpu").fingerprint != before


def test_tokenizer_of_the_published_kind(folder):
    """Qwen2's files with a model type that transformers does not know."""
    vocabulary = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "h": 3, "i": 4, "hi": 5, "Ċ": 6}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nh i\n")
    markers = {str(i): {"content": token, "special": True} for i, token in enumerate(list(vocabulary)[:3])}
    change_json(folder, "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer", added_tokens_decoder=markers)
    tokenizer = load_checkpoint(folder, "cpu").tokenizer
    assert tokenizer.encode("<|im_start|>hi\n<|im_end|>") == [1, 5, 6, 2]
    assert tokenizer.decode([1, 5, 6, 2]) == "hi\n"


def test_a_tokenizer_that_names_code_or_an_unknown_type_is_read_all_the_same(folder, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked the user"))
    byte_tokenizer().save(folder)
    code = {"AutoTokenizer": [None, "tokenization_own.OwnTokenizer"]}
    change_json(folder, "tokenizer_config.json", tokenizer_class="OwnTokenizer", auto_map=code)
    change_json(folder, "config.json", auto_map={"AutoConfig": "configuration_own.OwnConfig"})
    text = "<|im_start|>hi"
    assert load_checkpoint(folder, "cpu").tokenizer.encode(text) == byte_tokenizer().encode(text)


def test_damaged_tokenizer_files_are_errors_with_advice(folder):
    (folder / "tokenizer.json").write_text("{ not json")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: the tokenizer cannot be read"):
        load_checkpoint(folder, "cpu")
    byte_tokenizer().save(folder)
    change_json(folder, "tokenizer_config.json", added_tokens_decoder={"7": {"content": "<|im_end|>"}})
    with pytest.raises(CheckpointError, match=r"<\|im_end\|> is number 7 there and 2"):
        load_checkpoint(folder, "cpu")


def test_names(folder, monkeypatch, tmp_path):
    assert hub.checkpoint_folder(folder) == folder
    assert hub.checkpoint_folder(folder.parent) == folder  # one level down
    for name in ("no-such-model", str(tmp_path / "nothing"), "./a/b", "a/b/c"):
        with pytest.raises(CheckpointError, match="no model of that name") as caught:
            hub.checkpoint_folder(name)
        assert "video-xl-7b" in caught.value.advice
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: asked.append(name) or str(folder))
    assert hub.checkpoint_folder("video-xl-7b") == hub.checkpoint_folder("someone/something") == folder
    assert asked == ["sy1998/Video_XL", "someone/something"]


@pytest.mark.parametrize("error", ["LocalEntryNotFoundError", "HTTPError"])  # the second: of a proxy, for example
def test_offline(monkeypatch, error):
    def fail(name, **_):
        raise getattr(huggingface_hub.errors, error)("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(CheckpointError, match="not on this machine, and it cannot be downloaded") as caught:
        load_checkpoint("someone/something")
    assert "give its folder" in caught.value.advice


@pytest.mark.parametrize(("device", "dtype"), [("warp", "auto"), ("cpu", "int3")])
def test_unknown_device_or_dtype(folder, device, dtype):
    with pytest.raises(CheckpointError, match=r"warp|int3"):
        load_checkpoint(folder, device, dtype)


@torch.no_grad()
def test_layers_may_be_on_several_devices():
    """With layers on the meta device, an operation on tensors of two devices fails as it would on two GPUs."""
    from videoxl.engine.condense import condense_batch

    network = Network(checkpoint().config).eval()
    network.language.layers[1].to("meta")
    network.language.model.norm.to("meta")
    seen = []
    store = condense_batch(
        network.language,
        torch.randn(1, 44, 32),
        torch.arange(4)[None],
        8,
        32,
        lambda plan, h: seen.append(h.device.type),
    )
    assert [keys.device.type for keys, _ in store.layers()] == ["cpu", "meta"]
    assert seen == ["meta"] * 3


def test_several_devices_are_used_when_one_is_too_small(monkeypatch):
    config = replace(checkpoint().config, language=language_config(num_hidden_layers=6))
    with torch.device("meta"):
        network = Network(config)
    needed = sum(parameter.numel() for parameter in network.parameters()) * 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    for share, devices in ((3.0, 0), (0.8, 2)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index, s=share: (int(needed * s), 0))
        assert len(set(module._device_map(network, torch.float32).values())) == devices
    # Together a little more than is needed, but parts cannot be cut to measure.
    for share in (0.25, 0.34 / 0.75):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index, s=share: (int(needed * s), 0))
        with pytest.raises(CheckpointError, match=r"weights need .* and do not fit the GPUs"):
            module._device_map(network, torch.float32)


def test_workers_go_round_over_the_devices(folder, monkeypatch):
    def gpus(count, total_memory=1 << 40):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=total_memory)
        )

    def devices(device, workers=None):
        return worker_devices(folder, device, "float32", workers)

    gpus(0)
    assert (devices("auto"), devices("auto", 2), devices("cuda")) == (["cpu"], ["cpu", "cpu"], ["cuda"])
    gpus(2)
    assert devices("auto") == devices("cuda") == ["cuda:0", "cuda:1"]
    assert devices("auto", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert (devices("cpu", 2), devices("cuda:1"), devices("auto", 1)) == (["cpu", "cpu"], ["cuda:1"], ["cuda:0"])
    gpus(2, total_memory=1000)
    assert (devices("auto"), devices("auto", 1)) == (["auto"], ["auto"])  # one that spreads the weights over both


def test_weights_beyond_a_bound_are_not_loaded(folder):
    size = sum(tensor.numel() * 4 for tensor in load_file(folder / "model.safetensors").values())
    assert load_checkpoint(folder, "cpu", max_memory=size)
    with pytest.raises(CheckpointError, match=r"the weights take .* MB, and .* MB are allowed"):
        load_checkpoint(folder, "cpu", max_memory=size // 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ..."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
)
def test_a_device_that_is_too_small(folder, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(module, "load_weights", fail)
    with pytest.raises(CheckpointError, match="do not fit into the free memory of this machine"):
        load_checkpoint(folder, "cpu")


@pytest.mark.parametrize("markers", [{"x": {"content": "a"}}, {"3": {}}, {"3": None}, [1]])
def test_unreadable_markers_are_no_bug(folder, markers):
    byte_tokenizer().save(folder)
    change_json(folder, "tokenizer_config.json", added_tokens_decoder=markers)
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: the tokenizer cannot be read"):
        load_checkpoint(folder, "cpu")


def test_a_marker_that_is_only_in_the_vocabulary_is_not_cut_into_pieces(folder):
    byte_tokenizer().save(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content))
    markers = {"1": {"content": "<|im_start|>", "special": True}, "2": {"content": "<|im_end|>", "special": True}}
    change_json(folder, "tokenizer_config.json", added_tokens_decoder=markers)
    tokenizer = load_checkpoint(folder, "cpu").tokenizer
    assert tokenizer.encode("<|im_start|>hi<|im_end|>") == byte_tokenizer().encode("<|im_start|>hi<|im_end|>")


def test_null_is_not_set(folder):
    before = read_config(folder)
    names = ("use_sliding_window", "beacon_sink_size", "beacon_stride", "mm_hidden_size", "rope_scaling", "head_dim")
    change_json(folder, **dict.fromkeys(names))
    change_json(folder, "generation_config.json", eos_token_id=None)
    assert read_config(folder) == replace(before, eos_token_ids=read_config(folder).eos_token_ids)
    assert read_config(folder).eos_token_ids != ()


def test_a_map_of_devices_may_name_the_whole_model(folder, monkeypatch):
    """What accelerate says where the first GPU has no room at all."""
    seen = []

    def load_weights(network, folder, device_of, *_):
        seen.append(device_of("language.lm_head.weight"))
        raise CheckpointError("enough", "")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(module, "_device_map", lambda *_: {"": 1})
    monkeypatch.setattr(module, "load_weights", load_weights)
    with pytest.raises(CheckpointError, match="enough"):
        load_checkpoint(folder, "auto")
    assert seen == [1]
