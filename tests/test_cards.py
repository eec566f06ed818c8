"""Model cards: what a version's commit and tag hold is told, what they lack is named."""

import json
import re
import shlex
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import toy_cards as toy
import toy_registry

from tasks.core import card, card_data, card_results, markdown
from tasks.core.card_blocks import Code, Facts, Paragraph, told
from tasks.core.card_data import REVIEWS
from tasks.core.card_origin import KNOWN
from tasks.io import cards, pages

HOSTILE = "<script>alert('x')</script> | a *b* [c](d)\n# `e` \\"
WHEN = datetime(2026, 11, 24, 2, 20, tzinfo=UTC)


def facts(lacking: tuple[str, ...] = (), **changed: Any) -> Facts:
    content = {
        **toy.FILES,
        "params.yaml": {
            "data": {"train_rows": 200},
            "preprocess": {"folds": 2},
            "evaluate": {"level": 0.95, "bins": 15},
        },
    }
    files = {path: said for path, said in content.items() if path not in lacking}
    whole = Facts("digits", "v0.0.2", "c0ffee", WHEN, "Ann <ann@x>", toy.RECORD, files)
    return whole._replace(**changed)


def as_markdown(found: Facts) -> str:
    return pages.render("card.md", card=card.card(found), version=found.version)


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def with_file(path: str, **changed: Any) -> Facts:
    found = facts()
    return found._replace(files={**found.files, path: {**found.files[path], **changed}})


def test_a_card_has_the_sections_that_a_reader_of_model_cards_expects():
    titles = [found.title for found in card.card(facts()).sections]
    assert titles == [
        "Model details",
        "Intended use",
        "Factors",
        "Data",
        "Metrics",
        "Results by digit",
        "Results on corrupted images",
        "Calibration",
        "Abstention",
        "The gate's decision",
        "Ethical considerations",
        "Limits",
        "Provenance",
        "How to get and verify it",
    ]


def test_of_a_version_that_records_everything_nothing_is_missing():
    text = as_markdown(facts())
    assert "ot recorded" not in text
    assert "does not read" not in text


def test_the_summary_says_when_how_good_and_what_was_decided():
    assert card.card(facts()).summary == (
        "Reads handwritten digits; registered on 2026-11-24, 90.00\u202f% of the test images "
        "read right, refused by the gate."
    )


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("Model details", "- **Size**: 1\u202f234\u202f567 bytes"),
        ("Model details", "- **Speed**: 1.2 ms an image on one core (median; 2 cores)"),
        ("Model details", "- **Members**: 1: conv5-0-0"),
        ("Metrics", "| Accuracy | 90.00\u202f% | 85.00\u202f% \N{EN DASH} 95.00\u202f% |"),
        ("Metrics", "| Log loss (nats) | 0.3000 | \N{EN DASH} |"),
        # Wilson's interval of 9 of 12
        (
            "Results by digit",
            "| 9 | 12 | 75.00\u202f% | 46.77\u202f% \N{EN DASH} 91.11\u202f% | "
            "85.00\u202f% | 93.00\u202f% |",
        ),
        # … and of 10 of 50
        (
            "Results on corrupted images",
            "| noise | 90.00\u202f% (95.00\u202f%) | "
            "50.00\u202f% (90.00\u202f%) | 20.00\u202f% (55.00\u202f%) | "
            "11.24\u202f% \N{EN DASH} 33.04\u202f% | 30, 60, 90 grey levels |",
        ),
        ("Calibration", "| conv5-0-0 | 0.5400 | 0.5000 | 0.4000 |"),
        (
            "Abstention",
            "| Test images | 120 | 114 | 95.00\u202f% | 2 | 1.750\u202f% |",
        ),
        ("The gate's decision", "- Accuracy is 0.9000, must be at least 0.99"),
        ("The gate's decision", "| Accuracy | failed | 0.9000 | at least 0.99 |"),
        ("The gate's decision", "- **Outcome**: worse"),
        (
            "The gate's decision",
            "- **Difference in accuracy**: \N{MINUS SIGN}5.00 points, 95\u202f% interval "
            "\N{MINUS SIGN}9.00 to \N{MINUS SIGN}1.00",
        ),
        ("Provenance", f"- **tasks/, git's tree**: `{'5' * 40}`"),
        ("Provenance", "- **Tag**: `digits@v0.0.2`"),
        (
            "How to get and verify it",
            "    dvc artifacts get . digits --rev v0.0.2 --out digits-v0.0.2.onnx",
        ),
    ],
)
def test_a_fact_stands_in_its_section(title, line):
    assert line in section(as_markdown(facts()), title).splitlines()


