"""Who there is and who is asking: the first start, keys, sign-in links and sessions."""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from ponant.accounts import credentials, issuing, people, repository
from ponant.accounts.directory import Directory
from ponant.accounts.principal import Principal, Role, lower
from ponant.accounts.recent import RecentKeys
from ponant.accounts.schemas import ApiKey, FirstStart, Identity, NewKey
from ponant.accounts.sharing import Shares
from ponant.accounts.tables import (
    InstallationRow,
    KeyLookupRow,
    SessionRow,
    SignInTokenRow,
)
from ponant.kit import Clock, PonantError, new_id
from ponant.kit.errors import Forbidden, NotFound, SetupError, Unauthorized, Unprocessable
from ponant.store import Database, Scope

_LINK_LIFE = timedelta(minutes=15)
SESSION_LIFE = timedelta(days=30)
_TOUCH_EVERY = timedelta(hours=1)
_LONGEST_NAME = 100
_FIRST_KEY_NAME = "first start"
_FIRST_NAMES = Identity(
    organisation="My organisation",
    workspace="Main",
    person="Administrator",
    email=None,
    key=None,
)
# A key that nobody has takes the same statements, and so the same time, as one that was revoked.
_NO_KEY = KeyLookupRow(
    key_hash=credentials.digest(""), key_id="", organisation_id="", workspace_id=""
)

log = structlog.get_logger()


