"""Base64 as clients write it: one reader for every entrance."""

from __future__ import annotations

import re
from base64 import b64decode

_ADDRESS = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\n\r\f\v"


def bytes_of(text: str) -> bytes:
    """The bytes in base64 `text`: with either alphabet (RFC 4648, 4 and 5), line breaks, or as a `data:` address (RFC 2397).

    The padding may be missing. Raises ValueError for anything else.
    """
    try:
        return b64decode(text, validate=True)
    except ValueError:
        address = _ADDRESS.match(text)
        plain = text[address.end() if address else 0 :].encode("ascii").translate(_URL_SAFE, _WHITESPACE).rstrip(b"=")
        return b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
