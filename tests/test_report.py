"""Stage report: the verdict first, nothing unescaped, every link leads somewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import toy_cards
import toy_data

from tasks import report
from tasks.core import plots, report_evidently, report_pictures, report_tables, report_words
from tasks.core.classes import DIGITS
from tasks.core.report_images import png
from tasks.io import files, pages, predictions, results
from tasks.io.predictions import Predictions
from tasks.io.stage import StageError

HOSTILE = "<script>alert('x')</script>&\"$"
ROWS, TEST_ROWS = 200, 120
PARAMS = """
seed: 0
train: {architectures: [conv5], folds: [0, 1], seeds: [0]}
baseline: {algorithms: [svm, notebook]}
report:
  sample: 100
  drift: {numbers: wasserstein, classes: jensenshannon, threshold: 0.5, share: 0.5}
  samples_per_class: 3
  misclassified: 5
"""
HISTORY = "epoch,loss,accuracy,validation_loss,validation_accuracy\n1,0.9,0.8,0.7,0.85\n"
MODELS = {
    "ensemble": "ensemble",
    "conv5-0-0": "member",
    "conv5-1-0": "member",
    "svm": "baseline",
    "notebook": "baseline",
}


def decision(verdict: str, champion: dict[str, Any] | None = None) -> dict[str, Any]:
    rule = {"rule": "accuracy, at least", "value": 0.98, "threshold": 0.995, "passed": False}
    return {
        "decision": verdict,
        "reasons": [f"accuracy is 0.98 {HOSTILE}"],
        "rules": [rule],
        "champion": champion,
        "comparison": None,
        "challenger": {"reviews": reviewed(2)},
        "robustness": {"images": 50, "kinds": {"blur": corrupted(0.7), "noise": corrupted(0.6)}},
    }


def reviewed(correct: int) -> dict[str, Any]:
    return {"exclude": 1, "correct": correct, "beyond": 0, "sha256": str(correct)}


def corrupted(accuracy: float) -> dict[str, Any]:
    return {
        "severities": [0.8, 1.2, 2],
        "unit": "pixels",
        "accuracy": [0.9, 0.8, accuracy],
        "champion": [0.9, 0.85, 0.65],
    }


ABSTENTION = {
    "chosen": {"threshold": 0.85, "coverage": 0.97, "risk": 0.001},
    "test": {
        "coverage": 0.95,
        "risk": 0.02,
        "answered": 114,
        "errors": 2,
        "disputed_errors": 1,
    },
}


def registration(version: str = "v0.0.3") -> dict[str, Any]:
    return {
        "artifact": "digits",
        "version": version,
        "stage": None,
        "new": True,
        "time": "2026-11-24T03:04:05+00:00",
        "commit": "c0ffee",
        "model": {"path": "models/ensemble/model.onnx", "bytes": 1234, "md5": "0" * 32},
        "provenance": {"hardware": HOSTILE},
    }


def score(name: str) -> dict[str, Any]:
    row = {"test_accuracy": 0.9, "low": 0.85, "high": 0.95, "level": 0.95, "fit": "fits: well"}
    held_out = {"validation_accuracy": 0.91, "train_accuracy": 0.92}
    return {"model": name, "kind": MODELS[name], "winner": name == "ensemble", **row, **held_out}


def write_run(rng: np.random.Generator) -> None:
    """Leave, in the working folder, what the stages before the report leave."""
    Path("params.yaml").write_text(PARAMS)
    labels = np.arange(ROWS) % 10
    arrays = {
        "preprocess/train_images": rng.integers(0, 256, (ROWS, 28, 28)),
        "preprocess/train_labels": labels,
        "preprocess/folds": np.arange(ROWS) // 10 % 2,
        "preprocess/test_images": rng.integers(0, 256, (TEST_ROWS, 28, 28)),
        "ingest/test_labels": labels[:TEST_ROWS],
    }
    for name, array in arrays.items():
        files.write_array(Path(f"data/{name}.npy"), array.astype(np.uint8))
    toy_data.write(Path(), toy_data.told(ROWS, TEST_ROWS, is_mnist=True))
    rows = np.arange(ROWS)
    for folder, held_out in (
        ("ensemble", rows),
        ("train/conv5-0-0", rows[arrays["preprocess/folds"] == 0]),
    ):
        said = Predictions(
            rows,
            answers(labels, rng),
            held_out,
            answers(labels[held_out], rng),
            answers(labels[:TEST_ROWS], rng),
        )
        predictions.save(Path("models", folder), said)
    embeddings = {
        "validation": rng.normal(size=(len(held_out), 2)),
        "test": rng.normal(size=(TEST_ROWS, 2)),
    }
    files.write_arrays(
        Path("models/ensemble/embeddings.npz"), validation_rows=held_out, **embeddings
    )
    for name in ("train/conv5-0-0", "train/conv5-1-0", "baseline/notebook"):
        files.write_bytes(Path("models", name, "history.csv"), HISTORY.encode())
    write_results(labels[:TEST_ROWS])


def write_results(labels: np.ndarray) -> None:
    scores = {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.95, "errors": 12}
    scores |= {"log_loss": 0.3, "expected_calibration_error": 0.01, "brier": 0.2}
    scores |= {"macro_precision": 0.88, "macro_recall": 0.87, "macro_f1": 0.89}
    rates = {"precision": [0.91] * 10, "recall": [0.92] * 10, "f1": [0.93] * 10}
    scores["per_class"] = {**rates, "support": [12.0] * 10}
    failing = {"table": "train", "expectation": HOSTILE, "column": None, "observed": None}
    validation = {
        "rows": {"train": ROWS, "test": TEST_ROWS},
        "expectations": [{**failing, "success": False, "unexpected_count": 2}],
    }
    content = {
        "leaderboard": [score(name) for name in MODELS],
        "models": dict.fromkeys(MODELS, scores),
        "validation": validation,
        "labels": {
            "judged": ROWS,
            "likely_wrong": 3,
            "ambiguous": 2,
            "reviews": {"exclude": 4, "correct": 1},
        },
        "decision": decision("refuse"),
        "registration": registration(),
        "abstention": ABSTENTION,
    }
    for name, path in results.PATHS.items():
        files.write_json(path, content[name])
    pairs = "".join(f"{label},{label}\n" for label in labels)
    files.write_bytes(results.ANSWERS, f"actual,predicted\n{pairs}1,7\n".encode())
    files.write_bytes(
        results.RELIABILITY, b"confidence,accuracy,images\n0.8,0.75,60\n0.99,1.0,60\n"
    )
    for path in results.CURVES.values():
        files.write_bytes(path, b"coverage,risk,threshold\n0.95,0.02,0.6\n1.0,0.1,0.2\n")
    files.write_bytes(results.ALL_ANSWERS, b"id,row\n")
    files.write_json(Path("reports/timing/baseline/svm.json"), {"seconds": 83.2})


def answers(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return probabilities that favour the label, wrong for every tenth image."""
    said = np.where(np.arange(len(labels)) % 10 == 3, (labels + 1) % 10, labels)
    return 0.8 * np.eye(10)[said] + 0.2 * rng.dirichlet(np.ones(10), len(labels))


