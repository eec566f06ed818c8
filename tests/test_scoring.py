"""``score``: what stands in the table, what is refused, and that a killed run carries on."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import score_memory
import toy_ensemble
import toy_registry as toy
from pyarrow import parquet

from flows import scoring, scoring_progress
from flows.__main__ import main
from tasks.io import jobs, scores, serving
from tasks.io.stage import StageError

DIGITS = [1, 2, 0, 9]  # the model is sure of all but the nought
NAMES = ("nought", *"123456789")
PROBABILITIES = [f"p_{name}" for name in NAMES]
COLUMNS = ["id", "status", "prediction", "confidence", *PROBABILITIES, "reason", "model"]


@pytest.fixture
def folder(current: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a repository with one version, and return a folder with four images to score."""
    monkeypatch.chdir(current)
    np.save(tmp_path / "digits.npy", toy_ensemble.digits(*DIGITS))
    return tmp_path


def many(folder: Path, rows: int = 1000) -> Path:
    """Write so many images, each noisy in its own way; every 97th is blank."""
    rng = np.random.default_rng(0)
    images = toy_ensemble.digits(*rng.integers(0, 10, rows))
    images[:, 10:12, 10:12] = rng.integers(1, 200, (rows, 2, 2))
    images[::97] = 0
    np.save(folder / "many.npy", images)
    return folder / "many.npy"


def content(path: Path) -> tuple[object, dict[str, str]]:
    """Return rows and metadata of a Parquet file, but for the time at which it was written."""
    table = parquet.read_table(path)
    told = {key: value for key, value in scores.metadata(path).items() if key != "written_at"}
    return table.replace_schema_metadata(None), told


def test_every_image_gets_a_row_with_what_the_model_says_of_it(folder):
    source, output = folder / "digits.npy", folder / "scores.parquet"
    assert main(["score", str(source), "--output", str(output)]) == 0
    table = parquet.read_table(output)
    said = serving.load().answer(np.load(source)).probabilities
    assert table.column_names == COLUMNS
    assert table["id"].to_pylist() == [f"{source}#{row}" for row in range(4)]
    assert table["status"].to_pylist() == ["answered", "answered", "to a person", "answered"]
    assert table["prediction"].to_pylist() == ["1", "2", "nought", "9"]
    assert np.array_equal(
        np.stack([table[name].to_numpy() for name in PROBABILITIES], axis=1), said
    )
    assert np.array_equal(table["confidence"].to_numpy(), said.max(1))
    assert table["reason"].null_count == 4
    assert table["model"].to_pylist() == ["v0.0.1"] * 4


def test_a_parquet_file_says_which_model_made_it_from_what_and_when(folder):
    output = folder / "scores.parquet"
    scoring.score([folder / "digits.npy"], output)
    told, served = scores.metadata(output), serving.load()
    assert (told["version"], told["sha256"]) == ("v0.0.1", served.sha256)
    assert float(told["threshold"]) == served.threshold
    assert told["written_at"].endswith("+00:00")
    assert json.loads(told["job"])["input"]["files"] == 1
    assert json.loads(told["counts"])["answered"] == 3


def test_csv_holds_the_same_table(folder):
    for name in ("scores.parquet", "scores.csv"):
        scoring.score([many(folder)], folder / name)
    expected = parquet.read_table(folder / "scores.parquet").to_pandas()
    found = pd.read_csv(folder / "scores.csv", dtype={"prediction": str})
    assert list(found.columns) == COLUMNS
    numbers = ["confidence", *PROBABILITIES]
    assert np.array_equal(found[numbers].astype(np.float32), expected[numbers], equal_nan=True)
    texts = ["id", "status", "prediction", "reason", "model"]
    assert (found[texts].fillna("-") == expected[texts].fillna("-")).all(axis=None)


def test_csv_goes_to_standard_output_and_words_to_standard_error(folder, capfdbinary):
    assert main(["score", str(folder / "digits.npy"), "--output", "-"]) == 0
    out, err = capfdbinary.readouterr()
    scoring.score([folder / "digits.npy"], folder / "scores.csv")
    assert out == (folder / "scores.csv").read_bytes()
    assert err.startswith(b"4 images by v0.0.1 in ")


