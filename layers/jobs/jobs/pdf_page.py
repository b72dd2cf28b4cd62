"""What pypdf passes over: damaged pages, streams that are cut off, form values, and fonts whose codes have no map."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from pypdf._codecs import adobe_glyphs  # no public name, and a copy of 17,404 names is worse
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    EncodedStreamObject,
    NameObject,
    NullObject,
    StreamObject,
)

# ── Damaged pages ────────────────────────────────────────────────────────────────────────────────────

DAMAGED = "/AsyncjobsDamaged"
"""The entry of a page that replaces a damaged one."""
CUT = "/AsyncjobsCut"
"""The entry of a page of whose entries pypdf left some out."""


class Repairs(Protocol):
    """Notes whether pypdf left something out of what it read."""

    left_something_out: bool


def replace_damaged_pages(catalog: DictionaryObject, repairs: Repairs) -> None:
    """Put a page of our own in the place of each that cannot be read, so that the others are read and keep their numbers.

    A page that is only read in part is marked: an entry that is not PDF ends its dictionary, and pypdf keeps what came before.
    """
    seen: set[int] = set()
    # The lists of children on the way to the present one: a child that leads back to one of them is no page.
    above: set[int] = set()
    nodes: list[tuple[Any, bool]] = [(_readable(catalog, "/Pages"), True)]
    while nodes:
        node, is_entered = nodes.pop()
        children = _readable(node, "/Kids") if isinstance(node, DictionaryObject) else None
        if not is_entered:
            above.discard(id(children))
            continue
        if not isinstance(children, ArrayObject) or id(children) in seen:
            continue
        seen.add(id(children))
        above.add(id(children))
        nodes.append((node, False))
        for place in range(len(children)):
            repairs.left_something_out = False
            child = _resolved(list.__getitem__(children, place))
            if not isinstance(child, DictionaryObject) or id(_readable(child, "/Kids")) in above:
                entries = {NameObject("/Type"): NameObject("/Page"), NameObject(DAMAGED): BooleanObject(value=True)}
                children[place] = DictionaryObject(entries)
            elif "/Kids" in child:
                nodes.append((child, True))
            elif repairs.left_something_out:
                child[NameObject(CUT)] = BooleanObject(value=True)


# ── Streams that are cut off ─────────────────────────────────────────────────────────────────────────

_MAX_NESTING = 5
"""Forms within forms that are searched."""
_PIECE = 1_000_000
_MAX_PIECES = 15


def has_cut_streams(page: DictionaryObject) -> bool:
    """Return whether the data of a stream of the page end too early. pypdf gives the text up to there, and no warning."""
    contents = _get(page, "/Contents")
    parts = map(_resolved, contents) if isinstance(contents, ArrayObject) else [contents]
    return any(map(_is_cut, parts)) or any(map(_is_cut, _forms(page, set(), _MAX_NESTING)))


def _is_cut(stream: Any) -> bool:
    filters = _get(stream, "/Filter") if isinstance(stream, EncodedStreamObject) else None
    if filters not in ("/FlateDecode", ["/FlateDecode"]):
        return False
    # Behind two bytes of a header. The checksum at the end is missing in many documents, and says nothing about the text.
    rest, expander = stream._data[2:], zlib.decompressobj(-zlib.MAX_WBITS)  # noqa: SLF001 - decrypted, and not expanded
    is_empty = not rest
    try:
        for _ in range(_MAX_PIECES):
            piece = expander.decompress(rest, _PIECE)
            rest = expander.unconsumed_tail
            # With all data read, it may still hold some of what they expand to.
            if len(piece) < _PIECE:
                return not (expander.eof or is_empty)
    except zlib.error:
        return False  # pypdf warns of it
    return False  # longer than pypdf reads


# ── Form values ──────────────────────────────────────────────────────────────────────────────────────

_MAX_PARENTS = 20
_HIDDEN, _NO_VIEW = 1 << 1, 1 << 5  # ISO 32000-1, table 165
_PASSWORD, _PUSH_BUTTON = 1 << 13, 1 << 16  # tables 226 and 228


def filled_in(page: DictionaryObject) -> tuple[list[str], bool]:
    """Return a line for each value, such as `Name: Jane`, and whether all could be read.

    They are in the order in which the page has its fields. A field that it shows in several places has one value.
    """
    lines: dict[str, None] = {}
    is_complete = True
    annotations = _get(page, "/Annots")
    for each in annotations if isinstance(annotations, ArrayObject) else ():
        try:
            lines[_line(each.get_object())] = None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever pypdf raises for a damaged object costs this value alone
            is_complete = False
    return [line for line in lines if line], is_complete


def _line(annotation: Any) -> str:
    if not isinstance(annotation, DictionaryObject) or _flags(_get(annotation, "/F")) & (_HIDDEN | _NO_VIEW):
        return ""
    match _get(annotation, "/Subtype"):
        case "/FreeText":
            return _text(_get(annotation, "/Contents"))
        case "/Widget":
            value = _value(annotation)
            name = _text(_inherited(annotation, "/TU")) or _full_name(annotation)
            return f"{name}: {value}" if name and value else value
        case _:
            return ""


def _value(widget: DictionaryObject) -> str:
    flags = _flags(_inherited(widget, "/Ff"))
    match _inherited(widget, "/FT"):
        case "/Tx" if not flags & _PASSWORD:
            return _text(_inherited(widget, "/V"))
        case "/Ch":
            chosen = _inherited(widget, "/V")
            labels = _labels(widget)
            values = [_text(each) for each in (chosen if isinstance(chosen, ArrayObject) else [chosen])]
            return ", ".join(labels.get(value, value) for value in values if value)
        case "/Btn" if not flags & _PUSH_BUTTON:
            state = _get(widget, "/AS") or _inherited(widget, "/V")
            return "" if state in (None, "/Off") else _state(widget, _text(state).removeprefix("/"))
        case _:
            return ""


def _state(widget: DictionaryObject, state: str) -> str:
    """Return the name of a button that is on. Where buttons are numbered, their names are options."""
    options = _inherited(widget, "/Opt")
    if isinstance(options, ArrayObject) and state.isdecimal() and int(state) < len(options):
        return _text(options[int(state)].get_object()) or state
    return state


def _labels(widget: DictionaryObject) -> dict[str, str]:
    """Return what a choice shows for each of its values, where these differ."""
    options = _inherited(widget, "/Opt")
    pairs = [each.get_object() for each in options] if isinstance(options, ArrayObject) else []
    return {_text(pair[0]): _text(pair[1]) for pair in pairs if isinstance(pair, ArrayObject) and len(pair) > 1}


def _full_name(widget: DictionaryObject) -> str:
    names = [_text(_get(field, "/T")) for field in _lineage(widget)]
    return ".".join(name for name in reversed(names) if name)


def _inherited(widget: DictionaryObject, key: str) -> Any:
    """Return the widget's own entry, or the nearest of the fields above it."""
    return next((found for field in _lineage(widget) if (found := _get(field, key)) is not None), None)


