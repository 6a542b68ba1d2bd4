import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.file_names import content_disposition, stem_file_name


@pytest.mark.parametrize(
    ("title", "artist", "name"),
    [
        ("Song", None, "Song (Drums).wav"),
        ("Song", "Band", "Band - Song (Drums).wav"),
        ("Größe “2”", "坂本", "坂本 - Größe “2” (Drums).wav"),
        ('say "hi"', 'a"; filename="evil.exe', "a_; filename=_evil.exe - say _hi_ (Drums).wav"),
        ("a\r\nSet-Cookie: x=1", None, "a Set-Cookie_ x=1 (Drums).wav"),
        ("../../etc/passwd", None, "_.._etc_passwd (Drums).wav"),
        ("..\\x\\CON", None, "_x_CON (Drums).wav"),
        ("", None, "stem (Drums).wav"),
        ("...", None, "stem (Drums).wav"),
        ("evil\u202evaw.exe", None, "evil vaw.exe (Drums).wav"),
        ("\ud800x\0", None, "x (Drums).wav"),
        ("長" * 1000, None, "長" * 66 + " (Drums).wav"),
    ],
)
def test_names_of_downloads(title: str, artist: str | None, name: str):
    assert stem_file_name(title=title, artist=artist, stem_type="Drums") == name


@given(st.text(max_size=400) | st.text(' "\\/\r\n;=%.', max_size=20), st.none() | st.text())
def test_every_name_is_one_file_and_one_header(title: str, artist: str | None):
    name = stem_file_name(title=title, artist=artist, stem_type="Vocals")
    assert len(name.encode()) <= 255
    assert not set(name) & set('/\\"\r\n\0') and not name.startswith(".")
    header = content_disposition(name)
    plain, encoded = re.fullmatch(
        r"attachment; filename=\"([ !#-~]*)\"; filename\*=UTF-8''(\S+)", header
    ).groups()  # type: ignore[union-attr]
    assert unquote(encoded) == name
    assert len(plain) == len(name)
