"""The principal that App Service Authentication sends along."""

import base64

import azure.functions as func
import pytest

from functions.roles import PRINCIPAL_HEADER, Role, check_role
from shared.errors import ForbiddenError, UnauthenticatedError


def request(content: str | None) -> func.HttpRequest:
    headers = {} if content is None else {PRINCIPAL_HEADER: base64.b64encode(content.encode()).decode()}
    return func.HttpRequest(method="GET", url="http://localhost/", headers=headers, body=b"")


@pytest.mark.parametrize("content", [None, "", "garbage", "[1]", "null", "{}", '{"claims": [{"typ": 1}]}'])
def test_a_principal_that_can_not_be_read_is_nobody(content: str | None):
    with pytest.raises(UnauthenticatedError):
        check_role(request(content), Role.READ)


def test_a_header_that_is_no_base64_is_nobody():
    unreadable = func.HttpRequest(method="GET", url="/", headers={PRINCIPAL_HEADER: "garbage!"}, body=b"")
    with pytest.raises(UnauthenticatedError):
        check_role(unreadable, Role.READ)


@pytest.mark.parametrize("kind", ["roles", "http://a/role"])
def test_a_role_counts_under_the_type_that_the_principal_names(kind: str):
    content = f'{{"role_typ": "http://a/role", "claims": [{{"typ": "{kind}", "val": "Read"}}]}}'
    check_role(request(content), Role.READ)
    with pytest.raises(ForbiddenError):
        check_role(request(content), Role.WRITE)


def test_a_claim_of_another_type_is_no_role():
    with pytest.raises(ForbiddenError):
        check_role(request('{"claims": [{"typ": "name", "val": "Read"}]}'), Role.READ)
