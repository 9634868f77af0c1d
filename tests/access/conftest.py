"""One office for the tests that leave others' documents alone."""

from collections.abc import Iterator

import pytest

from ponant.accounts import Role
from tests.access.office import Office, open_office


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Ada is in Finance, Bob has an address, Cyn is in both groups, Eve only looks on."""
    with open_office(tmp_path_factory.mktemp("office") / "home") as office:
        admin = office.people["admin"].principal
        for group in ("Finance", "Board"):
            office.accounts.directory.add_group(admin, group)
        office.add("ada", Role.MEMBER, "Finance")
        office.add("bob", Role.MEMBER, email="Bob@example.org")
        office.add("cyn", Role.MEMBER, "Finance", "Board")
        office.add("eve", Role.MEMBER)
        yield office
