"""Names under which browsers save downloads: safe on every file system and in a header."""

import unicodedata
from urllib.parse import quote

MAX_BYTES = 200
"""Of a name without what is added to it; file systems take 255."""
RESERVED = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))
JOINERS = "\u200c\u200d"
"""Not printable by themselves, but without them Persian words and emoji fall apart."""


def one_line(text: str) -> str:
    """Return the text in one line, without control and formatting characters."""
    shown = "".join(letter if letter.isprintable() or letter in JOINERS else " " for letter in text)
    return " ".join(unicodedata.normalize("NFC", shown).split())


def is_plain_name(text: str) -> bool:
    """Return whether this is the name of a file, in no folder, which storage and clients leave as it is."""
    is_printed = all(letter not in "/\\" and letter.isprintable() for letter in text)
    return is_printed and not text.endswith(".")


def stem_file_name(*, title: str, artist: str | None, stem_type: str, suffix: str = "wav") -> str:
    """Return `artist - title (Drums).wav`."""
    named = one_line(f"{artist} - {title}" if artist else title).translate(RESERVED)
    short = named.encode()[:MAX_BYTES].decode(errors="ignore").strip(" .")
    return f"{short or 'stem'} ({stem_type}).{suffix}"


def content_disposition(file_name: str) -> str:
    """Return the header by which a browser saves the answer as `file_name` (RFC 6266, RFC 5987)."""
    fallback = "".join(letter if letter.isascii() else "_" for letter in file_name)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(file_name, safe='')}"
