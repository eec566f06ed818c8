import numpy as np
import pytest

from tasks.io import files
from tasks.io.stage import StageError


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def fails(file):
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write(path, fails)
    assert files.read_json(path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_equal_arrays_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        files.write_arrays(tmp_path / name, x=np.arange(5), y=np.zeros(2))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_json_refuses_what_other_readers_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values"):
        files.write_json(tmp_path / "a.json", float("nan"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 28, 28)), r"expected uint8 \('any', 28, 28\); got float64 \(2, 28, 28\)"),
        (np.zeros((2, 8, 8), np.uint8), r"expected uint8 .*; got uint8 \(2, 8, 8\)"),
        (np.zeros(784, np.uint8), r"expected uint8 .*; got uint8 \(784,\)"),
    ],
)
def test_an_array_of_the_wrong_kind_is_refused_by_name(tmp_path, array, message):
    files.write_array(tmp_path / "images.npy", array)
    with pytest.raises(StageError, match=r"images\.npy: " + message):
        files.read_array(tmp_path / "images.npy", np.uint8, (None, 28, 28))


def test_a_truncated_array_is_refused_by_name(tmp_path):
    path = tmp_path / "images.npy"
    files.write_array(path, np.zeros((9, 28, 28), np.uint8))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StageError, match=r"images\.npy: expected an npy array; "):
        files.read_array(path, np.uint8, (None, 28, 28))


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.array([object()]), allow_pickle=True)
    with pytest.raises(StageError, match=r"images\.npy: expected an npy array; .*allow_pickle"):
        files.read_array(path, np.uint8, (None,))


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(StageError, match=r"a\.json is missing: an earlier stage writes it; run"):
        files.read_json(tmp_path / "a.json")
