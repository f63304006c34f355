"""Correcting free text: the edit script towards the reference, one edit at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from groot.correction.mend import Correction, MendingPlan, corrections
from groot.types import Candidate, Example

WORD = re.compile(r"\s*\S+")


def correct_text(example: Example, candidate: Candidate, plan: MendingPlan) -> list[Correction]:
    """Corrections of a candidate that says free text; see `correct`.

    Words are compared without the white space before them, which goes with its word.

    >>> import random
    >>> example = Example("greet", reference="good morning to you")
    >>> wrong = Candidate("", "bad morning you")
    >>> for correction in correct_text(example, wrong, MendingPlan(random.Random(1), ["chain"])):
    ...     print(correction.note, "|", correction.output)
    chain 1 of 2: "bad" -> "good" | good morning you
    chain 2 of 2: "bad" -> "good", add "to" | good morning to you
    """
    if example.reference is None:
        return []
    gold = example.reference
    if not isinstance(candidate.output, str):
        return [Correction(gold, "malformed: replaced by the gold")]
    written = candidate.output
    stretches = edit_script(written, gold)
    edits = [number for number, (_, _, is_error) in enumerate(stretches) if is_error]
    if not edits and written != gold:
        return [Correction(gold, "white space put right")]

    def mend(mended: frozenset[int]) -> str:
        if len(mended) == len(edits):
            return gold
        places = {edits[number] for number in mended}
        return join(
            [
                word
                for number, (wrong, right, is_error) in enumerate(stretches)
                for word in (right if number in places or not is_error else wrong)
            ]
        )

    return corrections(
        [stretches[number] for number in edits],
        mend=mend,
        describe=_describe,
        plan=plan,
    )


def edit_script(written: str, gold: str) -> list[tuple[list[str], list[str], bool]]:
    """Stretches of words of both texts, in order, and whether they differ.

    >>> edit_script("a b", "a c")
    [(['a'], ['a'], False), ([' b'], [' c'], True)]
    """
    words, right = WORD.findall(written), WORD.findall(gold)
    matcher = SequenceMatcher(
        None, [word.strip() for word in words], [word.strip() for word in right], autojunk=False
    )
    return [(words[a:b], right[c:d], tag != "equal") for tag, a, b, c, d in matcher.get_opcodes()]


def join(words: Sequence[str]) -> str:
    """Words that carry the white space before them, as one text; a space where it is lacking.

    >>> join([" a", "b", " c"])
    'a b c'
    """
    spaced = [word if word[:1].isspace() else f" {word}" for word in words]
    return "".join(spaced).lstrip()


def _describe(stretch: tuple[list[str], list[str], bool]) -> str:
    wrong, right = (f'"{join(words)}"' for words in stretch[:2])
    if not stretch[0]:
        return f"add {right}"
    return f"{wrong} -> {right}" if stretch[1] else f"drop {wrong}"