def test_corruptions_stand_the_hardest_first():
    table = section(as_markdown(facts()), "Results on corrupted images")
    places = [table.index(f"\n| {kind}") for kind in ("noise", "blur", "fading", "shift")]
    assert places == sorted(places)


def test_the_limits_name_the_weakest_kinds_of_damage_and_the_weakest_digit_of_this_version():
    limits = section(as_markdown(facts()), "Limits")
    assert (
        "weakest at noise (20.00\u202f% at 90 grey levels), fading (50.00\u202f% at 0.2 of the "
        "ink) and blur (60.00\u202f% at 2 pixels)."
    ) in limits
    assert "The digit that it misses most often is 9: recall 75.00\u202f%." in limits
    assert "15 of the test labels are disputed" in limits


FASHION = {
    "name": "Fashion-MNIST", "source": "/x", "is_mnist": False,
    "classes": [*"abcdefghi", "a | <j>"],
    "rows": {"train": 150, "test": 120, "feedback": 12}, "class_counts": [20] * 10, "sha256": {},
}  # fmt: skip


def of_data(**changed: Any) -> Facts:
    """Return the facts of a version that was made with another data set."""
    found = facts()
    models = found.files[card_results.MODELS]
    named = {"ensemble": {**models["ensemble"], "classes": FASHION["classes"]}}
    own = {card_data.DATASET: {**FASHION, **changed}, card_results.MODELS: named}
    return found._replace(files={**found.files, **own})


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Model details", "- **Licence**: MIT, for the code; what holds for the images is for"),
        ("Model details", "float32 (n, 10): of a, b, c, d, e, f, g, h, i, a | "),
        ("Intended use", "To tell these classes apart: a, b, c, d, e, f, g, h, i, a | "),
        ("Factors", "of that nothing is recorded for Fashion-MNIST"),
        (
            "Data",
            "Training: the first 150 images of Fashion-MNIST's training set and 12 whose labels "
            "people gave in use, dealt into 2 folds with the same share of each class. It has 200",
        ),
        ("Data", "the 120 images of Fashion-MNIST's test set. Their labels"),
        ("Results by class", "| a | 12 | 92.00\u202f% |"),
        ("Limits", "The class that it misses most often is a | "),
        ("Limits", "Test labels are taken as they came"),
    ],
)
def test_a_card_speaks_of_the_data_that_its_version_was_made_with(title, words):
    text = section(as_markdown(of_data()), title)
    assert words in text.replace("\\", "")
    assert "handwrit" not in text


def test_classes_that_are_some_digits_are_called_so():
    summed = card.card(of_data(classes=["3", "5", "8"], name="mine")).summary
    assert summed.startswith("Reads the handwritten digits 3, 5 and 8; registered on")


@pytest.mark.parametrize("strange", [[], {"classes": 3}, "text", {"name": "x"}])
def test_a_data_set_that_is_recorded_in_another_form_leaves_the_rest_of_the_card(strange):
    found = facts()
    text = as_markdown(found._replace(files={**found.files, card_data.DATASET: strange}))
    assert "MNIST's training set" not in text
    assert "| Accuracy | 90.00\u202f% |" in text


def test_label_reviews_are_counted_by_what_they_did():
    data = section(as_markdown(facts()), "Data")
    assert "1 training images are excluded and 2 labels corrected: the version's" in data


def test_reviews_that_change_nothing_leave_the_labels_as_published():
    data = section(as_markdown(with_file(REVIEWS, exclude=0, correct=0)), "Data")
    assert "no review changes any" in data


def test_the_comparison_tells_if_the_champion_was_trained_with_other_reviews():
    decided = section(as_markdown(facts()), "The gate's decision")
    assert "The champion v0.0.1 was trained with 1 images excluded and 2 labels" in decided


def test_a_version_without_label_reviews_was_trained_on_published_labels():
    data = section(as_markdown(facts(lacking=(REVIEWS,))), "Data")
    assert "no reviews of labels are recorded" in data


def test_the_first_version_had_no_champion_to_stand_beside():
    found = with_file("models/decision.json", champion=None, comparison=None)
    assert "There was no champion to stand beside." in as_markdown(found)


def test_a_champion_that_could_not_be_scored_is_told_with_its_fault():
    champion = {"version": "v0.0.1", "fault": "cache: does not have it"}
    found = with_file("models/decision.json", champion=champion, comparison=None)
    assert "Champion v0.0.1 could not be scored: cache: does not have it." in as_markdown(found)


def test_a_model_that_never_answers_by_itself_is_told_to():
    chosen = {**toy.ABSTENTION["chosen"], "threshold": 2.0}
    text = as_markdown(with_file("reports/evaluate/abstention.json", chosen=chosen))
    assert "the model leaves every image to a person" in text
    assert "bool (n,): never;" in text