class Page(HTMLParser):
    """Collects every start tag of a page with its attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str]:
        return [value for _, given in self.tags if (value := given.get(attribute)) is not None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the stage once, Evidently included, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_run(np.random.default_rng(0))
        toy_cards.build(folder)
        for version in ("v0.0.2", "v0.0.3"):
            toy_cards.release(folder, version, {})
        report.main()
        Path("reports/label_audit.html").write_text('<p id="suspects">by another stage</p>')
    return folder / "reports"


@pytest.fixture
def index(site: Path) -> str:
    return (site / "index.html").read_text()


CARDS = ("cards/index.html", "cards/v0.0.3.html")
OURS = ("index.html", "figures.html")
ALL = (*OURS, *CARDS, "performance.html", "drift.html")

# Evidently brings litestar and old pickles: each has deprecated calls of its own at import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_verdict_comes_before_everything_else_that_the_page_says(index: str) -> None:
    main = index.partition("<main>")[2]
    text = " ".join(re.sub("<[^>]*>", " ", main).split())
    assert text.startswith("✗ Refused There is no champion; the new model is kept as v0.0.3.")


def test_what_came_from_data_is_escaped(site: Path) -> None:
    for name in OURS:
        tags = [tag for tag, _ in Page(site / name).tags]
        assert "script" not in tags, name
    assert "&lt;script&gt;alert(&#39;x&#39;)" in (site / "index.html").read_text()


def test_the_index_tells_the_accuracy_on_corrupted_images_the_hardest_kind_first(index):
    table = index.partition('id="robustness"')[2].partition("</table>")[0]
    assert table.index("noise") < table.index("blur")
    assert "60.00\u202f% (65.00\u202f%)" in table


@pytest.mark.parametrize(
    ("correct", "words"),
    [
        (2, "The champion v0.0.2 was trained with the same reviews."),
        (
            0,
            "The champion v0.0.2 was trained with 1 images excluded and 0 labels corrected. "
            "Against it: +0.05 points (\N{MINUS SIGN}0.02 to +0.12) on the test images, by all "
            "that differs between the two.",
        ),
    ],
)
def test_the_effect_of_reviews_is_told_against_a_champion_that_had_others(correct, words):
    champion = {"version": "v0.0.2", "reviews": reviewed(correct)}
    said = decision("promote", champion)
    said["comparison"] = {"difference": 0.0005, "low": -0.0002, "high": 0.0012}
    assert report_words.effect_of_reviews(said) == words


def test_the_index_tells_how_many_images_get_an_answer_and_how_many_of_those_are_wrong(index):
    text = " ".join(re.sub("<[^>]*>", " ", index).split())
    assert (
        "95.00 % of the test images; 2 of those answers are wrong, 1 on labels that people dispute"
    ) in text


def test_a_wrong_answer_that_goes_to_a_person_says_so(site):
    figures = (site / "figures.html").read_text()
    assert 0 < figures.count("<br>to a person") <= figures.count("no. ")


@pytest.mark.parametrize("name", [*OURS, *CARDS])
def test_every_link_and_picture_of_a_page_is_there(site: Path, name: str) -> None:
    page = Page(site / name)
    links = [link for link in page.values("href") + page.values("src") if ":" not in link]
    assert len(links) > 5
    for link in links:
        path, _, anchor = unquote(link).partition("#")
        target = (site / name).parent / path
        assert target.is_file(), link
        assert not anchor or anchor in Page(target).values("id"), link


def test_the_index_leads_to_the_card_of_its_version_and_to_all(site: Path) -> None:
    links = Page(site / "index.html").values("href")
    assert {"cards/v0.0.3.html", "cards/index.html"} <= set(links)


def test_a_version_whose_tag_was_deleted_has_no_dead_link(site: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(site.parent)
    drift = report_evidently.Drift(page="", distances={}, drifted=[], detected=False)
    said = report.summary(results.read(), [], drift, carded={"v0.0.2"})
    page = pages.render("index.html", **said)
    assert "cards/v0.0.3" not in page
    assert "cards/index.html" in page


@pytest.mark.parametrize("name", ALL)
def test_no_page_can_load_anything_from_a_network(site: Path, name: str) -> None:
    page = Page(site / name)
    policies = [
        given["content"] for tag, given in page.tags if tag == "meta" and "http-equiv" in given
    ]
    assert [(policy or "").partition(";")[0] for policy in policies] == ["default-src 'none'"]
    assert not re.search("https?:|//", " ".join(policies[0] or ""))
    loaded = page.values("src") + [g["href"] or "" for tag, g in page.tags if tag == "link"]
    assert not [address for address in loaded if address.startswith(("http", "//"))]


def test_no_figure_names_an_address_to_load(site: Path) -> None:
    for path in (site / "plots").iterdir():
        assert not re.search(r"(href|src)=.https?:|url\(http|<!DOCTYPE", path.read_text()), path


@pytest.mark.parametrize("name", OURS)
def test_every_picture_is_told_in_words(site: Path, name: str) -> None:
    pictures = [given for tag, given in Page(site / name).tags if tag == "img"]
    assert pictures
    assert all(len(given.get("alt") or "") > 20 for given in pictures)


def test_the_index_is_small(site: Path) -> None:
    assert (site / "index.html").stat().st_size < 300_000


def test_every_model_stands_in_the_leaderboard_with_its_time(index: str) -> None:
    assert all(f'<th scope="row">{name}' in index for name in MODELS)
    assert "1 min 23 s" in index


def test_a_failing_expectation_is_told(index: str) -> None:
    assert "0 of 1 expectations hold" in index
    assert "2 unexpected" in index


def test_the_index_tells_the_label_audit(index: str) -> None:
    assert "3 of 200 training labels are likely wrong, 2 ambiguous; 4 images are excluded" in index


def test_mistakes_are_shown_up_to_the_limit_and_counted(site: Path) -> None:
    page = Page(site / "figures.html")
    shown = [given for tag, given in page.tags if tag == "img" and given.get("class") == "digit"]
    assert len(shown) == 5
    assert "wrong on 12 of 120 test images" in (site / "figures.html").read_text()


def test_evidently_pages_lead_back_to_the_index(site: Path) -> None:
    for name in ("performance.html", "drift.html"):
        assert "index.html" in Page(site / name).values("href")


@pytest.mark.parametrize("path", [*results.PATHS.values(), results.ANSWERS])
def test_a_missing_result_is_named(tmp_path: Path, monkeypatch: Any, path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(np.random.default_rng(0))
    path.unlink()
    with pytest.raises(StageError, match=re.escape(f"{path} is missing")):
        report.main()


def test_a_table_that_holds_words_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(np.random.default_rng(0))
    results.RELIABILITY.write_text("confidence,accuracy,images\nlow,high,many\n")
    with pytest.raises(StageError, match=r"ensemble\.csv: expected columns of numbers; .*low"):
        results.read()


@pytest.mark.parametrize("stage", ["champion", "trial"])
def test_a_promotion_is_worded_as_one(stage: str) -> None:
    said = report_words.verdict(decision("promote"), {**registration(), "stage": stage})
    assert (said.promoted, said.word) == (True, "Promoted")
    assert said.sentence == f"v0.0.3 is the {stage}."


def test_a_version_that_was_rolled_back_is_not_worded_as_promoted() -> None:
    withheld = {**registration(), "withheld": "v0.0.3 was rolled back"}
    said = report_words.verdict(decision("promote"), withheld)
    assert (said.promoted, said.word) == (False, "Withheld")
    assert said.sentence == "v0.0.3 passes, but v0.0.3 was rolled back."


def test_a_refusal_names_the_champion_that_stays() -> None:
    said = report_words.verdict(decision("refuse", {"version": "v0.0.2"}), registration())
    assert (said.promoted, said.word) == (False, "Refused")
    assert said.sentence == "v0.0.2 stays the champion; the new model is kept as v0.0.3."


def test_a_refusal_of_the_champions_own_model_says_so() -> None:
    said = report_words.verdict(decision("refuse", {"version": "v0.0.2"}), registration("v0.0.2"))
    assert said.sentence == "v0.0.2 stays the champion: this is the very same model."


def test_a_rule_is_split_into_name_and_threshold() -> None:
    (check,) = report_words.checks(decision("refuse")["rules"])
    assert check == ("Accuracy", "0.9800", "at least 0.995", False)


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (None, ""),
        ({"version": "v0.0.2", "accuracy": None}, ""),
        ({"version": "v0.0.2", "accuracy": 0.991}, "+0.10 points against champion v0.0.2"),
        (
            {"version": "v0.0.2", "accuracy": 0.993},
            "\N{MINUS SIGN}0.10 points against champion v0.0.2",
        ),
    ],
)
def test_the_change_is_told_in_points(champion: dict[str, Any] | None, words: str) -> None:
    assert report_words.change(0.992, champion) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "\N{EN DASH}"), (59.4, "59 s"), (61, "1 min 01 s")]
)
def test_a_duration_is_rounded(seconds: float | None, words: str) -> None:
    assert report_words.duration(seconds) == words


def test_a_small_picture_can_be_read_back() -> None:
    import io

    from matplotlib.image import imread

    image = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50
    assert np.rint(imread(io.BytesIO(png(image))) * 255).tolist() == image.tolist()


def test_a_montage_fills_what_is_short_with_background() -> None:
    ones = np.ones((1, 2, 2), np.uint8)
    sheet = plots.montage([np.repeat(ones, 2, axis=0), ones], 2)
    assert sheet.tolist() == [[1, 1, 1, 1]] * 2 + [[1, 1, 0, 0]] * 2


def test_equal_data_give_equal_figures_without_a_time() -> None:
    history = plots.History(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([3.0, 1.0]))
    first, second = (plots.curves({HOSTILE: history}, "loss (nats)") for _ in range(2))
    assert first == second
    assert "loss (nats)" in first
    assert "prefers-color-scheme:dark" in first


def test_a_hostile_name_is_text_in_a_figure() -> None:
    estimate = plots.Estimate(HOSTILE, 0.01, 0.005, 0.02, strong=True)
    drawing = plots.errors([estimate])
    assert "<script" not in drawing
    assert "&lt;script&gt;" in drawing


def test_a_perfect_model_can_be_drawn() -> None:
    labels = np.arange(10)
    drawn = report_pictures.confusion({"actual": labels, "predicted": labels}, DIGITS)
    assert drawn.text == "10 of 10 test images are right."
    board = [{**score("svm"), "test_accuracy": 1.0, "low": 0.9, "high": 1.0}]
    assert "0.00" in report_pictures.errors(board).text


def test_the_most_frequent_confusion_is_told() -> None:
    table = {"actual": np.array([4, 4, 1]), "predicted": np.array([9, 9, 1])}
    text = report_pictures.confusion(table, DIGITS).text
    assert text == "1 of 3 test images are right. The most frequent error: 4 taken for 9, 2 times."


def test_classes_are_told_and_drawn_by_name() -> None:
    table = {"actual": np.array([0, 0, 1]), "predicted": np.array([1, 1, 1])}
    drawn = report_pictures.confusion(table, (HOSTILE, "Ankle boot"))
    assert drawn.text.endswith(f"The most frequent error: {HOSTILE} taken for Ankle boot, 2 times.")
    assert "true class" in drawn.drawing
    assert "Ankle boot" in drawn.drawing
    assert "<script" not in drawn.drawing
    digits = report_pictures.confusion(table, ("3", "8")).drawing
    assert "true digit" in digits


def test_a_class_may_have_the_name_of_a_column_of_evidentlys_page() -> None:
    said = report_evidently.Answers(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    table = report_evidently.answer_table(said, ("label", "x"))
    assert table["label"].tolist() == [0.9, 0.8]
    assert table["label (role)"].tolist() == ["label", "x"]
    assert table["prediction (role)"].tolist() == ["label", "label"]


@pytest.mark.parametrize("classes", [("label", HOSTILE), ("a", HOSTILE, "c")])
def test_evidently_shows_two_classes_or_more_and_no_name_ends_its_script(
    classes: tuple[str, ...],
) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % len(classes)
    probabilities = 0.6 * np.eye(len(classes))[labels] + 0.4 / len(classes)
    probabilities[:6] = rng.dirichlet(np.ones(len(classes)), 6)
    said = report_evidently.Answers(labels, probabilities)
    page = report_evidently.performance(said, said, classes)
    assert "<script>alert" not in page
    assert "alert('x')" in page


def test_names_of_classes_are_read_as_their_places_and_others_are_refused() -> None:
    found = report_tables.places('actual,predicted\nb,"a,c"\n', ("a,c", "b"))
    assert {name: values.tolist() for name, values in found.items()} == {
        "actual": [1],
        "predicted": [0],
    }
    with pytest.raises(ValueError, match=r"^'x' is none of a, b$"):
        report_tables.places("actual,predicted\na,x\n", ("a", "b"))


def test_columns_are_numbers_by_name() -> None:
    table = report_tables.numbers("a,b\n1,2\n3,4.5\n")
    assert {name: values.tolist() for name, values in table.items()} == {"a": [1, 3], "b": [2, 4.5]}


def test_a_changed_layout_of_evidently_is_noticed() -> None:
    with pytest.raises(ValueError, match="expected <body>"):
        report_evidently.framed("<head></head>", "title", "banner")


def test_a_forgotten_value_is_no_silent_gap() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="pictures"):
        pages.render("figures.html", mistakes=[], wrong=0, images=0)


def test_the_raw_files_are_what_the_stages_wrote(site: Path) -> None:
    assert json.loads((site / "evaluate/models.json").read_text())["ensemble"]["errors"] == 12
