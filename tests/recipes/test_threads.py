import pytest
import torch

from groot.config import config_from
from groot.recipes.threads import compute_threads, threads_of


@pytest.mark.parametrize(
    ("settings", "variable", "threads"),
    [
        ({}, None, 1),
        ({"model": {"name": "embedded-causal"}}, None, 1),
        ({"model": {"name": "google-t5/t5-small"}}, None, None),
        ({}, "2", None),
        ({"threads": 3}, "2", 3),
    ],
    ids=str,
)
def test_small_models_take_one_thread_unless_told_otherwise(
    monkeypatch, settings, variable, threads
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert threads_of(config_from(settings)) == threads


def test_what_was_before_comes_back():
    before = torch.get_num_threads()
    with compute_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with compute_threads(None):
        assert torch.get_num_threads() == before
