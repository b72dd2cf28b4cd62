"""An extractive summary: the sentences of a text whose words are the most frequent ones in it. It needs no model."""

from __future__ import annotations

import re
from collections import Counter

MAX_CHARACTERS = 1_000_000
"""Of the text that is read."""
MAX_SENTENCES = 20_000
_SHORTEST_WORD = 4
"""Shorter words are mostly of grammar."""
_SHORTEST, _LONGEST = 30, 500
"""Characters of a sentence. Shorter ones are headings, longer ones tables."""
_ASKED = 4
"""How much more a word of the question counts than the most frequent word."""
_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W\d_]+")


def summary(text: str, *, sentences: int = 5, question: str = "") -> str:
    """Return the sentences of the most frequent words in their order; with a question, rather those that have its words.

    A text without sentences is cut.
    """
    candidates = _sentences(text[:MAX_CHARACTERS])
    if not candidates:
        return " ".join(text[:_LONGEST].split())
    words = [_words(sentence) for sentence in candidates]
    weights = Counter(word for each in words for word in set(each))
    most = max(weights.values(), default=0)
    for word in _words(question):
        weights[word] += _ASKED * most
    scores = [sum(weights[word] for word in set(each)) / (len(each) + 1) ** 0.5 for each in words]
    best = sorted(range(len(candidates)), key=lambda number: -scores[number])[:sentences]
    return " ".join(candidates[number] for number in sorted(best))


def _sentences(text: str) -> list[str]:
    found = (" ".join(sentence.split()) for paragraph in re.split(r"\n\s*\n", text) for sentence in _END.split(paragraph))
    kept = dict.fromkeys(sentence for sentence in found if _SHORTEST <= len(sentence) <= _LONGEST)
    return list(kept)[:MAX_SENTENCES]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if len(word) >= _SHORTEST_WORD]
