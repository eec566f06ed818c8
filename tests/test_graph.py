"""The flow's graph is DVC's own."""

from pathlib import Path

import pytest
import toy_pipeline

from flows import graph
from flows.graph import Stage
from tasks.io.stage import StageError

# Raised inside DVC by a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    return toy_pipeline.make(tmp_path / "toy", monkeypatch)


@pytest.fixture
def stages(toy):
    return graph.read(graph.open_repo())


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_stages_come_in_an_order_in_which_they_can_run(stages):
    assert list(stages) == toy_pipeline.STAGES


def test_a_stage_waits_for_those_whose_files_it_reads(stages):
    assert {name: stage.upstream for name, stage in stages.items()} == {
        "ingest": (),
        "validate": ("ingest",),
        "train@a": ("ingest", "validate"),
        "train@b": ("ingest", "validate"),
        "train@c": ("ingest", "validate"),
        "baseline": ("ingest", "validate"),
        "ensemble": ("train@a", "train@b", "train@c"),
        "report": ("baseline", "ensemble"),
    }


def test_a_stage_knows_who_makes_what_it_reads(stages):
    assert stages["train@b"].makers == {"data/ingest": ("ingest",), "data/validate": ("validate",)}
    assert stages["ensemble"].makers == {"models/train": ("train@a", "train@b", "train@c")}


def test_a_file_within_an_output_is_made_by_its_stage_and_a_neighbour_of_like_name_is_not(toy):
    change(toy / "dvc.yaml", "deps: [models/train]", "deps: [models/baseline/x, models/trainer]")
    makers = graph.read(graph.open_repo())["ensemble"].makers
    assert makers == {"models/baseline/x": ("baseline",)}


def test_a_stage_knows_its_outputs(toy, stages):
    assert stages["train@b"].outs == (toy / "models/train/b/model",)


def test_the_number_of_retries_stands_in_the_stages_meta(stages):
    assert {stage.retries for name, stage in stages.items() if name != "ingest"} == {0}
    assert stages["ingest"].retries == 1


def test_retries_that_are_no_number_are_refused(toy):
    change(toy / "dvc.yaml", "retries: 1", "retries: often")
    with pytest.raises(StageError) as error:
        graph.read(graph.open_repo())
    assert str(error.value) == (
        "dvc.yaml: ingest: meta.retries must be a number from 0 to 10; got 'often'"
    )


def test_a_broken_pipeline_file_is_told_in_dvcs_words(toy):
    change(toy / "dvc.yaml", "outs: [data/ingest]", "outs: data/ingest")
    with pytest.raises(StageError, match=r"^'./dvc.yaml' validation failed: expected a list"):
        graph.read(graph.open_repo())


def test_a_folder_without_a_pipeline_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StageError, match=r"^expected to be in a DVC repository; you are not inside"
    ):
        graph.open_repo()


def test_a_pipeline_that_never_ran_has_something_to_do(toy):
    assert not graph.is_unchanged(graph.open_repo())


def test_after_a_run_there_is_nothing_to_do_until_a_parameter_changes(toy):
    graph.open_repo().reproduce()
    assert graph.is_unchanged(graph.open_repo())
    change(toy / "params.yaml", "epochs: 10 #", "epochs: 11 #")
    assert not graph.is_unchanged(graph.open_repo())


@pytest.fixture
def added(toy):
    """Let ingest depend on a folder in which DVC tracks a file by itself."""
    change(toy / "dvc.yaml", "params: [data]\n", "params: [data]\n    deps: [given]\n")
    change(toy / "dvc.yaml", "step.py ingest data/ingest", "step.py ingest data/ingest given/a")
    (toy / "given").mkdir()
    (toy / "given/a").write_text("1")
    graph.open_repo().add("given/a")
    return toy


def test_what_dvc_add_took_is_no_stage_and_nothing_waits_for_it(added):
    stages = graph.read(graph.open_repo())
    assert list(stages) == toy_pipeline.STAGES
    assert (stages["ingest"].upstream, stages["ingest"].makers) == ((), {})


def test_what_was_changed_by_hand_is_noted_so_that_dvc_has_nothing_left_to_do(added):
    assert graph.take_changes(graph.open_repo()) == []
    graph.open_repo().reproduce()
    (added / "given/a").write_text("2")
    assert not graph.is_unchanged(graph.open_repo())
    assert graph.take_changes(graph.open_repo()) == [
        "given/a was changed by hand: given/a.dvc says so now"
    ]
    ran = graph.open_repo().reproduce()
    assert "given/a.dvc" not in [stage.addressing for stage in ran]
    assert graph.is_unchanged(graph.open_repo())


def test_what_is_missing_is_left_to_the_stage_that_needs_it(added):
    (added / "given/a").unlink()
    assert graph.take_changes(graph.open_repo()) == []


def test_what_a_member_left_that_is_no_more_is_removed(toy):
    graph.open_repo().reproduce()
    change(toy / "params.yaml", "members: [a, b, c]\n\n", "members: [a, b]\n\n")
    stages = graph.read(graph.open_repo())
    assert graph.prune(stages, toy) == [
        "removed models/train/c: no stage makes it now (DVC's cache keeps its content)"
    ]
    assert sorted(path.name for path in (toy / "models/train").iterdir()) == ["a", "b"]


def test_a_folder_that_dvc_does_not_know_is_named_and_left(toy, stages):
    notes = toy / "models/train/notes"
    notes.mkdir(parents=True)
    assert graph.prune(stages, toy) == [
        "models/train/notes belongs to no stage: move it away or delete it"
    ]
    assert notes.is_dir()


def test_members_files_beside_each_other_are_told_apart(tmp_path):
    for name in ("a.json", "old.json", ".gitignore"):
        (tmp_path / name).touch()
    stages = {"train@a": Stage("train@a", (), (tmp_path / "a.json",))}
    assert list(graph.stale(stages, tmp_path.parent)) == [tmp_path / "old.json"]


def test_a_member_named_like_a_folder_above_the_pipeline_leaves_that_folder_alone(tmp_path):
    root = tmp_path / "a" / "clone"
    (tmp_path / "neighbour").mkdir()
    stages = {"train@a": Stage("train@a", (), (root / "models/a/model",))}
    assert list(graph.stale(stages, root)) == []


def test_the_real_pipeline_reads_without_an_error(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent)
    stages = graph.read(graph.open_repo())
    assert list(stages)[:3] == ["ingest", "validate", "preprocess"]
