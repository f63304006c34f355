import dataclasses
import json
from html.parser import HTMLParser

import pytest

from groot.errors import DataError
from groot.evaluation.measure import measure
from groot.evaluation.records import read_records, write_records
from groot.report import write_report
from groot.types import Candidate, Example, Span

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would act on: tags, attributes, ids and the visible text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.hidden = 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.hidden += tag == "style"

    def handle_endtag(self, tag):
        self.hidden -= tag == "style"

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def page_of(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def one_stage(folder, examples, candidates, *, k=2, **results):
    """The smallest run folder that has predictions."""
    folder.mkdir(exist_ok=True)
    numbers = measure(examples, candidates, k=k).summary(n_resamples=20)
    write_records(folder / "evaluation" / "fit.jsonl", examples, candidates)
    (folder / "results.json").write_text(json.dumps({"fit": numbers, "k": k, **results}))
    return folder


@pytest.fixture(scope="module")
def full(run_folder):
    return page_of(run_folder)


def test_it_is_one_file_that_loads_nothing(full, run_folder):
    assert "script" not in full.tags
    assert not {"iframe", "object", "embed", "link", "img", "base", "form"} & set(full.tags)
    names = {name for name, _ in full.attributes}
    assert not any(name.startswith("on") for name in names)
    assert not {"src", "srcset", "action", "xlink:href"} & names
    links = [value for name, value in full.attributes if name == "href"]
    assert links
    assert all(value.startswith("#") for value in links)
    html = (run_folder / "report.html").read_text()
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "default-src 'none'" in dict(full.attributes)["content"] + str(full.attributes)


def test_ids_are_unique_and_every_link_has_its_place(full):
    ids = [value for name, value in full.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for name, value in full.attributes if name == "href"}
    assert links <= set(ids)
    assert {value for name, value in full.attributes if name == "aria-labelledby"} <= set(ids)


def test_the_numbers_of_results_json_are_printed(full, run_folder):
    results = json.loads((run_folder / "results.json").read_text())
    for stage in ("fit", "fit_mbr", "optimised", "optimised_mbr"):
        for name in ("f1", "metric", "precision", "recall", "exact"):
            assert f"{results[stage][name]:.3f}" in full.words
    low, high = results["optimised"]["intervals"]["f1"]
    assert f"{low:.3f} to {high:.3f}" in full.words
    for result in (*results["paired"].values(), *results["paired_mbr"].values()):
        assert f"+{result['difference']:.3f}" in full.words
    assert "Micro F0.5 rose from" in full.words
    assert "IOB2" in full.words
    assert "start, end and label equal" in full.words


def test_every_part_is_there(full):
    assert full.tags.count("svg") == 12  # 2 by rank, 2 reliability, 2 confusion, 6 learning
    for words in ("wrong boundary", "Helped most", "Hurt most", "mend 3:5 cuisine", "malformed"):
        assert words in full.words


def test_the_same_run_gives_the_same_bytes(run_folder):
    first = write_report(run_folder).read_bytes()
    assert write_report(run_folder).read_bytes() == first
    assert not list(run_folder.glob(".report*"))


def test_hostile_texts_and_labels_are_only_text(tmp_path):
    text = f"{HOSTILE} & \x1b[31m $x$ --> \u2028 \x00 nina"
    label = f'"><img src=x onerror=alert(1)>{HOSTILE} $y$ -->\n'
    spans = (Span(0, len(HOSTILE), label, HOSTILE),)
    examples = [Example(text, spans=spans, id=f"{HOSTILE}{i}") for i in range(3)]
    candidates = [
        [
            Candidate("", spans, log_p=-0.1, reward=1.0),
            Candidate(HOSTILE, None, log_p=-3.0, reward=0.0),
        ]
    ] * 3
    folder = one_stage(tmp_path / "run", examples, candidates, reward=HOSTILE, scheme=HOSTILE)
    results = json.loads((folder / "results.json").read_text())
    worse = [[Candidate(HOSTILE, None, log_p=-1.0, reward=0.0)]] * 3
    results["optimised"] = measure(examples, worse, k=2).summary(n_resamples=0)
    write_records(folder / "evaluation" / "optimised.jsonl", examples, worse)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "log.jsonl").write_text(
        "".join(
            json.dumps({"step": i, "stage": "fit", "loss": 1.0, f"eval_{HOSTILE}": 0.5}) + "\n"
            for i in (1, 2)
        )
    )
    page = page_of(folder)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert HOSTILE in page.words
    html = (folder / "report.html").read_text()
    assert "\x1b" not in html
    assert "\x00" not in html


def test_only_fitted(make_run, tmp_path):
    page = page_of(make_run(tmp_path / "fitted", n=30, stages=("fit",)))
    assert "has not been optimised yet" in page.words
    assert "needs an optimised stage" in page.words
    assert "made when a run is optimised" in page.words


def test_numbers_of_a_set_that_chose_the_weights_are_not_tested(make_run, tmp_path):
    """Runs of old that stored p-values of dev are shown without them, too."""
    folder = make_run(tmp_path / "dev", n=30)
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps({**results, "split": "dev"}))
    words = page_of(folder).words
    assert "of dev, which chose the weights: expect somewhat less on fresh text" in words
    assert "not tested" in words
    assert "Give a test set" in words
    above = words[: words.index("Before and after")]
    for word in ("p = 0", "p < 0", "permutation test", "rose", "fell"):
        assert word not in above


