"""Files into folders: under a safe name, whole or not at all, and never over another."""

import os
import re
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path

from pathvalidate import sanitize_filename

from stem_library_client.transport import Download

MAX_BYTES = 255
"""Of a file's name, on most file systems."""
MAX_SUFFIX_BYTES = 10
NO_LIMIT = 1_000_000


def save(
    download: Download,
    folder: Path,
    *,
    otherwise: str,
    overwrite: bool = False,
    on_received: Callable[[int], object] = lambda received: None,
) -> Path:
    """Write a download into a folder, which is created if need be; return the file's path.

    Parameters
    ----------
    otherwise : str
        The file's name if the server gives none.
    overwrite : bool
        Whether a file of the same name may be replaced.
    on_received : callable
        Told after each part how many bytes have come so far.

    Raises
    ------
    FileExistsError
        If there is one, and it may not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / safe_name(download.file_name or otherwise)
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(f"{target} is there already (--force replaces it).")
    part = folder / f".{uuid.uuid4()}.part"
    try:
        with part.open("xb") as file:
            for chunk in download.chunks:
                file.write(chunk)
                on_received(file.tell())
        if not overwrite:
            target.touch(exist_ok=False)
        return part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """Return a name that any file system takes as that of one plain, visible file."""
    encodable = unicodedata.normalize("NFC", name.encode(errors="replace").decode())
    whole = sanitize_filename(encodable, replacement_text="_", max_len=NO_LIMIT)
    if not whole or whole.startswith("."):
        whole = f"_{whole}"
    suffix = Path(whole).suffix
    if len(suffix.encode()) > MAX_SUFFIX_BYTES:
        suffix = ""
    stem = whole.removesuffix(suffix).encode()[: MAX_BYTES - len(suffix.encode())]
    short = f"{stem.decode(errors='ignore')}{suffix}"
    return re.sub(r"[\s.]+$", "", short) or "_"