def test_bad_files_in_the_midst_are_rows_with_their_reasons(folder, capsys):
    (folder / "images").mkdir()
    for number, digit in enumerate(DIGITS):
        np.save(folder / f"images/{number}.npy", toy_ensemble.digits(digit))
    (folder / "images/1.npy").write_bytes(b"\x93NUMPY and then nothing")
    (folder / "images/2.png").write_bytes(b"no picture")
    np.save(folder / "images/blank.npy", np.zeros((1, 28, 28), np.uint8))
    output = folder / "scores.csv"
    assert main(["score", str(folder / "images"), "--output", str(output)]) == 0
    table = pd.read_csv(output)
    bad = table[table.status == "unreadable"]
    assert (len(table), len(bad)) == (6, 3)
    assert bad.reason.notna().all()
    assert (
        bad[[name for name in COLUMNS[2:] if name not in ("reason", "model")]].isna().all(axis=None)
    )
    assert table[table.status != "unreadable"].reason.isna().all()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["answered", "2", "33.3%"],
        ["to", "a", "person", "1", "16.7%"],
        ["unreadable", "3", "50.0%"],
    ]
    assert lines[4:7] == [f"    {row.id}: {row.reason}" for row in bad.itertuples()]
    assert lines[7] == f"written to {output}"


def test_where_nothing_can_be_read_the_table_tells_why_and_the_status_is_1(folder, capsys):
    np.save(folder / "blank.npy", np.zeros((9, 28, 28), np.uint8))
    output = folder / "scores.parquet"
    assert main(["score", str(folder / "blank.npy"), "--output", str(output)]) == 1
    assert parquet.read_table(output)["status"].to_pylist() == ["unreadable"] * 9
    assert "    and 4 more: see the column reason\n" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_an_empty_input_gives_an_empty_table_and_the_status_is_1(folder, capsys, ending):
    np.save(folder / "none.npy", np.zeros((0, 28, 28), np.uint8))
    output = folder / f"scores.{ending}"
    assert main(["score", str(folder / "none.npy"), "--output", str(output)]) == 1
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    table = read(output)
    assert (len(table), list(table.columns)) == (0, COLUMNS)
    assert "expected at least one image; found none\n" in capsys.readouterr().out


def test_an_input_that_does_not_exist_is_refused_and_leaves_nothing(folder, capsys):
    before = sorted(folder.iterdir())
    arguments = ["score", str(folder / "no.npy"), "--output", str(folder / "s.parquet")]
    assert main(arguments) == 1
    assert "no.npy" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_another_ending_is_refused_before_anything_is_read(folder):
    with pytest.raises(StageError) as caught:
        scoring.score([folder / "digits.npy"], folder / "scores.xlsx")
    assert str(caught.value) == (
        f"{folder}/scores.xlsx: expected an output that ends in .parquet or .csv"
    )


def test_a_folder_is_no_output(folder):
    (folder / "scores.csv").mkdir()
    with pytest.raises(StageError) as caught:
        scoring.score([folder / "digits.npy"], folder / "scores.csv")
    assert (
        str(caught.value) == f"{folder}/scores.csv: expected a place for a file; a folder is there"
    )


def test_a_full_disk_is_an_error_in_words_after_which_it_carries_on(folder, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    arguments = ["score", str(folder / "digits.npy"), "--output", str(folder / "s.csv")]
    with monkeypatch.context() as patch:
        patch.setattr(scores, "join", full)
        assert main(arguments) == 1
    assert capsys.readouterr().err == (
        f"error: {folder}/s.csv cannot be written: [Errno 28] No space left on device. "
        "Mend that, and the same command carries on\n"
    )
    assert main(arguments) == 0
    assert "carries on after 4 rows of an earlier run" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_same_job_again_has_nothing_to_do_and_says_so(folder, capsys, ending):
    arguments = ["score", str(folder / "digits.npy"), "--output", str(folder / f"s.{ending}")]
    assert main(arguments) == 0
    before = (folder / f"s.{ending}").stat().st_mtime_ns
    capsys.readouterr()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"nothing to do: {folder}/s.{ending} has these 4 images by v0.0.1 already"
    )
    assert (folder / f"s.{ending}").stat().st_mtime_ns == before


def changed_input(folder: Path) -> None:
    np.save(folder / "digits.npy", toy_ensemble.digits(4, 4))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_output_of_another_job_is_kept_unless_it_may_be_overwritten(folder, capsys, ending):
    output = folder / f"s.{ending}"
    arguments = ["score", str(folder / "digits.npy"), "--output", str(output)]
    main(arguments)
    before = output.read_bytes()
    changed_input(folder)
    assert main(arguments) == 1
    assert capsys.readouterr().err == (
        f"error: {output}: expected a free place, or the result of this very job; a file is there "
        "already, from other input. Name another output, or replace it: --overwrite\n"
    )
    assert output.read_bytes() == before
    assert main([*arguments, "--overwrite"]) == 0
    assert len(output.read_bytes()) < len(before)


