import math

import pytest

from groot.recipes.text_fit import likelihood, likelihood_numbers, text_items
from groot.types import Example


@pytest.fixture(scope="module", params=["causal", "encoder-decoder"])
def generator(request, tiny_generator):
    return tiny_generator(request.param)


def test_items_name_what_is_left_out(generator):
    examples = [
        Example("play", reference="play nina", source="a:1"),
        Example("play", source="a:2"),
        Example("play", reference="nina simone " * 20, source="a:3"),
    ]
    items, missed = text_items(generator, examples)
    assert [item.example.source for item in items] == ["a:1"]
    assert items[0].target == generator.prompts.target_ids("play nina")
    assert missed[0] == "a:2: no reference"
    assert missed[1].startswith("a:3: the reference has ")


def test_likelihood_is_the_sum_of_what_score_says(generator):
    pairs = [("play", "play nina"), ("book", "book a table for two"), ("", "play")]
    items, _ = text_items(generator, [Example(a, reference=b) for a, b in pairs])
    total, tokens = likelihood(generator, items, batch_size=2)
    scores = [generator.score([prompt], [[text]])[0][0] for prompt, text in pairs]
    assert math.isclose(total, sum(scores), abs_tol=1e-3)
    assert tokens == sum(len(generator.prompts.target_ids(text)) for _, text in pairs)
    assert likelihood(generator, []) == (0.0, 0)


def test_perplexity_of_hopeless_texts_stays_a_number():
    assert math.isfinite(likelihood_numbers(-1e9, 1)["perplexity"])