def test_without_a_threshold_the_artifact_has_no_second_output():
    found = facts(lacking=("reports/evaluate/abstention.json",))
    assert "Output answered" not in as_markdown(found)


@pytest.mark.parametrize("path", toy.FILES)
def test_a_card_without_one_of_the_files_tells_the_rest(path):
    text = as_markdown(facts(lacking=(path,)))
    assert "- **Tag**: `digits@v0.0.2`" in text
    assert "does not read" not in text
    if path not in (REVIEWS, KNOWN):
        assert re.search(f"[Nn]ot recorded.*{re.escape(markdown.text(path))}|not recorded$", text)


def test_a_tag_that_was_made_by_hand_gives_a_card_that_says_what_is_not_recorded():
    text = as_markdown(facts(record={}, files={}))
    assert section(text, "Provenance").split("\n\n")[0].strip() == (
        "Not recorded in this version's tag and commit: provenance."
    )
    assert "- **Size**: not recorded" in text


@pytest.mark.parametrize("content", [[], 3, "words", {"robustness": {"kinds": 3, "images": "x"}}])
def test_a_file_of_another_form_does_not_keep_the_card_from_telling_the_rest(content):
    found = facts()
    files = {**found.files, "models/decision.json": content}
    text = as_markdown(found._replace(files=files))
    assert "| Accuracy | 90.00\u202f%" in text
    assert "does not read" in text


def test_a_part_names_what_is_not_recorded():
    def part(found: Facts) -> list[Paragraph]:
        raise KeyError("reports/evaluate/models.json")

    assert told(part, facts()) == [
        Paragraph("Not recorded in this version's tag and commit: reports/evaluate/models.json.")
    ]


def test_the_interval_of_macro_f1_lies_around_it_and_narrows_with_more_images():
    rng = np.random.default_rng(0)
    confusion = np.eye(10, dtype=int) * 90 + np.ones((10, 10), int)
    exact = 91 / 100  # every class alike: recall and precision are the same
    low, high = card_results.f1_interval(confusion, 0.95, rng)
    closer = card_results.f1_interval(100 * confusion, 0.95, rng)
    assert low < closer[0] < exact < closer[1] < high
    assert closer[1] - closer[0] == pytest.approx((high - low) / 10, rel=0.15)


