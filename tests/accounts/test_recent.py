"""Keys that were looked up a moment ago."""

from ponant.accounts import Accounts, Principal, Role, credentials
from ponant.accounts.recent import RecentKeys

CALLER = Principal(
    organisation_id="org", workspace_id="ws", person_id="p", role=Role.MEMBER, key_id="key_1",
    session_id=None, name="Ada",
)  # fmt: skip


def test_a_key_is_known_for_a_second_and_no_longer() -> None:
    now = 5.0
    recent = RecentKeys(lambda: now)
    recent.remember(credentials.digest("k"), CALLER, recent.begin())
    assert recent.find("k") == CALLER
    assert recent.find("other") is None
    now = 6.1
    assert recent.find("k") is None


def test_a_look_up_that_a_revocation_overtook_is_not_kept() -> None:
    recent = RecentKeys()
    look = recent.begin()
    recent.forget()
    recent.remember(credentials.digest("k"), CALLER, look)
    assert recent.find("k") is None


def test_a_revoked_key_is_forgotten_at_once(accounts: Accounts) -> None:
    accounts.ensure_first(None)
    administrator = accounts.administrator()
    made = accounts.create_key(administrator, "laptop")
    accounts.principal_for_key(made.key)
    assert accounts.known_for_key(made.key) is not None
    accounts.revoke_key(administrator, made.info.id)
    assert accounts.known_for_key(made.key) is None
