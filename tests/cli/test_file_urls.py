"""A file URL is accepted wherever a path is."""

from pathlib import Path

from asking import Ask
from typer.testing import CliRunner

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.cli.main import app
from videoxl.tasks.needle.haystacks import open_haystacks
from videoxl.tasks.questions import read_questions
from videoxl.tasks.summarize.inputs import read_inputs


def test_videos_memories_and_models_are_named_by_urls(ask: Ask, clip: Path, model_folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "a clip.vxm"
    index = ["index", clip.as_uri(), "-o", saved, "--model", model_folder.as_uri(), "--device", "cpu"]
    assert CliRunner().invoke(app, [str(argument) for argument in index]).exit_code == 0
    for video in (clip.as_uri(), saved.as_uri()):
        result = ask(video=video)
        assert (result.exit_code, bool(result.stdout)) == (0, True), result.stderr
    assert CliRunner().invoke(app, ["memory", "show", saved.as_uri()]).exit_code == 0


def test_inputs_of_runs_are_named_by_urls(clip: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "videos.csv"
    manifest.write_text(f"video\n{clip.as_uri()}\n")
    for argument in (clip, clip.parent, manifest):
        assert [source.path for source in read_inputs([argument.as_uri()], tmp_path / "out").sources] == [str(clip)]
    assert [haystack.name for haystack in open_haystacks(clip.as_uri(), one_a_second=False)] == [clip.name]
    questions = tmp_path / "questions.txt"
    questions.write_text("Why?\n")
    assert [question.text for question in read_questions(Path(questions.as_uri()))] == ["Why?"]


def test_a_model_is_named_by_a_url(model_folder: Path) -> None:
    assert checkpoint_folder(model_folder.as_uri()) == model_folder
