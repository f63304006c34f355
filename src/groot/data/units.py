"""Which unit the offsets of a tool's file count, told by the texts that its spans give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from groot.data.result import ReadResult
from groot.data.settings import RowSettings
from groot.errors import DataError


def read_in_best_unit(
    read: Callable[[RowSettings], ReadResult], given: Mapping[str, Any]
) -> ReadResult:
    """Read with offsets in code points, or in UTF-16 units where more texts of spans agree.

    Args:
        read: reads the file with these settings.
        given: settings of the user; an offset_unit among them decides.

    Raises:
        DataError: as read does.
    """
    settings = RowSettings(**given)
    if "offset_unit" in given:
        return read(settings)
    other = replace(settings, offset_unit="utf16")
    try:
        result = read(settings)
    except DataError:
        try:
            return read(other)
        except DataError:
            pass
        raise
    if not any(problem.kind == "span" for problem in result.problems):
        return result
    again = read(other)
    return again if len(again.problems) < len(result.problems) else result