def test_a_csv_file_that_was_edited_is_nobodys_result(folder, capsys):
    output = folder / "s.csv"
    arguments = ["score", str(folder / "digits.npy"), "--output", str(output)]
    main(arguments)
    output.write_text(output.read_text() + "one more line\n")
    assert main(arguments) == 1
    assert "a file is there already. Name another output" in capsys.readouterr().err


def test_a_file_that_is_no_table_is_not_overwritten(folder, capsys):
    (folder / "s.parquet").write_text("my diary")
    arguments = ["score", str(folder / "digits.npy"), "--output", str(folder / "s.parquet")]
    assert main(arguments) == 1
    assert (folder / "s.parquet").read_text() == "my diary"


KILLED = """
import os, sys
from pathlib import Path
from flows import scoring
from tasks.io import files, scores

moment, source, output = sys.argv[1:]
calls = {"write": 0, "join": 0}

def die(*_, **__):
    os.kill(os.getpid(), 9)

def at(name, number, function, before):
    def called(*arguments):
        calls[name] = calls.get(name, 0) + 1
        if calls[name] == number and before:
            die()
        result = function(*arguments)
        if calls[name] == number:
            die()
        return result
    return called

if moment == "while a piece is written":
    scores.write = at("write", 3, scores.write, before=False)
elif moment == "before a piece is noted":
    files.write_json = at("note", 4, files.write_json, before=True)
elif moment == "while the pieces are joined":
    scores.join = at("join", 1, scores.join, before=False)
elif moment == "before the pieces are removed":
    import shutil
    shutil.rmtree = die
scoring.score([source], Path(output), rows=192)
"""


def kill(moment: str, source: Path, output: Path) -> None:
    """Score in a process that is killed, as by kill -9, at that moment."""
    command = [sys.executable, "-c", KILLED, moment, str(source), str(output)]
    done = subprocess.run(command, env=toy.environment(), check=False)
    assert done.returncode == -9


def finished(output: Path) -> int:
    return len(list(output.with_name(f".{output.name}.parts").glob("*.json"))) - 1


@pytest.mark.parametrize(
    ("moment", "pieces", "ending"),
    [
        ("while a piece is written", 2, "parquet"),
        ("while a piece is written", 2, "csv"),
        ("before a piece is noted", 2, "parquet"),
        ("while the pieces are joined", 6, "parquet"),
    ],
)
def test_a_killed_run_carries_on_and_ends_as_if_nothing_had_been(folder, moment, pieces, ending):
    source, output = many(folder), folder / f"scores.{ending}"
    kill(moment, source, output)
    assert not output.exists()
    assert finished(output) == pieces
    said: list[str] = []
    summary = scoring.score([source], output, rows=192, say=said.append)
    rows = min(192 * pieces, 1000)
    assert summary.resumed == rows
    assert said == [f"{output}: carries on after {rows:,} rows of an earlier run"]
    scoring.score([source], folder / f"whole.{ending}", rows=192)
    if ending == "csv":
        assert output.read_bytes() == (folder / "whole.csv").read_bytes()
    else:
        assert content(output) == content(folder / "whole.parquet")
    assert not output.with_name(f".{output.name}.parts").exists()


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_run_that_is_killed_at_the_very_end_is_finished(folder, ending):
    source, output = many(folder), folder / f"scores.{ending}"
    kill("before the pieces are removed", source, output)
    assert scoring.score([source], output, rows=192).there
    assert not output.with_name(f".{output.name}.parts").exists()


@pytest.fixture
def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave the pieces of a run that was interrupted, and return its output."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scores, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            scoring.score([many(folder)], folder / "scores.parquet", rows=192)
    return folder / "scores.parquet"


def test_pieces_of_other_input_are_not_carried_on(folder, interrupted):
    np.save(folder / "many.npy", toy_ensemble.digits(3, 3, 3))
    said: list[str] = []
    summary = scoring.score([folder / "many.npy"], interrupted, rows=192, say=said.append)
    assert said == [f"{interrupted}: begins anew: an earlier run had other input"]
    assert (summary.resumed, summary.counts.rows) == (0, 3)


def test_pieces_of_another_model_are_not_carried_on(folder, interrupted, versions):
    said: list[str] = []
    source = [folder / "many.npy"]
    scoring.score(source, interrupted, rows=192, version="v0.0.3", say=said.append)
    assert said[-1] == f"{interrupted}: begins anew: an earlier run had another model (v0.0.1)"
    assert set(parquet.read_table(interrupted)["model"].to_pylist()) == {"v0.0.3"}


