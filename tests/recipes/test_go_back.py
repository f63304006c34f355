"""The second round of distillation starts from the average with the fitted weights."""

import pytest
import torch
from safetensors.torch import load_file


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_second_round_of_distillation_starts_on_the_way_back(
    nursery, train_words, tmp_path, share
):
    settings = {
        "fit.learning_rate": 0.005,
        "optimise.rounds": 1,
        "optimise.learning_rate": 0.005,
        "optimise.average_decay": 0,
        "distil.rounds": 2,
        "distil.fitted_share": share,
        "distil.learning_rate": 1e-12,  # so that a round ends where it began
        "distil.average_decay": 0,
    }
    # longer spans are better: easy to raise, so that the contrast is kept and moves the weights
    (tmp_path / "mine.py").write_text(
        "def score(example, candidates):\n"
        "    return [sum(len(s.text) for s in one.output or ()) for one in candidates]\n"
    )
    run = tmp_path / "run"
    command = nursery.start(
        *train_words(run, settings, "--reward", f"{tmp_path / 'mine.py'}:score"),
        log=tmp_path / "log",
    )
    assert command.wait() == 0, command.said()
    fitted, before, after = (
        load_file(run / name / "model.safetensors")
        for name in ("fitted", "checkpoints/after-distil-1", "model")
    )
    assert max(float((before[name] - fitted[name]).abs().max()) for name in fitted) > 1e-3
    for name, weight in after.items():
        average = torch.lerp(before[name], fitted[name], share)
        torch.testing.assert_close(weight, average, atol=1e-6, rtol=0, msg=name)
