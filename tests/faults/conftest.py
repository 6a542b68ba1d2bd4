"""The stand-ins that the integration tests use."""

from tests.integration.conftest import settings as settings
