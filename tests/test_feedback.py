"""Corrected labels: every line is checked, all or nothing is kept, and DVC tracks it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import toy_data
import toy_registry

from flows import events, graph
from flows import feedback as command
from flows.retraining import Cause
from tasks.core.classes import DIGITS
from tasks.io import feedback, feedback_files, files
from tasks.io.feedback import accept
from tasks.io.stage import StageError

ROOT = Path(__file__).parent.parent
PICTURES = toy_data.pictures(60)
TRAIN, TEST, NEW = PICTURES[:30], PICTURES[30:40], PICTURES[40:]
LABELS = (np.arange(30) % 10).astype(np.uint8)

# Raised inside DVC by a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with this one's own ignore files, and data that were ingested."""
    folder = tmp_path_factory.mktemp("feedback") / "repo"
    folder.mkdir()
    for name in (".gitignore", ".dvcignore", "data/feedback/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    pipeline = "stages:\n  ingest:\n    cmd: ls data/feedback > seen\n"
    pipeline += "    deps: [data/feedback]\n    outs: [seen]\n"
    (folder / "dvc.yaml").write_text(pipeline)
    toy_registry.run(folder, "git", "init", "-q")
    toy_registry.run(folder, "dvc", "init", "-q")
    toy_data.write(folder, toy_data.told(30, 10))
    for name, array in {"train_images": TRAIN, "train_labels": LABELS, "test_images": TEST}.items():
        files.write_array(folder / f"data/ingest/{name}.npy", array)
    toy_registry.commit(folder, "start")
    return folder


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    folder = toy_registry.copy(template, tmp_path / "repo")
    monkeypatch.chdir(folder)
    files.write_array(Path("data/incoming/monday/new.npy"), NEW)
    return folder


def write(*lines: str, header: str = "id,label,who,why") -> Path:
    file = Path("corrections.csv")
    file.write_text("".join(f"{line}\n" for line in (header, *lines)))
    return file


def good(row: int, label: int = 4) -> str:
    return f"monday/new.npy#{row},{label},A. Reader,seen"


def refused(*lines: str, **more: str) -> list[str]:
    """Return what is said of lines that are not taken; nothing may be left of them."""
    before = sorted(Path("data/feedback").rglob("*"))
    with pytest.raises(StageError) as caught:
        accept(write(*lines, **more))
    assert sorted(Path("data/feedback").rglob("*")) == before
    return str(caught.value).splitlines()


def test_corrections_are_kept_with_their_images_and_tracked_by_dvc(repo: Path) -> None:
    taken = accept(write(good(3), good(5, label=9)))
    assert feedback._NAME.fullmatch(taken.name)
    assert (taken.rows, taken.path) == (2, Path(f"data/feedback/{taken.name}.dvc"))
    (batch,) = feedback_files.read()
    np.testing.assert_array_equal(batch.images, NEW[[3, 5]])
    first, second = batch.corrections
    assert (first.id, first.label, first.who, first.why) == (
        ("monday/new.npy#3", "4", "A. Reader", "seen")
    )
    assert (second.label, len(second.date)) == ("9", 10)
    assert f"md5: {tracked()}" in taken.path.read_text()


def tracked() -> str:
    """Return the hash of the folder that DVC has in its cache."""
    (found,) = Path(".dvc/cache").rglob("*.dir")
    return f"{found.parent.name}{found.name}"


def test_git_is_offered_the_dvc_file_alone(repo: Path) -> None:
    taken = accept(write(good(3)))
    status = toy_registry.run(repo, "git", "status", "--porcelain", "--untracked-files=all")
    assert f"?? {taken.path}" in status.splitlines()
    assert "images.npy" not in status


def test_dvc_sees_what_ingest_depends_on_and_the_flow_no_stage_more(repo: Path) -> None:
    graph.open_repo().reproduce()
    assert graph.is_unchanged(graph.open_repo())
    taken = accept(write(good(3)))
    assert not graph.is_unchanged(graph.open_repo())
    assert list(graph.read(graph.open_repo())) == ["ingest"]
    graph.open_repo().reproduce()
    assert taken.name in Path("seen").read_text()
    assert graph.is_unchanged(graph.open_repo())


def test_an_image_may_be_named_by_any_path(repo: Path) -> None:
    files.write_array(repo / "elsewhere.npy", NEW)
    accept(write("elsewhere.npy#1,4,A", f"{repo}/elsewhere.npy#2,5,A", header="file,label,who"))
    np.testing.assert_array_equal(feedback_files.read()[0].images, NEW[[1, 2]])


def test_what_a_spreadsheet_saved_reads_the_same(repo: Path) -> None:
    file = Path("saved.csv")
    file.write_bytes(b'\xef\xbb\xbfWho, Label ,id,note\r\n"Reader, A.",4,monday/new.npy#3,x\r\n')
    accept(file)
    assert feedback_files.read()[0].corrections[0].who == "Reader, A."


def test_every_wrong_line_is_named_and_nothing_is_kept(repo: Path) -> None:
    files.write_array(Path("data/incoming/known.npy"), np.stack([TEST[2], TRAIN[7], 0 * TEST[0]]))
    said = refused(
        good(1),
        "known.npy#0,4,A,",
        "known.npy#1,5,A,",
        "known.npy#1,7,A,",
        good(1, label=5),
        good(1),
        "monday/new.npy#2,x,,",
        "monday/new.npy#99,4,A,",
        "known.npy#2,4,A,",
        ",4,A,",
    )
    one_of = f"label must be one of {', '.join(DIGITS)}"
    assert said[0] == "corrections.csv: nothing was taken, as these lines cannot be:"
    assert said[1:8] == [
        "  line 3: it is test image 2: what a model is tested on is never trained on",
        "  line 4: label 5 contradicts training image 7, the same image with label 7; labels of "
        "the data set are corrected in data/label_reviews.csv",
        "  line 5: there is nothing to correct: it is training image 7, with this very label",
        "  line 6: label 5 contradicts line 2, the same image with label 4",
        "  line 7: there is nothing to correct: it is line 2, with this very label",
        "  line 8: who must be the name of who says so; got ''",
        f"  line 8: {one_of}; got 'x'",
    ]
    assert said[8].startswith("  line 9: monday/new.npy#99: ")
    assert said[9].startswith("  line 10: known.npy#2: ")
    assert said[10:] == ["  line 11: id must name an image; got ''"]


def test_an_earlier_correction_is_not_contradicted(repo: Path) -> None:
    taken = accept(write(good(3)))
    assert refused(good(3, label=5))[1:] == [
        f"  line 2: label 5 contradicts a correction in data/feedback/{taken.name}, the same "
        "image with label 4; delete that batch's .dvc file to take it back, or correct it in "
        "data/label_reviews.csv"
    ]


def test_labels_are_names_of_classes(repo: Path) -> None:
    toy_data.write(repo, toy_data.told(30, 10, classes=[f"class {name}" for name in DIGITS]))
    accept(write("monday/new.npy#3,class 4,A,"))
    assert refused(good(4))[1].startswith("  line 2: label must be one of class 0, class 1, ")


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        ("id,who", ["a,b"], "line 1: expected the columns id (or file), label, who and, if you "),
        ("id,file,label,who", ["a,b,c,d"], "expected the columns id (or file), label, who"),
        ("", [], "got an empty file"),
        ("id,label,who", [], "expected a line for each correction; there is none"),
        ("id,label,who", ['"a,4,b'], "expected CSV in UTF-8; unexpected end of data"),
    ],
)
def test_another_form_is_refused(repo: Path, header: str, lines: list[str], message: str) -> None:
    assert message in refused(*lines, header=header)[0]


