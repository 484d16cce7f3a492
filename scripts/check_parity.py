"""Compare videoxl with recordings of the reference implementation, quantity by quantity.

    python scripts/check_parity.py FOLDER

FOLDER holds `checkpoint/` and `cases/*.safetensors`, recorded by running the published Video-XL code on a small random
model. Each case is run through the public code, from pixels where frames are recorded, and again from the recorded
visual features. Exit status: 0 all within tolerance, 1 something is off, 2 the folder cannot be used.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from videoxl import VideoXL
from videoxl.checkpoints.weights import published_tensors
from videoxl.config import Preprocessing
from videoxl.engine.condense import condense_batch
from videoxl.engine.generate import generate, read
from videoxl.errors import VideoXLError
from videoxl.memory.value import VisualMemory
from videoxl.network.preprocessing import preprocess
from videoxl.network.rotary import rotary_tables, rotate
from videoxl.options import AnswerOptions
from videoxl.planning.windows import RatioPolicy, WindowPlan

# Of the recordings' README: a few times the spread of the reference itself over kernels and threads.
LOGITS = (3e-4, 1e-4)
HIDDEN = MEMORY = (1e-4, 0.0)
FEATURES = (5e-5, 0.0)
EXACT = (0.0, 0.0)
LOSS = (2e-5, 0.0)
GRADIENT_RTOL = 2e-4
PARTS = ("sink", "beacon", "raw")  # of a recorded memory, in order
Layers = Sequence[tuple[Tensor, Tensor]]
NOISE_NORM = 1e-6  # smaller recorded gradient norms are zero but for rounding


@dataclass
class Report:
    """Rows of (case, quantity, largest absolute error, tolerance, ok)."""

    rows: list[tuple[str, str, float, str, bool]] = field(default_factory=list)

    def compare(self, case: str, quantity: str, ours: Tensor, golden: Tensor, tolerance: tuple[float, float]) -> None:
        """Add a row; shapes that differ are an infinite error."""
        atol, rtol = tolerance
        error, ok = float("inf"), False
        if ours.shape == golden.shape:
            difference = (ours.double() - golden.double()).abs()
            error = float(difference.max()) if difference.numel() else 0.0
            ok = bool((difference <= atol + rtol * golden.double().abs()).all())
        self.add(case, quantity, error, f"{atol:g}" + (f" + {rtol:g}|x|" if rtol else ""), ok)

    def add(self, case: str, quantity: str, error: float, tolerance: str, ok: bool) -> None:
        """Add a row; of several for the same case and quantity, keep the worst."""
        for index, row in enumerate(self.rows):
            if row[:2] == (case, quantity):
                if (not ok, error) > (not row[4], row[2]):
                    self.rows[index] = (case, quantity, error, tolerance, ok)
                return
        self.rows.append((case, quantity, error, tolerance, ok))

    def print(self) -> int:
        """Print all rows and return the number that is off."""
        for case, quantity, error, tolerance, ok in self.rows:
            print(f"{case:24} {quantity:32} {error:10.2e}   {tolerance:16} {'ok' if ok else 'OFF'}")
        off = sum(not row[4] for row in self.rows)
        print(f"{len({row[0] for row in self.rows})} cases, {len(self.rows)} quantities, {off} off")
        return off


@dataclass
class Case:
    """One recording: its name, its tensors and the description in its metadata."""

    name: str
    tensors: dict[str, Tensor]
    about: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> "Case":
        """Read a recording from a file."""
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            about = (file.metadata() or {}).get("case")
        return cls(path.stem, tensors, json.loads(about) if about else {})

    def policy(self) -> RatioPolicy:
        """Return the recorded ratios, with the reference's treatment of remainders."""
        ratios = tuple(self.about.get("ratios") or [self.about["ratio"]])
        return RatioPolicy(ratios, self.about["ratio_mix"] if len(ratios) > 1 else "fixed", cover=False)


def check_preprocess(case: Case, report: Report, model: VideoXL) -> None:
    """Compare resized, cropped and normalised frames: with Pillow exactly, with torch within one 8-bit step."""
    for key in (key for key in case.tensors if key.endswith(".frames")):
        name = key.removesuffix(".frames")
        for golden_key in (k for k in case.tensors if k.startswith(f"{name}.") and k != key):
            golden = case.tensors[golden_key]
            prep = Preprocessing(
                golden.shape[-1], mean=model.config.preprocessing.mean, std=model.config.preprocessing.std
            )
            step = (1.001 / 255 / min(prep.std), 0.0)
            if golden.dtype == torch.uint8:  # recorded before normalisation
                prep, step = replace(prep, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)), (1.001, 0.0)
            rows = [int(row) for row in re.findall(r"\d+", golden_key.partition("_rows")[2])]
            for resize, tolerance in (
                ("pillow", EXACT if golden.dtype != torch.uint8 else (1e-4, 0.0)),
                ("torch", step),
            ):
                ours = preprocess(case.tensors[key], prep, resize=resize)  # type: ignore[arg-type]
                ours = ours[:, :, rows] if rows else ours
                report.compare(case.name, f"{golden_key.removesuffix('s')} ({resize})", ours, golden, tolerance)


