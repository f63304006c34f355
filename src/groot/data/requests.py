"""Free text from the benchmarks: their sentences as references, what they name as prompts.

A text-generation task whose results can be judged without a human: whether a sentence names what
was asked for can be told by a labeler. The sentences are read where the benchmarks are, see
`data_folder`; nothing of them is kept here.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

from groot.data.result import ReadResult
from groot.targets.words import split_words
from groot.types import Example

Prompt = Literal["wishes", "start", "open"]
# What a sentence is about, for the sets that do not say it themselves.
SUBJECTS = {"mit_restaurant": "restaurant", "mit_movie_trivia": "movie"}
START_WORDS = 3


def requests_of(
    name: str, read: Callable[[str], ReadResult], sets: Sequence[str], prompt: Prompt
) -> ReadResult:
    """The sentences of several benchmarks as prompts and references.

    Args:
        name: of the result.
        read: gives one split of a benchmark by its name.
        sets: names of benchmarks.
        prompt: "wishes" is what the sentence names, "PlayMusic: artist, album"; one in four is
            the subject alone and one in four is empty. "start" is its first words, 0 to 3. "open"
            is always empty.

    Each example's columns hold `intent`, and `slots`, the labels that the sentence names.
    """
    result = ReadResult(where=name)
    for part in sets:
        sentences = read(part)
        result.examples += [request(part, example, prompt) for example in sentences.examples]
        result.problems += sentences.problems
        result.notes += sentences.notes
    return result


def request(name: str, example: Example, prompt: Prompt) -> Example:
    """One labelled sentence as a prompt and a reference.

    >>> from groot.types import Span
    >>> one = Example("play nina", ("play", "nina"), (0, 5), (Span(5, 9, "artist"),), ("Play",))
    >>> request("snips", one, "open").reference
    'play nina'
    """
    intent = " and ".join(example.classes or ()) or SUBJECTS.get(name, name)
    slots = list(dict.fromkeys(span.label for span in example.spans or ()))
    draw = hashlib.sha256(f"{name}:{example.id}".encode()).digest()[0]
    text = ""
    if prompt == "wishes":
        text = ["", intent, *[f"{intent}: {', '.join(slots)}" if slots else intent] * 2][draw % 4]
    elif prompt == "start":
        text = " ".join(example.words[: draw % (START_WORDS + 1)])
    words, starts = split_words(text)
    return dataclasses.replace(
        example,
        text=text,
        words=tuple(words),
        word_starts=tuple(starts),
        spans=None,
        classes=None,
        reference=example.text,
        id=f"{name}:{example.id}",
        columns={"intent": intent, "slots": slots},
    )