class Accounts:
    """People and what they sign in with. Every method is one transaction.

    Attributes:
        directory: who belongs to the organisation, and to which groups.
        shares: who may change which library.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._recent = RecentKeys()
        self.directory = Directory(database, clock, self._recent.forget)
        self.shares = Shares(database)

    def ensure_first(self, admin_key: str | None) -> FirstStart | None:
        """Make what the first start needs, and make ``admin_key`` the administrator's.

        Args:
            admin_key: what PONANT_ADMIN_KEY says. It takes the place of the key that the setting
                named before; keys made otherwise stay.

        Returns:
            What was made, at the first start; None at later ones.

        Raises:
            SetupError: ``admin_key`` is too short, or is already somebody else's key.
        """
        if admin_key is not None:
            credentials.check_chosen(admin_key)
        self._recent.forget()
        with self._database.write() as session:
            installed = repository.installation(session)
            is_first = installed is None
            administrator = self._administrator(session, installed or self._install(session))
            plain = None
            if admin_key is not None:
                issuing.adopt_setting(session, administrator, admin_key, self._clock.now())
            elif is_first:
                plain = self._add_key(session, administrator, _FIRST_KEY_NAME, Role.ADMIN).key
            return FirstStart(administrator, plain) if is_first else None

    def administrator(self) -> Principal:
        """The first administrator, for whom the command line acts.

        Raises:
            SetupError: nothing was started here yet.
        """
        with self._database.read() as session:
            installed = repository.installation(session)
            if installed is None:
                raise SetupError("Nothing is set up here yet. Start Ponant first: `ponant serve`.")
            return self._administrator(session, installed)

    def principal_for_key(self, key: str) -> Principal:
        """Whom a key speaks for, with the lesser of its role and its person's.

        Raises:
            Unauthorized: unknown or revoked; the message does not tell which.
        """
        key_hash, look = credentials.digest(key), self._recent.begin()
        with self._database.read() as session:
            lookup = repository.key_lookup(session, key_hash) or _NO_KEY
            owner = repository.key_owner(session, lookup)
        if not credentials.same(lookup.key_hash, key_hash) or owner is None:
            self._recent.drop(key_hash)
            raise wrong_key()
        self._touch(owner)
        self._recent.remember(key_hash, owner.principal, look)
        return owner.principal

    def known_for_key(self, key: str) -> Principal | None:
        """As `principal_for_key` within a second of its last answer, else None; never waits."""
        return self._recent.find(key)

    @property
    def recent(self) -> RecentKeys:
        """What was looked up within the last second."""
        return self._recent

    def present(self, owner: Scope, key_id: str | None) -> Principal | None:
        """What somebody may do now, by the key that they did something with or by themselves.

        None where they are no member of the workspace any more, or the key was revoked.
        """
        with self._database.read() as session:
            found = repository.principal(session, owner, owner.person_id or "")
            if found is None or key_id is None:
                return found
            key = repository.key(session, owner, key_id)
            if key is None or key.revoked_at is not None or key.person_id != found.person_id:
                return None
            return replace(found, key_id=key.id, role=lower(Role(key.role), found.role))

    def create_key(self, caller: Principal, name: str, role: Role | None = None) -> NewKey:
        """Make a key that speaks for the caller, with at most the caller's role.

        Raises:
            Forbidden: the caller is a viewer, or asks for more than their own role.
            Unprocessable: the name is empty or too long.
        """
        wanted = role or caller.role
        if not caller.role.covers(Role.MEMBER):
            raise Forbidden("A viewer makes no keys. Ask an administrator for one.")
        if not caller.role.covers(wanted):
            raise Forbidden(f"Your role is {caller.role}, so your keys cannot have role {wanted}.")
        name = _key_name(name)
        with self._database.write() as session:
            return self._add_key(session, caller, name, wanted)

    def issue_key(self, caller: Principal, person: Principal, name: str) -> NewKey:
        """Make a key that speaks for a member of the caller's workspace, who is administrator.

        Raises:
            Forbidden: the caller is no administrator of the person's workspace.
        """
        same = caller.workspace_id == person.workspace_id
        if not (same and caller.role.covers(Role.ADMIN)):
            raise Forbidden("Only an administrator of the workspace makes somebody else's keys.")
        with self._database.write() as session:
            made = self._add_key(session, person, _key_name(name), person.role)
            detail = {"person_id": person.person_id}
            people.note(session, caller, "key.issue", made.info.id, detail, self._clock.now())
        return made

    def list_keys(self, caller: Principal) -> list[ApiKey]:
        """The workspace's keys for an administrator, the caller's own for everybody else."""
        person = None if caller.role.covers(Role.ADMIN) else caller.person_id
        with self._database.read() as session:
            return [
                repository.as_key(row) for row in repository.keys(session, caller.scope, person)
            ]

    def revoke_key(self, caller: Principal, key_id: str) -> None:
        """End a key for good; a second time changes nothing.

        Raises:
            NotFound: no such key in the workspace, or it is not the caller's to revoke.
        """
        with self._database.write() as session:
            row = repository.key(session, caller.scope, key_id)
            own = row is not None and row.person_id == caller.person_id
            if row is None or not (own or caller.role.covers(Role.ADMIN)):
                raise NotFound(f"There is no key {key_id}. List yours to see their ids.")
            if row.revoked_at is None:
                repository.set_revoked(session, caller.scope, key_id, self._clock.now())
        self._recent.forget()

    def identity(self, caller: Principal) -> Identity:
        """The names behind the caller's ids."""
        with self._database.read() as session:
            found = repository.identity(session, caller)
        if found is None:
            raise wrong_key()
        return found

    def create_link(self, caller: Principal | None = None) -> str:
        """A sign-in token for the caller, or the first administrator: once, within 15 minutes."""
        person = caller or self.administrator()
        token, now = credentials.make_token(), self._clock.now()
        with self._database.write() as session:
            repository.drop_expired(session, now)
            session.add(
                SignInTokenRow(
                    token_hash=credentials.digest(token),
                    organisation_id=person.organisation_id,
                    workspace_id=person.workspace_id,
                    person_id=person.person_id,
                    expires_at=now + _LINK_LIFE,
                )
            )
        return token

    def open_session(self, token: str) -> tuple[str, Principal]:
        """Turn a sign-in token into a session of 30 days.

        Returns:
            The cookie's value, stored nowhere, and who it speaks for.

        Raises:
            Unauthorized: the token is unknown, used or too old.
        """
        cookie, now = credentials.make_token(), self._clock.now()
        with self._database.write() as session:
            row = repository.take_token(session, credentials.digest(token), now)
            opened = None if row is None else self._open(session, row, cookie, now)
            if opened is None:
                raise Unauthorized(
                    "This sign-in link was used already or is older than 15 minutes. Run "
                    "`ponant link` for a fresh one."
                )
        return cookie, opened

    def principal_for_session(self, cookie: str) -> Principal:
        """Whom a session speaks for.

        Raises:
            Unauthorized: unknown, closed or expired.
        """
        with self._database.read() as session:
            row = repository.session_row(session, credentials.digest(cookie))
            if row is not None and row.expires_at > self._clock.now():
                scope = Scope(row.organisation_id, row.workspace_id, row.person_id)
                found = repository.principal(session, scope, row.person_id, row.id)
                if found is not None:
                    return found
        raise wrong_key()

    def close_session(self, cookie: str) -> None:
        """End a session; an unknown one is none."""
        with self._database.write() as session:
            repository.drop_session(session, credentials.digest(cookie))

    def _install(self, session: Session) -> InstallationRow:
        owner, now = Scope(new_id("org"), new_id("ws"), new_id("person")), self._clock.now()
        repository.add_organisation(session, owner, _FIRST_NAMES, now)
        return repository.install(session, owner, now)

    def _administrator(self, session: Session, installed: InstallationRow) -> Principal:
        scope = Scope(installed.organisation_id, installed.workspace_id, installed.person_id)
        found = repository.principal(session, scope, installed.person_id)
        if found is None:
            raise SetupError(
                "The first administrator is no longer a member of the first workspace."
            )
        return found

    def _add_key(self, session: Session, owner: Principal, name: str, role: Role) -> NewKey:
        key = credentials.make_key()
        row = issuing.key_row(owner, name, role, self._clock.now(), hint=credentials.hint(key))
        repository.add_key(session, owner.scope, row, credentials.digest(key))
        return NewKey(key, repository.as_key(row))

    def _open(
        self, session: Session, token: SignInTokenRow, cookie: str, now: datetime
    ) -> Principal | None:
        scope = Scope(token.organisation_id, token.workspace_id, token.person_id)
        row = SessionRow(
            cookie_hash=credentials.digest(cookie),
            id=new_id("sess"),
            organisation_id=token.organisation_id,
            workspace_id=token.workspace_id,
            person_id=token.person_id,
            created_at=now,
            expires_at=now + SESSION_LIFE,
        )
        session.add(row)
        return repository.principal(session, scope, token.person_id, row.id)

    def _touch(self, owner: repository.KeyOwner) -> None:
        """Note when a key was last used, right to the hour: a write at each request is too much."""
        now, last = self._clock.now(), owner.last_used_at
        caller = owner.principal
        if caller.key_id is None or (last is not None and now - last < _TOUCH_EVERY):
            return
        try:
            with self._database.write() as session:
                repository.touch_key(session, caller.scope, caller.key_id, now)
        except PonantError as e:
            # A right key works on a full disk too.
            log.warning("last use of a key not stored", key_id=caller.key_id, reason=e.message)


def _key_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= _LONGEST_NAME:
        raise Unprocessable(
            f"A key's name has between 1 and {_LONGEST_NAME} characters.", param="name"
        )
    return name


def wrong_key() -> Unauthorized:
    """The one answer to every credential that is missing, unknown, revoked or expired."""
    return Unauthorized(
        "The API key is missing, wrong or revoked. Send it as `Authorization: Bearer <key>`; "
        "`ponant keys create NAME` makes one, `ponant link` signs in to the page."
    )
