import json
import logging
import resource
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from pathlib import Path

import pytest

from groot.errors import ConfigError, RewardError
from groot.rewards import CallSettings, parse_rewards
from groot.rewards.pool import MAX_RESTARTS, WorkerPool
from groot.types import Candidate, Example

FAULTY = Path(__file__).with_name("faulty.py")
TWO = [Candidate("a", "a"), Candidate("bb", "bb")]


def named(*texts):
    return [Example(text, id=f"e{i}", source=f"in.txt:{i + 1}") for i, text in enumerate(texts)]


def faulty(function="by_text", **settings):
    calls = CallSettings(**{"timeout_s": 5.0, **settings})
    return parse_rewards([f"{FAULTY}:{function}"], calls=calls)


def score(reward, *texts):
    return reward.score(named(*texts), [TWO] * len(texts))


def test_values_in_order_and_no_call_for_no_candidates():
    with faulty(workers=2) as reward:
        examples = named("raise", *map(str, range(50)))
        candidates = [[], *([Candidate("x" * i, "")] for i in range(50))]
        assert reward.score(examples, candidates) == [[], *([float(i)] for i in range(50))]
        assert reward.name == "by_text"
        assert reward.metric is None


def test_trl_function_gets_columns_unchanged():
    with faulty("two_forms") as reward:
        example = Example("q", reference="bb", columns={"answer": "bb"})
        assert reward.score([example], [TWO]) == [[0.0, 1.0]]


def test_a_function_cannot_edit_what_it_is_given():
    with faulty("edits_its_inputs") as reward:
        columns = {"answer": "bb"}
        assert reward.score([Example("q", columns=columns)], [TWO[:1]]) == [[1.0]]
        assert columns == {"answer": "bb"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise", r"it raised ValueError: boom[^$]*faulty\.py.*in raise_error"),
        ("exit", "it raised SystemExit: bye"),
        ("os exit 3", "its process ended: exit code 3"),
        ("os exit 0", "its process ended: exit code 0"),
        ("segfault", r"killed by signal 11 \(SIGSEGV\)[^$]*in crash"),
        ("inf", "returned inf at index 0"),
        ("short", "returned 1 rewards for 2 candidates"),
        ("generator", "returned a generator"),
    ],
)
def test_stop_names_the_example_and_keeps_it_in_a_file(tmp_path, text, message):
    with faulty(failures=tmp_path / "failures") as reward:
        with pytest.raises(RewardError, match=message) as caught:
            score(reward, "fine", text, "fine")
        assert "by_text" in str(caught.value)
        assert "'e1' (in.txt:2)" in str(caught.value)
        [path] = (tmp_path / "failures").iterdir()
        assert str(path) in str(caught.value)
        kept = json.loads(path.read_text())
        assert kept["example"]["text"] == text
        assert [one["target"] for one in kept["candidates"]] == ["a", "bb"]
        assert score(reward, "fine") == [[1.0, 2.0]]  # and it serves on


@pytest.mark.parametrize("text", ["sleep", "busy", "regex", "lock"])
def test_a_hang_is_killed_in_time_and_told_where(text, tmp_path):
    with faulty(timeout_s=0.5, failures=tmp_path) as reward:
        score(reward, "fine")  # the worker is up
        start = time.monotonic()
        with pytest.raises(RewardError, match=r"longer than 0\.5 s and was killed[^$]*faulty\.py"):
            score(reward, text)
        assert time.monotonic() - start < 0.5 + 2
        assert score(reward, "fine") == [[1.0, 2.0]]


