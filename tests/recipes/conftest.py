"""Small models of other libraries, as folders."""

import pytest


@pytest.fixture(scope="module")
def gpt2(make_model_folder, tmp_path_factory):
    return make_model_folder("gpt2", tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def t5(make_model_folder, tmp_path_factory):
    return make_model_folder("t5", tmp_path_factory.mktemp("t5"))
