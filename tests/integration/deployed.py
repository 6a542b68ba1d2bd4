"""Both parts as they are in Azure: the Function app's package in an own environment, the worker's image.

There is no container engine here, so the worker runs as its Dockerfile says in namespaces of its own: one
folder alone can be written, the user has a number and no name, and the environment is the image's.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from pathspec import GitIgnoreSpec

from tests.conftest import ROOT

DOCKERFILE = ROOT / "gpu_worker" / "Dockerfile"
HOST_NEEDS = ("azure-storage-queue", "croniter", "python-dateutil")
"""What the stand-in of the Functions host imports beyond what an app brings."""


def packed() -> Iterator[Path]:
    """Yield the files that a deployment uploads: all but what .funcignore, in git's syntax, leaves out."""
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    for folder, folders, files in os.walk(ROOT, followlinks=True):
        inside = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders if not ignored.match_file(f"{inside / name}/")]
        yield from (inside / name for name in files if not ignored.match_file(inside / name))


def write_package(path: Path) -> Path:
    """Write the package as a deployment does, into one zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name in packed():
            package.write(ROOT / name, name)
    return path


def install(cache: Path) -> Path:
    """Return an environment that holds the app's requirements and nothing else, made once for their text."""
    requirements = ROOT / "requirements.txt"
    content = hashlib.sha256(requirements.read_bytes() + f"{sys.version}{ROOT}".encode()).hexdigest()[:16]
    environment = cache / content
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = (environment / "bin" / "python", "-m", "pip", "install", "--quiet")
        subprocess.run([*pip, "-r", requirements], check=True)
        extra = [f"{name}=={version(name)}" for name in HOST_NEEDS]
        subprocess.run([*pip, "--no-deps", "--target", environment / "host", *extra], check=True)
        (environment / "host" / "local").symlink_to(ROOT / "local")
        (environment / "ready").touch()
    return environment


def host_command(environment: Path) -> list[str]:
    """Return the command that runs Python with the app's packages and the stand-in host beside them."""
    host = environment / "host"
    return ["env", "-C", str(host), f"PYTHONPATH={host}", str(environment / "bin" / "python")]


def image_environment(tmp: Path) -> dict[str, str]:
    """Return what the last stage of the Dockerfile sets for the worker, with `tmp` in place of /tmp."""
    last_stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    lines = re.findall(r"^ENV (.*)$", last_stage, re.MULTILINE)
    found = dict(assignment.split("=", 1) for line in lines for assignment in shlex.split(line))
    return {**{name: value.replace("/tmp", str(tmp)) for name, value in found.items()}, "TMPDIR": str(tmp)}


def image_user() -> tuple[int, int]:
    """Return user and group of the worker in its image."""
    found = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found, "the image names its user by number"
    return int(found[1]), int(found[2])


ENTER = """
tmp=$1 user=$2 group=$3
shift 3
mount --bind "$tmp" "$tmp"
mount -o remount,bind,ro /
exec unshare --user --map-user="$user" --map-group="$group" -- env --ignore-environment "$@"
"""


def container_command(tmp: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs Python as in the worker's container, where only `tmp` can be written."""
    user, group = map(str, image_user())
    variables = [f"{name}={value}" for name, value in environment.items()]
    enter = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-ec", ENTER, "container"]
    return [*enter, str(tmp), user, group, *variables, sys.executable]


def is_container_possible(tmp: Path) -> bool:
    """Return whether this machine lets us make namespaces."""
    return subprocess.run([*container_command(tmp, {}), "-c", ""], capture_output=True).returncode == 0


def write_compiled(folder: Path) -> None:
    """Lay what numba compiled of librosa at set-up as the image's build does: in a folder of its own."""
    import librosa
    from numba.core.caching import UserProvidedCacheLocator

    packages = Path(librosa.__file__).parent.parent
    for index in packages.glob("librosa/**/__pycache__/*.nb[ic]"):
        source = index.parent.parent / f"{index.name.split('.', 1)[0]}.py"
        target = folder / UserProvidedCacheLocator.get_suitable_cache_subpath(str(source))
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(index, target)