def test_memory_limit(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with faulty(memory_mb=2000, failures=tmp_path) as reward:
        with pytest.raises(RewardError, match="MemoryError"):
            score(reward, "memory")
        assert score(reward, "fine") == [[1.0, 2.0]]
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 50 * 1024


def test_memory_limit_too_small_to_start():
    with pytest.raises(RewardError, match="30 MB of memory: is that too little"):
        faulty(memory_mb=30)


def test_skip_leaves_the_failed_missing_and_counts_them(tmp_path, caplog):
    with faulty(on_error="skip", max_missing=1.0, timeout_s=0.5, failures=tmp_path) as reward:
        texts = ("raise", "fine", "busy", "none", "nan", "segfault", "inf", "fine")
        with caplog.at_level(logging.WARNING):
            rewards = score(reward, *texts)
        missing = [None, None]
        good = [1.0, 2.0]
        assert rewards == [missing, good, missing, missing, missing, missing, missing, good]
        assert reward.counts()["by_text"] == {
            "asked": 16, "none": 2, "nan": 2, "raised": 2, "hung": 2, "crashed": 2, "infinite": 2,
        }  # fmt: skip
    assert "failed at example 'e0' (in.txt:1): it raised ValueError: boom" in caplog.text


def test_skip_goes_on_below_one_percent_and_stops_above():
    with faulty(on_error="skip") as reward:
        rewards = score(reward, *["fine"] * 150, "raise", *["fine"] * 49)
        assert rewards[150] == [None, None]
        assert sum(row == [1.0, 2.0] for row in rewards) == 199
        with pytest.raises(RewardError, match=r"failed for \d+ of \d+ values \(.*raised\).*1\.0%"):
            score(reward, *["raise"] * 100)


def test_none_on_purpose_never_stops():
    with faulty(on_error="skip") as reward:
        assert score(reward, *["none"] * 10) == [[None, None]] * 10


def test_skip_does_not_excuse_a_wrong_length():
    with faulty(on_error="skip") as reward, pytest.raises(RewardError, match="1 rewards for 2"):
        score(reward, "short")


@pytest.mark.timeout(180)
def test_100_hangs_in_a_row_leave_the_pool_able_to_serve(tmp_path):
    settings = {"on_error": "skip", "max_missing": 1.0, "timeout_s": 0.05, "failures": tmp_path}
    with faulty(workers=2, **settings) as reward:
        assert score(reward, *["busy"] * 100, "fine")[-1] == [1.0, 2.0]
        assert reward.counts()["by_text"]["hung"] == 200
        assert score(reward, "fine") == [[1.0, 2.0]]


def test_output_is_kept_from_stdout_and_capped(capfd, caplog):
    with caplog.at_level(logging.DEBUG), faulty("prints_much", timeout_s=30) as reward:
        assert score(reward, "x") == [[1.0, 1.0]]
    assert capfd.readouterr() == ("", "")
    [printed] = [r.message for r in caplog.records if "printed" in r.message]
    assert len(printed) < 21_000
    assert "bytes more" in printed


def test_a_function_as_an_object():
    wanted = "bb"
    with parse_rewards(
        [lambda completions, **_: [said == wanted for said in completions]]
    ) as reward:
        assert score(reward, "x") == [[0.0, 1.0]]
        assert reward.name == "<lambda>"


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from groot.rewards import CallSettings, parse_rewards\n"
        "from groot.types import Candidate, Example\n"
        "print('running')\n"
        "def mine(example, candidates):\n"
        "    return [len(c.target) for c in candidates]\n"
        "reward = parse_rewards([mine])\n"
        "print(reward.score([Example('x')], [[Candidate('abc', 'abc')]]))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "running\n[[3.0]]\n", done.stderr
    assert done.returncode == 0


def test_module_from_the_current_folder_and_neighbours_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "my_rewards").mkdir()
    (tmp_path / "my_rewards" / "__init__.py").write_text("")
    (tmp_path / "my_rewards" / "words.py").write_text("VALUE = 2\n")
    (tmp_path / "my_rewards" / "short.py").write_text(
        "from words import VALUE\n"
        "def brevity(completions, **_):\n"
        "    return [VALUE] * len(completions)\n"
    )
    (tmp_path / "my_rewards" / "plain.py").write_text(
        "def brevity(completions, **_):\n    return [3] * len(completions)\n"
    )
    monkeypatch.chdir(tmp_path)
    specs = ["my_rewards.plain:brevity=0.5", "my_rewards/short.py:brevity"]
    with parse_rewards(specs) as reward:
        scores = reward.score_parts(named("x"), [TWO])
    assert scores.total == [[3.5, 3.5]]
    assert scores.parts == {"brevity": [[3.0, 3.0]], "brevity_2": [[2.0, 2.0]]}