@torch.no_grad()
def check_bank(case: Case, report: Report, model: VideoXL) -> None:
    """Compare every stage of the vision path on the recorded frames."""
    golden = case.tensors
    pixels = preprocess(golden["frames"], model.config.preprocessing)
    features = model.vision.features(pixels)
    tokens = model.encode_frames(golden["frames"])
    stages = {
        "pixel_values": (pixels, EXACT),
        "clip_features": (features, FEATURES),
        "projected": (model.vision.projector(features), FEATURES),
        "pooled": (tokens, FEATURES),
        "visual_features": (tokens.flatten(0, 1), FEATURES),
    }
    for key in golden:
        stage, _, count = key.partition("_first")
        if stage in stages:
            ours, tolerance = stages[stage]
            report.compare(case.name, key, ours[: int(count)] if count else ours, golden[key], tolerance)


def visual_tokens(case: Case, others: dict[str, Case], model: VideoXL) -> Tensor | None:
    """Return a case's visual tokens, computed from recorded pixels; None if no pixels are recorded for it."""
    if case.about["n_frames"]:
        bank = others.get("video_bank")
        return model.encode_frames(bank.tensors["frames"][: case.about["n_frames"]]).flatten(0, 1) if bank else None
    inputs = others.get("image_inputs")
    if inputs is None or case.name not in ("image_single", "image_anyres"):
        return None
    single = case.name == "image_single"
    # A single picture is not pooled; of a picture in crops, the first (all of it, small) is not used.
    crops = inputs.tensors["single"] if single else inputs.tensors["patches"][1:]
    with torch.no_grad():
        return model.vision(crops, pool=not single).flatten(0, 1)