def test_a_missing_file_is_named(repo: Path) -> None:
    with pytest.raises(StageError, match=r"^none\.csv: expected a file with corrections; found n"):
        accept(Path("none.csv"))


def test_without_the_data_it_is_told_where_they_come_from(repo: Path) -> None:
    shutil.rmtree("data/ingest")
    assert "dataset.json is missing: an earlier stage writes it" in refused(good(3))[0]


def test_a_batch_whose_files_are_not_here_has_to_come_first(repo: Path) -> None:
    taken = accept(write(good(3)))
    shutil.rmtree(taken.path.with_suffix(""))
    assert "dvc pull" in refused(good(4))[0]


def test_what_dvc_refuses_leaves_nothing(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Repo, "add", fail)
    with pytest.raises(OSError, match="No space left"):
        accept(write(good(3)))
    assert [path.name for path in Path("data/feedback").iterdir()] == ["README.md"]


# Ends the process as it is about to do a thing: nothing can be cleaned up then.
KILLED = """
import os, signal, sys
from pathlib import Path
from dvc.repo import Repo
from tasks.io import feedback
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "before the folder":
    Path.rename = die
else:
    Repo.add = die
feedback.accept(Path("corrections.csv"))
"""


@pytest.mark.parametrize("when", ["before the folder", "before the .dvc file"])
def test_a_killed_process_leaves_nothing_that_counts_and_the_next_takes_it_away(
    repo: Path, when: str
) -> None:
    write(good(3))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, when], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(Path("data/feedback").iterdir())) == 2  # and the README
    assert feedback_files.read() == []
    taken = accept(write(good(3)))
    names = {path.name for path in Path("data/feedback").iterdir()}
    assert names == {"README.md", taken.name, f"{taken.name}.dvc"}