def test_the_mark_follows_the_source(tmp_path):
    file = tmp_path / "mine.py"
    prints = []
    for body in ("[1.0]", "[1.0]", "[2.0]"):
        file.write_text(f"def mine(example, candidates):\n    return {body}\n")
        with parse_rewards([f"{file}:mine"]) as reward:
            prints.append(reward.mark)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("def brevty(example, candidates): ...", "brevity", "Did you mean 'brevty'"),
        ("def brevity(a, b): ...", "brevity", "tell neither form"),
        ("import no_such_module_at_all", "brevity", "No module named 'no_such_module_at_all'"),
        ("def brevity(:", "brevity", "SyntaxError"),
        ("brevity = 3", "brevity", "it is a int, not a function"),
        ("import os; os._exit(7)", "brevity", "exit code 7"),
    ],
)
def test_functions_that_cannot_be_loaded(tmp_path, source, name, message):
    file = tmp_path / "mine.py"
    file.write_text(source + "\n")
    with pytest.raises(RewardError, match=f"cannot be loaded: [^$]*{message}"):
        parse_rewards([f"{file}:{name}"])


def test_all_mistakes_of_settings_at_once():
    calls = CallSettings(timeout_s=0, workers=0, on_error="zero")
    with pytest.raises(ConfigError) as caught:
        parse_rewards(["no/such.py:f", "a b:c", "m:f"], calls=calls)
    for part in ("no file no/such.py", "'a b' is neither", "timeout_s", "workers", "on_error"):
        assert part in str(caught.value)


def test_closed_reward_says_so():
    reward = faulty()
    reward.close()
    reward.close()
    with pytest.raises(RewardError, match="closed"):
        score(reward, "fine")


def test_malformed_output_gets_no_more_than_saying_nothing(caplog):
    """The function itself sees a cut text as any other; `fine` pays for its length."""
    cut, whole = Candidate("a long text without an end", None), Candidate("ok", "ok")
    with faulty() as reward:
        assert reward.score(named("x"), [[cut]]) == [[0.0]]
        assert reward.score(named("x"), [[cut, whole]]) == [[0.0, 2.0]]
        assert reward.counts()["by_text"]["asked"] == 3
    with parse_rewards(
        [lambda completions, **_: [1 / len(text) for text in completions]]
    ) as reward:
        assert reward.score(named("x"), [[cut, whole]]) == [[None, 0.5]]  # 1 / 0 stops nothing
    assert "fails on output that says nothing" in caplog.text


def test_a_pool_that_breaks_now_and_then_goes_on(monkeypatch, caplog):
    """Only a pool that breaks again and again, with no call in between, is given up."""
    result_of = WorkerPool._result
    looks = count()

    def break_every_second_time(pool, future, limit_s):
        if next(looks) % 2:
            return result_of(pool, future, limit_s)
        raise BrokenProcessPool("the workers ended")

    with faulty() as reward:
        monkeypatch.setattr(WorkerPool, "_result", break_every_second_time)
        assert score(reward, *["fine"] * (MAX_RESTARTS + 2)) == [[1.0, 2.0]] * (MAX_RESTARTS + 2)
    assert caplog.text.count("starting new ones") == MAX_RESTARTS + 2


def test_skip_stops_as_soon_as_more_than_the_share_has_failed():
    """Of 200 examples with 2 values each 1 % is 4 values: two failures pass, a third does not."""
    for failures, is_too_much in ((2, False), (3, True)):
        texts = [*["raise"] * failures, *["fine"] * (200 - failures)]
        with faulty(on_error="skip") as reward:
            if is_too_much:
                with pytest.raises(RewardError, match=r"failed for 6 of 400 values \(6 raised\)"):
                    score(reward, *texts)
            else:
                assert score(reward, *texts)[2:] == [[1.0, 2.0]] * 198


def test_skip_forgives_one_example_whatever_its_share():
    with faulty(on_error="skip") as reward:
        assert score(reward, "raise", "fine") == [[None, None], [1.0, 2.0]]
        with pytest.raises(RewardError, match="failed for 4 of 8 values"):
            score(reward, "raise", "fine")
