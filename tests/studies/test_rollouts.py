"""Continuations of prefixes and ranks of tokens, on tiny models of two families."""

import pytest
import torch

from groot.errors import ShapeError
from groot.guides.guide import Guide
from groot.models.loading import load_model
from groot.models.text_scoring import token_log_p
from groot.studies.rollouts import continue_texts, token_ranks

INPUTS = [[7, 8, 9], [10, 11], [12]]


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def model(make_model_folder, tmp_path_factory, request):
    folder = tmp_path_factory.mktemp(request.param)
    return load_model(make_model_folder(request.param, folder))


def test_continuations_keep_the_prefix_and_end_in_time(model):
    prefixes = [[20], [20, 21], [20, 21], [22, model.end_id], [1 + n for n in range(20, 26)]]
    texts = continue_texts(model, INPUTS, [0, 1, 2, 0, 1], prefixes, max_new_tokens=6)
    for prefix, text in zip(prefixes, texts, strict=True):
        assert text[: len(prefix)] == list(prefix)
        assert len(text) <= 6
        assert model.end_id not in text[:-1]
        assert len(text) == 6 or text[-1] == model.end_id
    assert texts[3] == [22, model.end_id]
    again = continue_texts(model, INPUTS, [0, 1, 2, 0, 1], prefixes, max_new_tokens=6)
    assert again == texts
    other = continue_texts(model, INPUTS, [0, 1, 2, 0, 1], prefixes, max_new_tokens=6, seed=1)
    assert other != texts


def test_the_most_probable_continuation_is_the_greedy_one(model):
    (text,) = continue_texts(model, INPUTS, [1], [[20, 21]], max_new_tokens=7, top_k=1)
    assert token_ranks(model, [INPUTS[1]], [text])[0][2:] == [1] * (len(text) - 2)


def test_continuations_follow_the_model(model):
    """The first token after a prefix is drawn with the model's own probabilities."""
    n = 3000
    texts = continue_texts(
        model, INPUTS, [1] * n, [[20, 21]] * n, max_new_tokens=3, top_k=3, batch_size=1000
    )
    tokens = sorted({text[2] for text in texts})
    assert len(tokens) == 3
    log_p, _ = token_log_p(model, [INPUTS[1]], [[20, 21, token] for token in tokens], [0] * 3)
    wanted = log_p[:, 2].softmax(0)
    found = torch.tensor([sum(text[2] == token for text in texts) / n for token in tokens])
    assert (found - wanted).abs().max() < 5 * (0.25 / n) ** 0.5


def test_ranks_are_those_of_the_scored_tokens(model):
    outputs = [[20, 21, model.end_id], [22], [23, 24]]
    ranks = token_ranks(model, INPUTS, outputs, batch_size=2)
    vocabulary = range(len(model.tokenizer))
    for row, output in enumerate(outputs):
        assert len(ranks[row]) == len(output)
        for step, token in enumerate(output):
            every = [[*output[:step], other] for other in vocabulary]
            log_p, _ = token_log_p(model, [INPUTS[row]], every, [0] * len(every))
            last = log_p[:, step]
            near = int((last > last[token] - 1e-4).sum()), int((last > last[token] + 1e-4).sum())
            assert near[1] + 1 <= ranks[row][step] <= near[0]


class Wants(Guide):
    """Lifts one token, where it is among the candidates, and remembers what was written."""

    name = "wants"
    n_candidates = 5

    def __init__(self, token):
        self.token = token
        self.seen = []

    def begin(self, inputs, rows):
        return [()] * len(rows)

    def rescore(self, log_p, tokens, prefixes, state):
        assert [tuple(row) for row in prefixes.tokens.tolist()] == state
        self.seen += state
        return log_p + 100.0 * (tokens == self.token), state

    def follow(self, state, index, tokens):
        return [(*state[i], t) for i, t in zip(index.tolist(), tokens.tolist(), strict=True)]


def test_a_guide_moves_ranks_among_its_candidates_only(model):
    (greedy,) = continue_texts(model, INPUTS, [0], [[20]], max_new_tokens=4, top_k=1)
    plain = token_ranks(model, [INPUTS[0]] * 2, [greedy, greedy[:2]])
    first = plain[0][0]
    guide = Wants(greedy[0])
    guided = token_ranks(model, [INPUTS[0]] * 2, [greedy, greedy[:2]], guide=guide)
    assert guided[0][0] == (1 if first <= guide.n_candidates else first)
    assert (*greedy[:3],) in guide.seen
    other = token_ranks(model, [INPUTS[0]], [greedy], guide=Wants(-1))
    assert other[0] == plain[0]  # nothing is lifted: the model's own order


def test_bad_calls_are_refused(model):
    with pytest.raises(ShapeError, match="no token"):
        continue_texts(model, INPUTS, [0], [[]], max_new_tokens=3)
    with pytest.raises(ShapeError, match="2 rows but 1 prefixes"):
        continue_texts(model, INPUTS, [0, 1], [[4]], max_new_tokens=3)
    with pytest.raises(ShapeError, match="one each"):
        token_ranks(model, INPUTS, [[1]])
