"""The stand-ins that the integration tests use, and a folder for workers."""

from pathlib import Path

import pytest

from tests.integration.conftest import settings as settings


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where workers put what they work on (TMPDIR)."""
    return tmp_path_factory.mktemp("scratch")