def check_language(case: Case, report: Report, model: VideoXL, tokens: Tensor, source: str) -> None:
    """Compare a whole case: windows, memory, logits, generated tokens."""
    golden, about = case.tensors, case.about
    ids = golden["input_ids"][0]
    place = int((ids == -200).nonzero()[0])
    seen: list[int] = []

    def on_window(plan: WindowPlan | None, hidden: Tensor) -> None:
        index = 0 if plan is None else 1 + plan.start // about["window"]
        seen.append(index)
        name = f"{source}: window"
        report.compare(case.name, f"{name} hidden", hidden, golden[f"window.{index}.hidden"], HIDDEN)
        if plan is not None and plan.layout is not None:
            is_vst = torch.from_numpy(plan.layout.is_vst())
            report.compare(case.name, f"{name} is_vst", is_vst, golden[f"window.{index}.is_vst"], EXACT)
            positions = torch.tensor([*range(plan.memory_length), *plan.positions])[None]
            report.compare(case.name, f"{name} positions", positions, golden[f"window.{index}.position_ids"], EXACT)

    memory = model.condense(
        tokens, case.policy(), ids[:place].tolist(), window=about["window"], reserved_slots=1, on_window=on_window
    )
    num_video = -(-about["n_visual_tokens"] // about["window"])
    # The reference runs a window without VSTs on placeholder embeddings; it leaves no trace, and we do not run it.
    expected = [0, *(i for i in range(1, num_video + 1) if about["windows"][i]["n_vst"])]
    report.compare(case.name, f"{source}: windows run", torch.tensor(seen), torch.tensor(expected), EXACT)
    check_question(case, report, model, memory, ids[place + 1 :], source, num_video + 1)
    check_decoding(case, report, model, memory, ids[place + 1 :], source)


@torch.no_grad()
def check_question(
    case: Case, report: Report, model: VideoXL, memory: VisualMemory, question: Tensor, source: str, first: int
) -> None:
    """Compare what reading the question gives: hidden states, memory afterwards, logits."""
    golden = case.tensors
    store = memory.workspace(len(question))
    hidden = read(model.language, store, question[None])
    # The reference reads long questions in several windows; the recorded states follow one another.
    recorded = [golden[f"window.{index}.hidden"] for index in range(first, len(case.about["windows"]))]
    report.compare(case.name, f"{source}: question hidden", hidden, torch.cat(recorded, dim=1), HIDDEN)
    check_memory(case, report, model, store.layers(), f"{source}: memory")
    logits = model.next_logits(memory, question)[None]
    last = golden["final_window_logits"]
    report.compare(case.name, f"{source}: final logits", logits[:, -last.shape[1] :], last, LOGITS)


def check_memory(case: Case, report: Report, model: VideoXL, layers: Layers, quantity: str) -> None:
    """Compare keys and values [1, kv_heads, n, d] of every layer with the recorded prefix, VSTs and question."""
    for layer, (keys, values) in enumerate(layers):
        key, value = (
            torch.cat(
                [case.tensors[name] for part in PARTS if (name := f"memory.{part}_{kind}.{layer}") in case.tensors], 2
            )
            for kind in ("key", "value")
        )
        # Recorded keys are not rotated yet; ours are, each to its place.
        places = torch.arange(key.shape[2])
        language = model.config.language
        tables = rotary_tables(places, language.head_dim, language.rope_theta)
        report.compare(case.name, f"{quantity} keys", keys, rotate(key, tables), MEMORY)
        report.compare(case.name, f"{quantity} values", values, value, MEMORY)


@torch.no_grad()
def check_decoding(
    case: Case, report: Report, model: VideoXL, memory: VisualMemory, question: Tensor, source: str
) -> None:
    """Compare greedy tokens and the logits and scores of every step."""
    golden = case.tensors["generated_ids"][0]
    penalty = case.about.get("generate", {}).get("repetition_penalty", 1.0)
    context = case.tensors["expanded_input_ids"][0] if "expanded_input_ids" in case.tensors else None
    options = AnswerOptions(max_new_tokens=len(golden), repetition_penalty=penalty)
    steps = list(generate(model.language, memory, question, options, model.config.eos_token_ids, context))
    ids = torch.tensor([step.token_id for step in steps])
    report.compare(case.name, f"{source}: greedy ids", ids, golden, EXACT)
    for key, ours in (("decode_logits", [s.logits for s in steps]), ("decode_scores", [s.scores for s in steps])):
        if key in case.tensors:
            quantity = f"{source}: {key.replace('_', ' ')}"
            report.compare(case.name, quantity, torch.stack(ours)[None], case.tensors[key], LOGITS)


def check_text(case: Case, report: Report, model: VideoXL) -> None:
    """Compare text without any video: as the prefix of an empty video, and after an empty memory."""
    golden, ids = case.tensors, case.tensors["input_ids"][0]
    nothing = torch.zeros(0, model.config.language.hidden_size)
    hidden: list[Tensor] = []
    memory = model.condense(
        nothing, prefix_ids=ids.tolist(), reserved_slots=1, on_window=lambda plan, h: hidden.append(h)
    )
    with torch.no_grad():
        report.compare(
            case.name, "prefix logits", model.language.logits(hidden[0]), golden["beacon_path_logits"], LOGITS
        )
    check_memory(case, report, model, [(keys[None], values[None]) for keys, values in memory.layers], "memory")
    empty = model.condense(nothing, prefix_ids=[], reserved_slots=1)
    report.compare(case.name, "native logits", model.next_logits(empty, ids)[None], golden["native_logits"], LOGITS)
    check_decoding(case, report, model, empty, ids, "text")


def check_training(case: Case, report: Report, model: VideoXL, frames: Tensor) -> None:
    """Compare loss, logits and gradients of one training step, from pixels."""
    golden, parts = case.tensors, {"vision": model.vision, "language": model.language}
    for part in parts.values():
        part.train().zero_grad()
    tokens = model.vision(preprocess(frames[: case.about["n_frames"]], model.config.preprocessing)).flatten(0, 1)
    loss, logits = _loss(case, model, tokens[None])
    loss.backward()
    last = golden["final_window_logits"]
    report.compare(case.name, "loss", loss.detach()[None], golden["loss"], LOSS)
    report.compare(case.name, "final logits", logits.detach()[:, -last.shape[1] :], last, LOGITS)
    gradients = {
        published: gradient
        for part_name, part in parts.items()
        for name, parameter in part.named_parameters(prefix=part_name)
        for published, gradient in published_tensors(
            name, torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        )
    }
    _check_gradients(case, report, gradients)
    for part in parts.values():
        part.eval().zero_grad()


def _loss(case: Case, model: VideoXL, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy over labelled tokens, before and after the video, and the question's logits."""
    language, ids, labels = model.language, case.tensors["input_ids"], case.tensors["labels"]
    place = int((ids[0] == -200).nonzero()[0])
    prefix_hidden: list[Tensor] = []

    def on_window(plan: WindowPlan | None, hidden: Tensor) -> None:
        if plan is None:
            prefix_hidden.append(hidden)

    memory = condense_batch(language, tokens, ids[:, :place], case.policy(), case.about["window"], on_window)
    question = ids[:, place + 1 :]
    positions = torch.arange(memory.length, memory.length + question.shape[1])
    hidden = language(language.embed(question), positions, memory, keep=False)
    logits = language.logits(hidden)
    pairs = ((language.logits(prefix_hidden[0]), labels[:, :place]), (logits, labels[:, place + 1 :]))
    # Each token is predicted by the one before it; the first after the video, by the video's last, is never labelled.
    losses = [F.cross_entropy(x[0, :-1], y[0, 1:], ignore_index=-100, reduction="sum") for x, y in pairs]
    return sum(losses, torch.zeros(())) / sum((y[0, 1:] != -100).sum() for _, y in pairs), logits


def _check_gradients(case: Case, report: Report, gradients: dict[str, Tensor]) -> None:
    """Compare the norm of every parameter's gradient, and the recorded ones in full, relative to their size."""
    for parameter, norm in zip(case.about["param_names"], case.tensors["grad_norms"].tolist(), strict=True):
        ours = float(gradients[parameter].double().norm()) if parameter in gradients else float("nan")
        if norm > NOISE_NORM:
            error = abs(ours - norm) / norm
            report.add(case.name, "gradient norms (relative)", error, f"{GRADIENT_RTOL:g}", error <= GRADIENT_RTOL)
        else:
            report.add(case.name, "gradient norms (zero)", ours, f"{NOISE_NORM:g}", ours <= NOISE_NORM)
    for key, recorded in case.tensors.items():
        if key.startswith("grad."):
            error = float((gradients[key.removeprefix("grad.")] - recorded).abs().max() / recorded.abs().max())
            report.add(case.name, "gradients (relative)", error, f"{GRADIENT_RTOL:g}", error <= GRADIENT_RTOL)


def check_case(case: Case, cases: dict[str, Case], report: Report, model: VideoXL) -> None:
    """Compare whatever the case records."""
    if "visual_features" in case.tensors and "windows" in case.about:
        golden = case.tensors["visual_features"]
        tokens = visual_tokens(case, cases, model)
        if tokens is not None:
            report.compare(case.name, "pixels: visual features", tokens, golden, FEATURES)
            check_language(case, report, model, tokens, "pixels")
        check_language(case, report, model, golden, "features")
    elif "frames" in case.tensors:
        check_bank(case, report, model)
    elif "native_logits" in case.tensors:
        check_text(case, report, model)
    elif "loss" in case.tensors and "video_bank" in cases:
        check_training(case, report, model, cases["video_bank"].tensors["frames"])
    elif any(key.endswith(".frames") for key in case.tensors):
        check_preprocess(case, report, model)
    elif case.name != "image_inputs":  # which other cases use
        print(f"{case.name}: not checked: of no known kind, or without the recorded frames", file=sys.stderr)


def check_folder(folder: Path) -> Report:
    """Run every recording of a folder.

    Raises:
        VideoXLError: the checkpoint cannot be loaded.
        OSError, SafetensorError, ValueError: the recordings cannot be read.
    """
    model = VideoXL.from_pretrained(folder / "checkpoint", device="cpu", dtype="float32")
    cases = {path.stem: Case.load(path) for path in sorted((folder / "cases").glob("*.safetensors"))}
    report, own_config = Report(), model.vision.config
    for case in cases.values():
        layer = re.search(r"mm_vision_select_layer\s*=\s*(-?\d+)", case.about.get("note", ""))
        model.vision.config = replace(own_config, select_layer=int(layer[1])) if layer else own_config
        try:
            check_case(case, cases, report, model)
        except Exception as error:  # broken code may fail anywhere: that is a finding, and the other cases go on
            reason = " ".join(str(error).split())[:120]
            report.add(case.name, f"raised {type(error).__name__}: {reason}", float("inf"), "", False)
    if not report.rows:
        raise ValueError("it holds no recording that can be checked")
    return report


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Compare videoxl with recordings of the reference implementation.")
    parser.add_argument("folder", type=Path, help="holds checkpoint/ and cases/*.safetensors")
    folder = parser.parse_args(arguments).folder
    try:
        report = check_folder(folder)
    except (VideoXLError, OSError, SafetensorError, ValueError) as error:
        print(f"{folder}: cannot be used: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 1 if report.print() else 0


if __name__ == "__main__":
    sys.exit(main())