def _lineage(widget: DictionaryObject) -> Iterator[DictionaryObject]:
    field: Any = widget
    for _ in range(_MAX_PARENTS):
        if not isinstance(field, DictionaryObject):
            return
        yield field
        field = _get(field, "/Parent")


def _flags(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0


def _text(value: Any) -> str:
    """Return a value's text. A long one may be a stream, and pypdf leaves bytes that are no text as they are."""
    if isinstance(value, StreamObject):
        value = value.get_data()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, int | float):
        value = str(value)
    return value.replace("\r\n", "\n").replace("\r", "\n").strip() if isinstance(value, str) else ""


# ── Fonts without a map ──────────────────────────────────────────────────────────────────────────────

_CHARACTER_SETS = ("/GB-EUC-", "/GBpc-EUC-", "/GBK-EUC-", "/GBK2K-", "/ETen-B5-", "/ETenms-B5-", "/90ms-RKSJ-")
"""Encodings of character sets that pypdf decodes."""


def unreadable_fonts(page: DictionaryObject) -> dict[int, str]:
    """Return the names of the fonts without a map that the page may use, by the identity of the font's object."""
    return {id(font): _name(font) for font in _fonts(page, set(), _MAX_NESTING) if not _has_map(font)}


def _fonts(holder: DictionaryObject, seen: set[int], nesting: int) -> Iterator[DictionaryObject]:
    """Yield the fonts of a page or a form, and of the forms that it may draw."""
    resources = _dictionary(holder, "/Resources")
    if not resources or id(resources) in seen:
        return
    seen.add(id(resources))
    fonts = _dictionary(resources, "/Font")
    for name in fonts:
        if isinstance(font := _readable(fonts, name), DictionaryObject):
            yield font
    if nesting:
        for form in _own_forms(resources):
            yield from _fonts(form, seen, nesting - 1)


