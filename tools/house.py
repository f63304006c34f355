"""The figures of the house: sizes of files, parameters of functions, repeated places.

    python tools/house.py [--list] [FOLDER]

A repeated place is a run of six lines or more that stands twice to the letter, or twice but for
names, texts and numbers (its shape); imports, docstrings, comments and blank lines do not count.
"""

from __future__ import annotations

import argparse
import ast
import io
import keyword
import statistics
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

LONGEST_FILE = 400
MOST_PARAMETERS = 8
SHORTEST_RUN = 6
THIN_WORDS = 4  # "name = name ,"
THICK_LINES = 4  # of a run, at least
# The public API and the models of the settings list what a user may say, one parameter each.
PUBLIC = {
    "src/groot/config/sections.py",
    "src/groot/recipes/groot_trainer.py",
    "src/groot/writer/generator.py",
    "src/groot/writer/labeler.py",
    "src/groot/writer/writer.py",
}
COMMANDS = "src/groot/cli"  # a parameter of a command is a flag


def wide_functions(path: Path, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(place, number of parameters) of each function that takes too many, `self` included."""
    if str(path) in PUBLIC or str(path.parent) == COMMANDS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
            count += (arguments.vararg is not None) + (arguments.kwarg is not None)
            if count > MOST_PARAMETERS:
                yield f"{path}:{node.lineno} {node.name}", count


def kind_branches(path: Path, tree: ast.AST) -> Iterator[str]:
    """Places that ask whether something is a labeler or a generator."""
    for node in ast.walk(tree):
        is_asked = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "isinstance"
        )
        if is_asked and {"Labeler", "Generator"} & {
            each.id for each in ast.walk(node) if isinstance(each, ast.Name)
        }:
            yield f"{path}:{node.lineno}"


def is_thick(shape: str) -> bool:
    """Whether a line says something: not just a bracket, an argument handed on or an entry."""
    return len(shape.split()) > THIN_WORDS


def code_lines(source: str) -> dict[int, str]:
    """The shape of each line of code: names, texts and numbers are one word each."""
    words: dict[int, list[str]] = defaultdict(list)
    skipped = set(_text_lines(ast.parse(source)))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if line in skipped or token.type in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE):
            continue
        if token.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        is_name = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
        is_value = token.type in (tokenize.STRING, tokenize.NUMBER)
        words[line].append("name" if is_name else "value" if is_value else token.string)
    return {line: " ".join(parts) for line, parts in sorted(words.items())}


def _text_lines(tree: ast.AST) -> Iterator[int]:
    """Lines of imports and docstrings."""
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def repeated_places(sources: dict[Path, str]) -> list[tuple[int, str, str]]:
    """(lines, place, place) of the longest run that two files share, or a file with itself."""
    shapes = {path: list(code_lines(text).items()) for path, text in sources.items()}
    seen: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for path, lines in shapes.items():
        for first in range(len(lines) - SHORTEST_RUN + 1):
            window = tuple(shape for _, shape in lines[first : first + SHORTEST_RUN])
            if len(set(window)) > SHORTEST_RUN // 2 and sum(map(is_thick, window)) >= THICK_LINES:
                seen[window].append((path, first))
    pairs: set[tuple[Path, int, Path, int]] = set()
    for places in seen.values():
        for index, (path, first) in enumerate(places):
            for other_path, other in places[index + 1 :]:
                if path != other_path or abs(first - other) >= SHORTEST_RUN:
                    pairs.add((path, first, other_path, other))
    longest: dict[tuple[Path, Path], tuple[int, str, str]] = {}
    for path, first, other_path, other in pairs:
        if (path, first - 1, other_path, other - 1) in pairs:
            continue  # the inside of a longer run
        length = 0
        while (path, first + length, other_path, other + length) in pairs:
            length += 1
        here, there = shapes[path][first][0], shapes[other_path][other][0]
        row = (length + SHORTEST_RUN - 1, f"{path}:{here}", f"{other_path}:{there}")
        longest[path, other_path] = max(row, longest.get((path, other_path), row))
    return sorted(longest.values(), reverse=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="src", help="where the code is")
    parser.add_argument("--list", action="store_true", help="name each place, not only how many")
    given = parser.parse_args()
    paths = sorted(Path(given.folder).rglob("*.py"))
    sources = {path: path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    sizes = {path: len(text.splitlines()) for path, text in sources.items()}
    long_files = [(str(path), size) for path, size in sizes.items() if size > LONGEST_FILE]
    wide = [each for path, tree in trees.items() for each in wide_functions(path, tree)]
    branches = [each for path, tree in trees.items() for each in kind_branches(path, tree)]
    repeated = repeated_places(sources)
    figures: list[tuple[str, object, list[object]]] = [
        ("files", len(paths), []),
        ("lines", sum(sizes.values()), []),
        ("median lines of a file", int(statistics.median(sizes.values())), []),
        (f"files over {LONGEST_FILE} lines", len(long_files), [*long_files]),
        (f"functions with more than {MOST_PARAMETERS} parameters", len(wide), [*wide]),
        ("isinstance on labeler or generator", len(branches), [*branches]),
        (f"pairs of repeated places of {SHORTEST_RUN} lines or more", len(repeated), [*repeated]),
    ]
    for name, figure, places in figures:
        print(f"{name:52} {figure:>7}")
        for place in places if given.list else []:
            print(f"    {place}")


if __name__ == "__main__":
    main()
