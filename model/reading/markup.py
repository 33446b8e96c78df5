"""Markdown, HTML and SSML to the text in them: one line for each block, list item and row of a table."""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

_INLINE = frozenset(
    "a abbr b bdi bdo big cite code data dfn em emphasis font i img input kbd label lang mark phoneme prosody q rp rt ruby "
    "s samp say-as small span strike strong sub sup time tt u var voice wbr".split()
)
_BLOCK = frozenset(
    "address article aside audio blockquote body br break button canvas caption center col colgroup dd details dialog div "
    "dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main menu meta "
    "nav noscript object ol optgroup option p par paragraph picture pre script section select sentence seq source speak "
    "style summary svg table tbody td template textarea tfoot th thead title tr track ul video".split()
)
_UNSEEN = frozenset(("script", "style", "template", "head", "svg", "noscript"))
_TAG = re.compile(r"<(?:!--.*?-->|!doctype[^>]*>|/?([a-zA-Z][\w-]*)(?:\s[^<>]*)?/?>)", re.DOTALL | re.IGNORECASE)
_MARKDOWN = re.compile(r"[*_`~\[|\\]|^[^\S\n]*(?:#|>\s|[-+]\s|\d+[.)]\s|={3,}|-{3,})", re.MULTILINE)

_LONGEST = 8_192
"""Characters beyond which nothing is taken for markup: its parsers' time grows with the square of some texts."""


def text_of(source: str) -> tuple[str, list[str]]:
    """The text in `source`, and what of it was left out because nobody would read it aloud: blocks of code."""
    marked_up = len(source) <= _LONGEST
    if marked_up and any(_known(found) for found in _TAG.finditer(source)):
        source = _html(source)
    if "&" in source:
        source = unescape(source)
    if not (marked_up and _MARKDOWN.search(source)):
        return source, []
    lines, dropped = list[str](), list[str]()
    marker = ""
    for token in _parser().parse(source):
        if token.type == "list_item_open":
            marker = f"{token.info}. " if token.info else ""
        elif token.type in ("fence", "html_block"):
            dropped.append(token.content.strip())
        elif token.type == "inline":
            lines.append(marker + _inline(token))
            marker = ""
    return "\n\n".join(lines), dropped


def _known(tag: re.Match[str]) -> bool:
    return tag[1] is None or tag[1].lower() in _INLINE | _BLOCK


@cache
def _parser() -> MarkdownIt:
    """CommonMark with tables; without code by indentation, which plain text has too, and without HTML, which is gone by then."""
    options = {"html": False, "linkify": False, "typographer": False}
    return (
        MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).disable(["code", "lheading", "reference"])
    )


def _inline(token: Token) -> str:
    text = ""
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            text += child.content
        elif child.type in ("softbreak", "hardbreak"):
            text += "\n"
        elif child.type == "image":
            text += child.content
    return text


class _Text(HTMLParser):
    """Collects text; a block begins a line. Tags that HTML and SSML do not have stay as they were written."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._at(tag)
        self._unseen += tag in _UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))
        if tag in _INLINE | _BLOCK:
            self._at(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._at(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.text += data

    def _at(self, tag: str) -> None:
        if tag in _BLOCK:
            self.text += "\n\n"
        elif tag not in _INLINE and not self._unseen:
            self.text += self.get_starttag_text() or ""


def _html(source: str) -> str:
    parser = _Text()
    parser.feed(source)
    parser.close()
    return parser.text
