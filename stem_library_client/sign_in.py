"""Bearer tokens of Microsoft Entra ID, for deployments that ask for them."""

import logging
import sys
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential

NEEDED = (
    "This deployment asks for sign-in: name its scope by --scope or STEMS_SCOPE (<client id>/.default),"
    " or give a token by STEMS_TOKEN."
)


class SignInError(Exception):
    """There is no token to be had; the message is for the user."""


class EntraSignIn:
    """Signs the user in at the first call: as the Azure CLI and its like are, else through a browser.

    Parameters
    ----------
    scope : str or None
        The API's, as in `<client id>/.default`.
    """

    def __init__(self, scope: str | None) -> None:
        self._scope = scope

    def __call__(self) -> str:
        """Return a token that is valid now.

        Raises
        ------
        SignInError
            If there is none.
        """
        if not self._scope:
            raise SignInError(NEEDED)
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return self._credential.get_token(self._scope).token
        except ClientAuthenticationError as error:
            # The rest of a long message are the ways that were not open.
            refusals = [line.strip() for line in error.message.splitlines() if "AADSTS" in line]
            reason = " ".join(refusals) or "nobody is signed in; `az login` does it."
            raise SignInError(f"There is no token for {self._scope}: {reason}") from error

    @cached_property
    def _credential(self) -> "DefaultAzureCredential":
        from azure.identity import DefaultAzureCredential

        logging.getLogger("azure").setLevel(logging.CRITICAL)  # what it warns of comes as an exception, too
        # Only where somebody is there to sign in.
        return DefaultAzureCredential(exclude_interactive_browser_credential=not sys.stdin.isatty())