@pytest.fixture
def reading(repo: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Let ingest read the folder, in a process of its own, until it is told to end."""
    slow = Path("dvc.yaml").read_text().replace("ls data/feedback > seen", "touch on && cat > seen")
    Path("dvc.yaml").write_text(slow)
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-q"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        if Path("on").exists():
            break
        signal.sigtimedwait([], 0.1)
    yield process
    process.communicate(b"")


def test_no_batch_appears_while_a_stage_reads_the_folder(
    reading: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "PATIENCE", 1)
    assert "data/feedback has been in use for more than 1 s" in refused(good(3))[0]


def test_the_command_says_what_was_taken_and_what_is_next(
    repo: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert command.feedback(write(good(3), good(4))) == 0
    (name,) = feedback_files.names()
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        f"2 corrections taken as data/feedback/{name}",
        "the next training takes them in: `make run`",
        f"for other clones: git add data/feedback/{name}.dvc, commit and push it, and `dvc push`",
    ]
    assert err == ""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Cause]:
    """Return the causes for which the Prefect server was asked to start a training."""
    causes: list[Cause] = []

    def start(cause: Cause) -> str:
        causes.append(cause)
        return "training 'fox'"

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setattr(events, "start", start)
    return causes


def test_with_a_prefect_server_the_command_starts_a_training(
    repo: Path, served: list[Cause], capfd: pytest.CaptureFixture[str]
) -> None:
    command.feedback(write(good(3), good(4)))
    (name,) = feedback_files.names()
    assert [cause.reason for cause in served] == [f"correction of 2 labels: {name}"]
    assert capfd.readouterr().out.splitlines()[1:3] == [
        "started: training 'fox'",
        "the next training takes them in",
    ]


def test_corrections_are_taken_whether_the_prefect_server_answers_or_not(
    repo: Path,
    served: list[Cause],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def start(_: Cause) -> str:
        raise StageError("connection refused")

    monkeypatch.setattr(events, "start", start)
    assert command.feedback(write(good(3))) == 0
    assert len(feedback_files.names()) == 1
    assert capfd.readouterr().out.splitlines()[1:3] == [
        "started: nothing: connection refused",
        "the next training takes them in: `make run`",
    ]


def test_elsewhere_the_command_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match=r"^expected dvc\.yaml here"):
        command.feedback(Path("x.csv"))
