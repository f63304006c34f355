"""Lines of text files: split at newlines only, capped in length, decoded one by one."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from groot.data.result import Problem, RowError
from groot.errors import ConfigError, DataError

MAX_LINE_BYTES = 1 << 20
CUT = "the file ends without a line end, so its last line may be cut short"

# number of a line from 1, and the line or the problem with it
Line = tuple[int, str | Problem]

_MARKS_OF_OTHER_ENCODINGS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
}


def read_lines(path: str | Path, encoding: str | None = None) -> Iterator[Line]:
    """Yield (line number from 1, line without its end or the problem with it) for each line.

    A byte order mark and the CR of CRLF are taken off. U+2028 and its like split nothing.

    Args:
        path: the file.
        encoding: None is UTF-8, which is refused for files that begin as something else.

    Raises:
        DataError: for a file that is missing, a folder, or in another encoding from its first byte.
    """
    if encoding in (None, "utf-8", "utf-8-sig"):
        with open_binary(path) as file:
            yield from number_lines(file, path)
    else:
        yield from _decoded_lines(path, encoding or "utf-8")


def find_encoding(path: str | Path) -> str:
    """The encoding of a text file: "utf-8", "utf-16" by its first bytes, or else "cp1252".

    A file is "cp1252" (what Excel writes in Western Europe) where none of its lines beyond ASCII
    is UTF-8; one with both is UTF-8 with bad lines.
    """
    n_good = n_bad = 0
    with open_binary(path) as file:
        head = file.read(4)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        file.seek(0)
        if head.startswith(codecs.BOM_UTF8):
            return "utf-8"
        while raw := file.readline(MAX_LINE_BYTES):
            if raw.isascii():
                continue
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                n_bad += 1
            else:
                n_good += 1
    return "cp1252" if n_bad and not n_good else "utf-8"


def is_cut(path: str | Path) -> bool:
    """Whether the last line of a file has no line end, as where a file was cut short."""
    with open_binary(path) as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 2))
        tail = file.read()
    return bool(tail) and b"\n" not in tail


def check_encoding(name: str | None) -> None:
    """Check a setting that names an encoding.

    Raises:
        ConfigError: for one that Python does not know.
    """
    if name is None:
        return
    try:
        codecs.lookup(name)
    except LookupError as error:
        wanted = "want utf-8, utf-16, cp1252, latin-1 or another that Python knows"
        raise ConfigError(f"encoding={name!r}: {wanted}.") from error


def _decoded_lines(path: str | Path, encoding: str) -> Iterator[Line]:
    """read_lines of another encoding than UTF-8."""
    open_binary(path).close()  # for its errors
    with Path(path).open(encoding=encoding, errors="backslashreplace", newline="\n") as file:
        number = 0
        try:
            while line := file.readline(MAX_LINE_BYTES + 2):
                number += 1
                body = line.removesuffix("\n").removesuffix("\r")
                if number == 1:
                    body = body.removeprefix("\ufeff")
                if len(body) > MAX_LINE_BYTES:
                    while line and not line.endswith("\n"):
                        line = file.readline(MAX_LINE_BYTES)
                    reason = f"the line is longer than {MAX_LINE_BYTES} characters"
                    yield number, RowError(reason, "too long").problem(f"{path}:{number}", body)
                elif "\x00" in body:
                    reason = "the line holds a NUL character"
                    yield number, RowError(reason, "encoding").problem(f"{path}:{number}", body)
                else:
                    yield number, body
        except UnicodeError as error:  # UTF-16 without its first bytes, or cut in two
            raise DataError(
                f"{path}:{number + 1}: this is not {encoding}: {error}.\n  Set encoding=..."
            ) from error


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


def number_lines(file: BinaryIO, path: str | Path) -> Iterator[Line]:
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
