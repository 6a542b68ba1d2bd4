"""The Debian and Python packages that the renderer stands on, and one clear sentence where one is missing."""

import shutil
from importlib.util import find_spec
from pathlib import Path

SOUNDFONTS = {
    "fluid-soundfont-gm": Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    "timgm6mb-soundfont": Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
    "musescore-general-soundfont": Path("/usr/share/sounds/sf3/MuseScore_General.sf3"),
}
DRUM_KITS = Path("/usr/share/hydrogen/data/drumkits")
COMMANDS = ["fluidsynth", "espeak-ng", "flite"]
# pkg_resources is what pyworld needs of setuptools.
MODULES = {"pretty_midi": "pretty_midi", "pyworld": "pyworld", "pkg_resources": "setuptools"}


def missing_packages() -> str | None:
    """Name in one sentence what has to be installed before anything can be rendered; None if nothing has."""
    debian = [command for command in COMMANDS if shutil.which(command) is None]
    debian += [package for package, path in SOUNDFONTS.items() if not path.exists()]
    debian += [] if DRUM_KITS.exists() else ["hydrogen-drumkits"]
    if debian:
        return f"The renderer needs these Debian packages: apt-get install {' '.join(debian)}"
    python = [package for module, package in MODULES.items() if find_spec(module) is None]
    if python:
        requirements = Path(__file__).parents[1] / "requirements.txt"
        return f"The renderer needs {', '.join(python)}: pip install -r {requirements}"
    return None
