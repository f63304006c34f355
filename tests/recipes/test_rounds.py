from groot.config import config_from
from groot.recipes.rounds import rounds_of


def test_contrast_comes_first_then_distillation():
    config = config_from({"optimise": {"rounds": 2}, "distil": {"rounds": 1, "variations": 4}})
    rounds = rounds_of(config)
    assert [round.number for round in rounds] == [1, 2, 3]
    assert [round.name for round in rounds] == ["round 1", "round 2", "distil 1"]
    assert [round.distils for round in rounds] == [False, False, True]
    assert [round.variations for round in rounds] == [1, 1, 4]
    assert rounds[2].file_name == "distil-1"
    assert rounds[2].candidates == "distil 1: candidates"


def test_every_round_of_distillation_but_the_first_goes_back_towards_the_fitted_weights():
    rounds = rounds_of(config_from({"optimise": {"rounds": 1}, "distil": {"rounds": 3}}))
    assert [round.goes_back for round in rounds] == [False, False, True, True]


def test_no_round_of_contrast_stops_after_the_fit():
    assert rounds_of(config_from({"optimise": {"rounds": 0}})) == []


def test_free_text_is_not_distilled():
    rounds = rounds_of(config_from({"optimise": {"rounds": 1}}), can_vary=False)
    assert [round.name for round in rounds] == ["round 1"]