def test_an_interrupted_run_says_how_to_carry_on(folder, capsys, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scores, "join", interrupt)
    arguments = ["score", str(folder / "digits.npy"), "--output", str(folder / "s.csv")]
    assert main(arguments) == 130
    assert capsys.readouterr().err == "interrupted: the same command carries on from here\n"


def test_two_runs_to_one_output_collide_with_words(folder, capsys, monkeypatch):
    arguments = ["score", str(folder / "digits.npy"), "--output", str(folder / "s.csv")]
    statuses = []
    join = scores.join

    def meanwhile(*details: object) -> None:
        statuses.append(main(arguments))
        join(*details)

    monkeypatch.setattr(scores, "join", meanwhile)
    assert main(arguments) == 0
    assert statuses == [1]
    assert f"expected to be alone in writing it; process {os.getpid()}" in capsys.readouterr().err


def test_standard_input_is_scored_and_never_taken_for_the_same_again(folder):
    command = [sys.executable, "-m", "flows", "score", "-", "--output", str(folder / "s.csv")]
    sent = io.BytesIO()
    np.save(sent, toy_ensemble.digits(*DIGITS))
    statuses = [
        subprocess.run(
            command, input=sent.getvalue(), env=toy.environment(), capture_output=True, check=False
        ).returncode
        for _ in range(2)
    ]
    assert statuses == [0, 1]
    assert pd.read_csv(folder / "s.csv").id.tolist() == ["-#0", "-#1", "-#2", "-#3"]


def test_no_two_jobs_of_standard_input_are_equal(folder):
    served = serving.load()
    one, other = (jobs.describe(["-"], None, served, "csv", 8) for _ in range(2))
    assert one != other
    assert jobs.differences(one, other) == "other input"


def test_an_unknown_version_is_refused(folder, capsys):
    assert main(["score", str(folder / "digits.npy"), "--version", "v7.0.0"]) == 1
    assert capsys.readouterr().err == (
        "error: digits has no version v7.0.0; expected one of v0.0.1\n"
    )


def test_an_older_version_scores_and_says_what_it_does_not_tell(versions, tmp_path, capsys):
    images = toy_ensemble.digits(3)
    np.save(tmp_path / "digits.npy", images)
    output = tmp_path / "s.parquet"
    assert main(["score", str(tmp_path / "digits.npy"), "--output", str(output)]) == 0
    assert parquet.read_table(output).column_names[4:14] == [f"p_{n}" for n in range(10)]
    assert capsys.readouterr().err == (
        "v0.0.2 is of before there was abstention: it answers every image\n"
        "v0.0.2 does not name its classes: they are called 0 to 9\n"
    )


def test_a_name_that_is_no_utf8_is_escaped(folder):
    served = serving.load()
    answers = served.answer(toy_ensemble.digits(1))
    table = scores.table(served, [os.fsdecode(b"caf\xe9.png")], answers, [None])
    assert table["id"].to_pylist() == ["caf\\udce9.png"]


@pytest.mark.parametrize("quiet", [0, 60])
def test_lines_of_progress_come_now_and_then_where_there_is_no_terminal(monkeypatch, capsys, quiet):
    monkeypatch.setattr(scoring_progress, "_EVERY", quiet)
    with scoring_progress.Progress(total=400, done=100) as progress:
        progress.advance(100)
    told = capsys.readouterr().err
    assert told.startswith("200 of 400 rows  50.0%  ") is (quiet == 0)
    assert bool(told) is (quiet == 0)


def test_without_a_known_total_only_rows_and_speed_are_told():
    words = scoring_progress.Progress(total=None, done=5).words()
    assert words == "5 rows  0 images/s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(7.6, "8 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (-1, "0 s")]
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert scoring_progress.duration(seconds) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "output"),
    [("images.npy", "scores.parquet"), ("images-idx3-ubyte", "scores.csv")],
)
def test_memory_does_not_grow_with_the_images(current, tmp_path, source, output):
    """Seven million take 282 MiB; `tests/score_memory.py` measures that."""
    peaks = []
    for images in (100_000, 1_000_000):
        score_memory.write(tmp_path / source, images)
        found = score_memory.measure(current, tmp_path / source, tmp_path / f"{images}{output}")
        assert found.words.startswith(f"{images:,} images by v0.0.1")
        peaks.append(found.mebibytes)
    assert peaks[1] < 400
    assert peaks[1] < peaks[0] + 50
