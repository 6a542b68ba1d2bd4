"""What numba compiled when the image was built, for a container that can't write beside librosa.

numba looks only into a cache that it can write to, and without one compiles for half a minute at each start.
So the image holds a copy, which a starting worker lays where NUMBA_CACHE_DIR says.
"""

import os
import shutil
from pathlib import Path

from shared.settings import SettingsError


def unpack(compiled: Path) -> None:
    """Copy the image's compiled functions, some megabytes, to where numba looks.

    Raises
    ------
    SettingsError
        If the folder is missing, or NUMBA_CACHE_DIR is not set or can't be written.
    """
    try:
        shutil.copytree(compiled, os.environ["NUMBA_CACHE_DIR"], dirs_exist_ok=True)
    except KeyError:
        raise SettingsError("COMPILED_FUNCTIONS needs NUMBA_CACHE_DIR, to which they are copied") from None
    except (OSError, shutil.Error) as error:
        raise SettingsError(f"COMPILED_FUNCTIONS can't be copied to NUMBA_CACHE_DIR: {error}") from None
