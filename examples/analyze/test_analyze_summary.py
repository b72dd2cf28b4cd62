"""The extractive summary is sentences of the text."""

from __future__ import annotations

from jobs.analyze_summary import summary
from local.samples import pdfs

TEXT = """
Leases

A lease is a lock that ends by itself. Locks without an end stay when their owner dies. The weather was fine on that day.
A worker renews its lease while it lives, and other workers see the lease. Nobody read the newspaper in the garden then.
A lease that has ended belongs to the next worker, which takes the lock over.
"""


def test_summary_has_the_sentences_of_frequent_words_in_their_order() -> None:
    found = summary(TEXT, sentences=3)
    assert found.startswith("A lease is a lock that ends by itself.")
    assert found.endswith("A lease that has ended belongs to the next worker, which takes the lock over.")
    assert "weather" not in found


def test_question_prefers_sentences_with_its_words() -> None:
    assert summary(TEXT, sentences=1, question="What was the weather?") == "The weather was fine on that day."


def test_each_sentence_is_one_of_the_text() -> None:
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(pdfs.HANDBOOK.glob("*.md")))
    found = summary(text)
    assert 100 < len(found) < 2_500
    assert all(sentence in " ".join(text.split()) for sentence in found.split(". ")[:1])


def test_repeated_sentence_is_given_once() -> None:
    line = "The same sentence is in the text again and again."
    assert summary(f"{line} " * 50) == line


def test_text_without_sentences_is_cut() -> None:
    assert summary("word " * 10) == "word word word word word word word word word word"
    assert len(summary("x" * 10_000)) == 500
