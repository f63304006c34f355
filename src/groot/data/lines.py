"""Lines of text files: split at newlines only, capped in length, decoded one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from groot.data.result import Problem, RowError
from groot.errors import DataError

MAX_LINE_BYTES = 1 << 20

_MARKS_OF_OTHER_ENCODINGS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
}


def read_lines(path: str | Path) -> Iterator[tuple[int, str | Problem]]:
    """Yield (line number from 1, line without its end or the problem with it) for each line.

    A UTF-8 byte order mark and the CR of CRLF are taken off. U+2028 and its like split nothing.

    Raises:
        DataError: for a file that is missing, a folder, or in another encoding from its first byte.
    """
    with open_binary(path) as file:
        yield from number_lines(file, path)


def open_binary(path: str | Path) -> BinaryIO:
    """Open a file for reading, with errors that name it.

    Raises:
        DataError: for a file that is missing, a folder, or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder where a file is wanted.\n  Name a file inside it.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        message = f"{path} does not exist (looked from {Path.cwd()}).\n  Check the path."
        raise DataError(message) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path} cannot be read: {error}.\n  Check its permissions.") from error


def number_lines(file: BinaryIO, path: str | Path) -> Iterator[tuple[int, str | Problem]]:
    """read_lines of an open binary file, such as standard input; path is for messages."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 2):  # 2: room for the line's end
        number += 1
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            for mark, encoding in _MARKS_OF_OTHER_ENCODINGS.items():
                if raw.startswith(mark):
                    raise DataError(
                        f"{path}:1: this is {encoding}, not UTF-8 text.\n  Save the file as UTF-8."
                    )
        body = raw.removesuffix(b"\n").removesuffix(b"\r")
        if len(body) > MAX_LINE_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE_BYTES)
            reason = f"the line is longer than {MAX_LINE_BYTES} bytes"
            row = body[:1000].decode("utf-8", "replace")
            yield number, RowError(reason, "too long").problem(f"{path}:{number}", row)
            continue
        try:
            line = body.decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8"
            row = body.decode("utf-8", "replace")
            yield number, RowError(reason, "encoding").problem(f"{path}:{number}", row)
            continue
        if "\x00" in line:
            reason = "the line holds a NUL character; is the file UTF-16 or binary?"
            yield number, RowError(reason, "encoding").problem(f"{path}:{number}", line)
            continue
        yield number, line


def check_text(text: str, what: str) -> str:
    """The text itself, if it can be written as UTF-8 and holds no NUL.

    Raises:
        RowError: otherwise.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        reason = f"character {error.start + 1} of {what} is half of a surrogate pair"
        raise RowError(reason, "encoding") from error
    if "\x00" in text:
        raise RowError(f"{what} holds a NUL character", "encoding")
    return text