def _forms(holder: DictionaryObject, seen: set[int], nesting: int) -> Iterator[DictionaryObject]:
    """Yield the forms that a page or a form may draw, and those that they may draw."""
    for form in _own_forms(_dictionary(holder, "/Resources")):
        if id(form) not in seen:
            seen.add(id(form))
            yield form
            if nesting:
                yield from _forms(form, seen, nesting - 1)


def _own_forms(resources: DictionaryObject) -> Iterator[DictionaryObject]:
    drawn = _dictionary(resources, "/XObject")
    for name in drawn:
        if isinstance(form := _readable(drawn, name), DictionaryObject) and _get(form, "/Subtype") != "/Image":
            yield form


def _has_map(font: DictionaryObject) -> bool:
    to_unicode = _get(font, "/ToUnicode")
    if isinstance(to_unicode, StreamObject):
        return b"beginbf" in to_unicode.get_data() or _get(to_unicode, "/UseCMap") is not None
    if isinstance(to_unicode, NameObject):  # the codes are Unicode themselves
        return True
    encoding = _get(font, "/Encoding")
    if _get(font, "/Subtype") == "/Type0":
        name = str(encoding) if isinstance(encoding, NameObject) else ""
        return name.startswith(_CHARACTER_SETS) or "-UCS2-" in name or "-UTF16-" in name
    differences = _get(encoding, "/Differences") if isinstance(encoding, DictionaryObject) else None
    names = [name for name in differences or () if isinstance(name, NameObject)] if isinstance(differences, ArrayObject) else []
    return 2 * sum(map(_is_known, names)) >= len(names)


def _is_known(glyph: str) -> bool:
    """Return whether the glyph's name says its character, such as `/eacute` or `/uni00E9`, and not `/g17`."""
    name = glyph.partition(".")[0]
    return glyph == "/.notdef" or name in adobe_glyphs or (name.startswith(("/uni", "/u")) and len(name) > len("/u123"))


def _name(font: DictionaryObject) -> str:
    """Return the font's name for a message."""
    name = str(_get(font, "/BaseFont") or "").removeprefix("/")
    return "".join(character for character in name if character.isprintable())[:60]


def _dictionary(holder: DictionaryObject, key: str) -> DictionaryObject:
    found = _get(holder, key)
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def _readable(holder: DictionaryObject, key: str) -> Any:
    """Return the object behind the key, also None for a damaged one."""
    return _resolved(holder.get(key))


def _resolved(reference: Any) -> Any:
    try:
        return None if reference is None else reference.get_object()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever pypdf raises for a damaged object
        return None


def _get(holder: DictionaryObject, key: str) -> Any:
    """Return the object behind the key; None for one that the document does not have, and for null."""
    found = holder.get(key)
    found = None if found is None else found.get_object()
    return None if isinstance(found, NullObject) else found
