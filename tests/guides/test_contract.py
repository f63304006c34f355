"""What every guide in the table keeps to; a new one gets its maker here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from groot.guides import GUIDES, Chooser, Guide, Prefixes
from groot.guides.grammar import one_of
from groot.reward_models.kinds import REWARD_KINDS
from groot.rewards import parse_rewards
from groot.search.beams import beam_search
from groot.search.sampling import sample

N_TOKENS, LENGTH, N_INPUTS = 4, 4, 5
INPUTS = [[number] for number in range(N_INPUTS)]


def reward(toy, kind):
    return toy.reward(N_TOKENS, LENGTH, N_INPUTS, kind=kind)


# name -> a guide of that name; with weight 0 where it has a weight
MAKERS = {
    "args": lambda toy, w: GUIDES["args"](reward(toy, "sequence"), weight=w, n_candidates=3),
    "pargs": lambda toy, w: GUIDES["pargs"](reward(toy, "partial"), weight=w, n_candidates=3),
    "pargs_greedy": lambda toy, w: GUIDES["pargs_greedy"](
        reward(toy, "partial"), weight=w, n_candidates=3
    ),
    "cd": lambda toy, w: GUIDES["cd"](reward(toy, "value"), weight=w, n_candidates=3),
    "rad": lambda toy, w: GUIDES["rad"](reward(toy, "rad"), weight=w, n_candidates=3),
    "farma": lambda toy, w: GUIDES["farma"](reward(toy, "vocabulary"), weight=w, n_candidates=3),
    "implicit": lambda toy, w: GUIDES["implicit"](
        toy.model(N_TOKENS, LENGTH, N_INPUTS, seed=5), weight=w, beta=0.5
    ),
    "deal": lambda toy, w: GUIDES["deal"](
        toy.model(N_TOKENS, LENGTH + 2, N_INPUTS),
        toy.reward(N_TOKENS, LENGTH + 2, N_INPUTS).rewards,
        weight=w,
        lookahead=2,
        n_candidates=3,
    ),
    "grammar": lambda toy, w: GUIDES["grammar"](one_of(toy.all_texts(N_TOKENS, LENGTH))),
    "best_of_n": lambda toy, w: GUIDES["best_of_n"](reward(toy, "sequence").rewards, n_samples=4),
    "mbr": lambda toy, w: GUIDES["mbr"](
        parse_rewards(["token_accuracy"]), lambda ids: " ".join(map(str, ids)), n_samples=4
    ),
}
GUIDED = [name for name in GUIDES if issubclass(GUIDES[name], Guide)]
WEIGHTED = [name for name in GUIDED if "weight" in GUIDES[name].setting_defaults()]
CHOOSERS = [name for name in GUIDES if issubclass(GUIDES[name], Chooser)]


def test_every_guide_has_a_maker_a_name_and_a_title_of_its_own():
    assert set(MAKERS) == set(GUIDES)
    assert all(GUIDES[name].name == name for name in GUIDES)
    titles = [GUIDES[name].title for name in GUIDES]
    assert all(titles)
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", list(GUIDES))
def test_settings_are_what_it_was_made_with(name, toy):
    guide = MAKERS[name](toy, 0.75)
    assert guide.settings.keys() == GUIDES[name].setting_defaults().keys()
    asked = {"weight": 0.75, "n_candidates": 3, "lookahead": 2, "beta": 0.5, "n_samples": 4}
    is_unasked = {"implicit": {"n_candidates"}}.get(name, set())
    for setting in (guide.settings.keys() & asked.keys()) - is_unasked:
        assert guide.settings[setting] == asked[setting]
    for setting in guide.settings.keys() - asked.keys():
        assert guide.settings[setting] == GUIDES[name].setting_defaults()[setting]


@pytest.mark.parametrize("name", list(GUIDES))
def test_a_guide_of_a_reward_model_names_its_kinds_and_no_other_does(name):
    assert bool(GUIDES[name].kinds) == (GUIDES[name].needs == "reward model")
    assert set(GUIDES[name].kinds) <= set(REWARD_KINDS)


@pytest.fixture
def model(toy):
    return toy.model(N_TOKENS, LENGTH, N_INPUTS)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", GUIDED)
def test_weight_zero_is_the_model_itself_bit_for_bit(name, temperature, toy, model):
    guide = MAKERS[name](toy, 0.0)
    settings = {"max_new_tokens": LENGTH, "seed": 3, "temperature": temperature}
    n = 1 if temperature == 0 else 20
    guided = sample(model, INPUTS, n=n, guide=guide, **settings)
    assert guided == sample(model, INPUTS, n=n, top_k=guide.n_candidates, **settings)


@pytest.mark.parametrize("name", WEIGHTED)
def test_weight_changes_what_is_written(name, toy, model):
    settings = {"n": 20, "max_new_tokens": LENGTH, "seed": 3}
    guided = sample(model, INPUTS, guide=MAKERS[name](toy, 3.0), **settings)
    assert guided != sample(model, INPUTS, guide=MAKERS[name](toy, 0.0), **settings)


@pytest.mark.parametrize("name", list(GUIDES))
def test_batch_size_and_order_change_nothing(name, toy, model):
    guide = MAKERS[name](toy, 2.0)
    settings = {"n": 3, "max_new_tokens": LENGTH, "seed": 3, "guide": guide}
    one = sample(model, INPUTS, **settings)
    assert sample(model, INPUTS, batch_size=1, **settings) == one
    assert sample(model, INPUTS[::-1], batch_size=7, **settings) == one[::-1]


@pytest.mark.parametrize("name", list(GUIDES))
def test_log_p_is_the_models_own(name, toy, model):
    settings = {"n": 3, "max_new_tokens": LENGTH, "seed": 3, "temperature": 0.7}
    for number, some in enumerate(sample(model, INPUTS, guide=MAKERS[name](toy, 2.0), **settings)):
        assert len(some) == 3
        for text in some:
            own = float(model.log_p(number, text.tokens).sum())
            assert text.log_p == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("name", GUIDED)
def test_state_that_is_moved_equals_state_that_is_made_anew(name, toy, model):
    guide = MAKERS[name](toy, 2.0)
    rows = torch.arange(N_INPUTS)
    state = guide.begin(INPUTS, rows)
    kept = torch.tensor([0, 0, 1, 2, 2, 4])
    steps = [(kept, torch.tensor([1, 2, 3, 1, 2, 3])), (torch.arange(6), torch.full((6,), 2))]
    texts = torch.zeros((N_INPUTS, 0), dtype=torch.long)
    for index, tokens in steps:
        state = guide.follow(state, index, tokens)
        texts, rows = torch.cat([texts[index], tokens[:, None]], 1), rows[index]
    anew = guide.begin(INPUTS, rows)
    for column in texts.T:
        anew = guide.follow(anew, torch.arange(6), column)
    tokens = torch.tensor([[0, 1, 2]] * 6)
    log_p = torch.randn((6, 3), generator=torch.Generator().manual_seed(0))
    prefixes = Prefixes(INPUTS, rows, texts)
    torch.testing.assert_close(
        guide.rescore(log_p, tokens, prefixes, state)[0],
        guide.rescore(log_p, tokens, prefixes, anew)[0],
    )


@pytest.mark.parametrize("name", GUIDED)
def test_a_grammar_goes_with_any_guide(name, toy, model):
    # of the model's own three best tokens none may be legal: the grammar is asked first
    legal = {(1, 1, 0), (1, 2, 0), (2, 3, 3, 0), (3, 0)}
    both = MAKERS[name](toy, 2.0) + GUIDES["grammar"](one_of(legal))
    settings = {"max_new_tokens": LENGTH, "guide": both}
    drawn = sample(model, INPUTS, n=20, seed=1, **settings)
    assert {text.tokens for some in drawn for text in some} <= legal
    for some in beam_search(model, INPUTS, k=3, **settings):
        assert {text.tokens for text in some} <= legal
        assert len(some) == 3
        assert not any(text.is_exact for text in some)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_sum_adds_up(name, toy):
    one, other = MAKERS[name](toy, 1.5), MAKERS["pargs"](toy, 2.0)
    rows, tokens = torch.arange(N_INPUTS), torch.tensor([[0, 1, 2]] * N_INPUTS)
    prefixes = Prefixes(INPUTS, rows, torch.zeros((N_INPUTS, 0), dtype=torch.long))
    log_p = torch.randn((N_INPUTS, 3), generator=torch.Generator().manual_seed(0))
    log_p[0, 0] = -math.inf
    scores = [
        guide.rescore(log_p, tokens, prefixes, guide.begin(INPUTS, rows))[0]
        for guide in (one, other, one + other)
    ]
    torch.testing.assert_close(
        scores[2], torch.where(log_p.isneginf(), log_p, scores[0] + scores[1] - log_p)
    )


@pytest.mark.parametrize("name", CHOOSERS)
def test_choosers_get_different_samples_and_keep_one(name, toy, model):
    chooser, seen = MAKERS[name](toy, 0.0), []
    inner = chooser.choose
    chooser.choose = lambda inputs, samples: seen.extend(samples) or inner(inputs, samples)
    chosen = sample(model, INPUTS, n=2, max_new_tokens=LENGTH, seed=3, guide=chooser)
    assert [len(some) for some in seen] == [4] * (2 * N_INPUTS)
    flat = [text for some in chosen for text in some]
    assert all(text in some for text, some in zip(flat, seen, strict=True))
    assert all(len({text.tokens for text in some}) > 1 for some in seen)
    assert seen == [
        some[i : i + 4]
        for some in sample(model, INPUTS, n=8, max_new_tokens=LENGTH, seed=3)
        for i in (0, 4)
    ]


@pytest.mark.parametrize("name", [name for name in GUIDES if GUIDES[name].needs != "function"])
def test_the_page_of_guides_says_what_it_is_made_of(name):
    page = (Path(__file__).parents[2] / "docs" / "guides.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if f"`{name}`" in line.split("|")[:2][-1]]
    _, _, _, made_of, _, _ = rows[0]  # name, score, reward model, drawn; later tables tell costs
    if set(GUIDES[name].kinds) == set(REWARD_KINDS):
        assert made_of.strip() == "any"
    elif GUIDES[name].kinds:
        assert made_of.strip() == ", ".join(f"`{kind}`" for kind in GUIDES[name].kinds)
    else:
        assert made_of.strip().startswith("none")
