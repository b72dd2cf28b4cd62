"""Text of foreign origin, such as a log or a job's message, in a form that a terminal only displays."""


def one_line(text: str) -> str:
    """Escape every character that does not print: line ends, control characters, and those that change the writing direction."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