def test_duplicates_of_training_texts_are_said_beside_the_numbers(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=30, stages=("fit",))
    path = folder / "results.json"
    results = json.loads(path.read_text())
    assert "stand in the training set too" not in page_of(folder).words
    without = {"n_examples": 26, "f1": 0.123, "reward_rank_1": 0.456}
    results["fit"]["duplicates"] = {"texts": 4, "without": without}
    path.write_text(json.dumps(results))
    told = "4 of these texts stand in the training set too; without them F1 is 0.123 and the reward"
    assert f"{told} at rank 1 0.456" in page_of(folder).words


def test_the_contract_alone_is_enough(tmp_path):
    # results.json without anything beyond the documented shape, and no other file
    numbers = {
        "precision": 0.5,
        "recall": None,
        "f1": 0.25,
        "exact": 0.1,
        "malformed": 3,
        "reward": {"by_rank": [0.5, 0.25], "mean_top_k": 0.375, "oracle": 0.75},
        "calibration_error": None,
    }
    tested = {"difference": 0.0, "low": -0.1, "high": 0.1, "p_value": 0.9}
    results = {
        "fit": numbers,
        "optimised": numbers,
        "split": "test",
        "k": 2,
        "reward": "f1",
        "paired": {"reward_rank_1": tested, "f1": tested, "metric": dict.fromkeys(tested)},
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = page_of(tmp_path)
    assert "no clear change" in page.words
    assert "log.jsonl is missing" in page.words
    assert "evaluation/fit.jsonl is missing" in page.words
    assert "From the test set" in page.words


def test_classes(tmp_path):
    examples = [Example("is it late", classes=("flight", "fare"), id=str(i)) for i in range(4)]
    candidates = [
        [Candidate("", ("flight", "meal"), log_p=-0.2, reward=0.5), Candidate("", ("fare",))]
    ] * 4
    folder = one_stage(tmp_path / "classes", examples, candidates)
    results = json.loads((folder / "results.json").read_text())
    better = [[Candidate("", ("flight", "fare"), log_p=-0.1, reward=1.0)]] * 4
    results["optimised"] = measure(examples, better, k=2).summary(n_resamples=0)
    write_records(folder / "evaluation" / "optimised.jsonl", examples, better)
    (folder / "results.json").write_text(json.dumps(results))
    page = page_of(folder)
    assert "sets of classes" in page.words
    assert "Single classes" in page.words
    assert "is it late" in page.words
    assert "were not tested against each other" in page.words


def test_texts(tmp_path):
    examples = [Example("good day", reference="guten Tag", id=str(i)) for i in range(3)]
    candidates = [[Candidate("x", "guten Abend", log_p=-0.5, reward=0.5)]] * 3
    page = page_of(one_stage(tmp_path / "texts", examples, candidates))
    assert "Free text has no labels to count" in page.words
    assert "Free text has no labels to mistake" in page.words


def test_nothing_to_look_at(tmp_path):
    page = page_of(one_stage(tmp_path / "empty", [], []))
    assert "No label occurs" in page.words
    assert "calibration is undefined" in page.words


def test_labels_of_other_scripts_do_not_warn(tmp_path):
    spans = (Span(0, 2, "歌手"),)
    candidates = [[Candidate("", spans, log_p=-0.1, reward=1.0)]] * 3
    examples = [Example("妮娜", spans=spans, id=str(i)) for i in range(3)]
    assert "歌手" in page_of(one_stage(tmp_path / "zh", examples, candidates)).words


def test_many_labels_are_merged_in_the_confusion(tmp_path):
    examples = [Example("x", classes=(f"label {i}",), id=str(i)) for i in range(60)]
    candidates = [[Candidate("", (f"label {(i * 7) % 60}",), log_p=-0.1)] for i in range(60)]
    page = page_of(one_stage(tmp_path / "many", examples, candidates))
    assert "(other labels)" in page.words
    assert "45 rarer labels" in page.words


def test_broken_candidate_file_is_a_sentence(make_run, tmp_path):
    folder = make_run(tmp_path / "broken", n=30)
    (folder / "candidates" / "round-2.parquet").write_bytes(b"PAR1 no")
    page = page_of(folder)
    assert "The corrections are left out" in page.words
    assert "round-2.parquet" in page.words
    assert str(tmp_path) not in page.words


def test_corrections_without_their_texts(make_run, tmp_path):
    folder = make_run(tmp_path / "bare", n=30)
    (folder / "candidates" / "round-1.texts.jsonl").unlink()
    assert "drop all but the sure ones" in page_of(folder).words


def test_a_cut_log_is_read_as_far_as_it_goes(make_run, tmp_path):
    folder = make_run(tmp_path / "cut", n=30, stages=("fit",))
    log = folder / "log.jsonl"
    log.write_text(log.read_text()[:-20])
    assert "1 lines of log.jsonl could not be read" in page_of(folder).words


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), ("{", "not JSON"), ("[]", "expected a JSON"), ("{}", "none of fit")],
)
def test_no_results_is_an_error_that_says_what_to_do(tmp_path, content, message):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        write_report(tmp_path)
    assert "results.json" in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_helped_and_hurt_are_the_largest_changes(make_run, tmp_path):
    folder = make_run(tmp_path / "told", n=40)
    examples, candidates = read_records(folder / "evaluation" / "fit.jsonl")
    worst = dataclasses.replace(candidates[0][0], reward=-50.0)
    write_records(
        folder / "evaluation" / "fit.jsonl",
        examples,
        [[worst, *candidates[0][1:]], *candidates[1:]],
    )
    words = page_of(folder).words
    after = words[words.index("Helped most") :]
    assert after.index("+5") < after.index(examples[0].id) < after.index("Hurt most")
