"""What tests of readers share."""

import json
from collections import Counter

import pytest


@pytest.fixture
def labels():
    """Call it with a ReadResult: how often each label stands in the gold."""

    def count(result):
        return Counter(
            label
            for example in result.examples
            for label in [span.label for span in example.spans or ()] + list(example.classes or ())
        )

    return count


@pytest.fixture
def write():
    """Call it with a path and bytes, a text, or a list of rows of JSON lines: the path."""

    def write_file(path, content):
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
