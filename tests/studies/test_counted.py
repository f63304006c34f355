"""Models that count are the models."""

import torch

from groot.studies.counted import CountedRewardModel


def test_a_counted_reward_model_is_the_model(contenders, generator):
    model = contenders.reward_models["partial"]
    counted = CountedRewardModel(model)
    inputs = [generator.input_ids("may")]
    torch.testing.assert_close(counted.rewards(inputs, [[7, 8]]), model.rewards(inputs, [[7, 8]]))
    assert (counted.calls, counted.tokens, counted.kind) == (1, 2, "partial")
    scoring = counted.begin(inputs, torch.tensor([0]))
    plain = model.begin(inputs, torch.tensor([0]))
    tokens = torch.tensor([[7, 8, 9]])
    torch.testing.assert_close(scoring.score(tokens), plain.score(tokens))
    assert (counted.calls, counted.tokens) == (2, 5)
