from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from groot.models.families import FAMILIES


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def model_folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_model_folder: Callable[[str, Path], Path],
) -> Path:
    """A folder that save_pretrained wrote, for each family in the table."""
    return make_model_folder(request.param, tmp_path_factory.mktemp(request.param))