def test_of_a_perfect_model_the_interval_of_macro_f1_is_one_point():
    found = card_results.f1_interval(np.eye(10, dtype=int) * 5, 0.95, np.random.default_rng(0))
    assert found == (1.0, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a | b", r"a \| b"),
        ("*a* _b_ `c`", r"\*a\* \_b\_ \`c\`"),
        ("[a](b)", r"\[a\](b)"),
        ("<script>&amp;", r"\<script\>\&amp;"),
        ("# no heading\n- no item", r"\# no heading - no item"),
        ("- no item", r"\- no item"),
        ("1. no item", r"1\. no item"),
        ("99.68\u202f%", "99.68\u202f%"),
        ("-0.02 points", "-0.02 points"),
        ("---", r"\---"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_text_stays_text_in_markdown(value, text):
    assert markdown.text(value) == text


@pytest.mark.parametrize(
    ("value", "code"),
    [("c0ffee", "`c0ffee`"), ("a`b", "`` a`b ``"), ("a|b", r"`a\|b`"), ("a\nb", "`a b`")],
)
def test_code_stays_code_in_markdown(value, code):
    assert markdown.code(value) == code


def hostile() -> Facts:
    decision = {**toy.DECISION, "reasons": [HOSTILE]}
    rule = {"rule": f"{HOSTILE}, at least", "value": 0.5, "threshold": 1, "passed": False}
    decision["rules"] = [rule]
    record = {**toy.RECORD, "provenance": {HOSTILE: HOSTILE}}
    files = {**facts().files, "models/decision.json": decision}
    return facts(by=HOSTILE, record=record, files=files)


def test_no_text_of_a_version_becomes_markup_in_markdown():
    text = as_markdown(hostile())
    assert not re.search(r"(?<!\\)<script", text)
    assert not re.search(r"(?<!\\)\[c\]", text)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == 15


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_header():
    tables = re.findall(r"(?:^\|.*\n)+", as_markdown(hostile()), re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        bars = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(bars) == 1, table


def test_no_text_of_a_version_becomes_markup_in_html():
    page = pages.render("card.html", card=card.card(hostile()), version="v0.0.2")
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)" in page


def test_code_is_told_from_text_on_the_page():
    page = pages.render("card.html", card=card.card(facts()), version="v0.0.2")
    assert "<dd><code>c0ffee</code></dd>" in page
    assert Code("c0ffee") in [value for _, value in _pairs(card.card(facts()), "Provenance")]


def _pairs(found: card.Card, title: str) -> list[tuple[str, Any]]:
    blocks = next(part.blocks for part in found.sections if part.title == title)
    return [pair for block in blocks if block.kind == "pairs" for pair in block.pairs]


class Links(HTMLParser):
    """Collects the addresses of a page's links."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the cards of a registry with a whole version, an old one, one made by hand."""
    repo = tmp_path_factory.mktemp("registry")
    toy.build(repo)
    toy.release(repo, "v0.0.2", {"params.yaml": toy.PARAMS, "models/decision.json": "no JSON {"})
    toy.release(repo, "v0.0.9", {}, message="by hand\n")
    toy.release(repo, "v0.0.10")
    toy_registry.run(repo, "git", "tag", "digits@v9.9.9")  # not annotated: no version of GTO's
    written = cards.write(repo, "digits", repo / "reports/cards")
    assert written == {"v0.0.2", "v0.0.9", "v0.0.10"}
    return repo / "reports/cards"


def test_every_version_has_a_card_as_page_and_as_text_and_all_are_listed(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "index.html",
        *(f"v0.0.{n}.{kind}" for n in (2, 9, 10) for kind in ("html", "md")),
    }
    assert names - {"index.html"} <= set(Links(folder / "index.html").found)


def test_the_list_has_the_newest_version_first(folder):
    text = (folder / "index.html").read_text()
    places = [text.index(f'"v0.0.{n}.html"') for n in (10, 9, 2)]
    assert places == sorted(places)


def test_a_card_from_a_commit_is_that_of_its_facts(folder):
    text = (folder / "v0.0.10.md").read_text()
    assert "ot recorded" not in text
    assert "| Accuracy | 90.00\u202f% | 85.00\u202f% \N{EN DASH} 95.00\u202f% |" in text
    assert r"**By, and whom to ask**: Ann \| \*Author\* \<ann@example.org\>" in text


def test_the_version_of_a_day_before_a_file_was_recorded_has_a_card_all_the_same(folder):
    text = (folder / "v0.0.2.md").read_text()
    assert "Training: the first 200 images" in text
    assert "Not recorded in this version's tag and commit: models/decision.json." in text


@pytest.mark.parametrize("name", ["index.html", "v0.0.10.html", "v0.0.9.html"])
def test_links_between_cards_lead_somewhere(folder, name):
    own = [link for link in Links(folder / name).found if not link.startswith("../")]
    assert own
    assert all((folder / unquote(link)).is_file() for link in own)


def test_the_same_registry_gives_the_same_cards_in_a_clone(folder, tmp_path):
    clone = tmp_path / "clone"
    toy_registry.run(tmp_path, "git", "clone", "-q", str(folder.parent.parent), str(clone))
    cards.write(clone, "digits", tmp_path / "cards")
    for path in folder.iterdir():
        assert (tmp_path / "cards" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_commands_of_a_card_get_the_artifact_and_verify_it(tmp_path):
    repo = tmp_path / "repo"
    toy_registry.build(repo)
    toy_registry.enrol(repo, toy_registry.model())
    cards.write(repo, "digits", tmp_path / "cards")
    text = (tmp_path / "cards/v0.0.1.md").read_text()
    get, check, show, trace = re.findall("^    (.*)$", text, re.MULTILINE)
    toy_registry.run(repo, *shlex.split(get))
    assert (repo / "digits-v0.0.1.onnx").read_bytes() == toy_registry.model()
    assert toy_registry.run(repo, "sh", "-c", check) == "digits-v0.0.1.onnx: OK"
    assert '"decision": "promote"' in toy_registry.run(repo, *shlex.split(show))
    assert trace == "python -m flows trace v0.0.1"


def test_a_registry_without_a_version_has_an_empty_list(tmp_path):
    toy.build(tmp_path / "repo")
    assert cards.write(tmp_path / "repo", "digits", tmp_path / "cards") == set()
    assert "No version is registered yet." in (tmp_path / "cards/index.html").read_text()


def test_the_record_is_the_json_at_the_end_of_the_tags_message(tmp_path):
    toy.build(tmp_path / "repo")
    message = f"title\n\nwhy {{not this}}\n\n{json.dumps({'decision': 'promote'})}\n"
    toy.release(tmp_path / "repo", "v0.0.1", message=message)
    (found,) = cards.read(tmp_path / "repo", "digits")
    assert found.record == {"decision": "promote"}
