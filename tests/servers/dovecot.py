"""Dovecot, a real IMAP server, as an own instance that needs no rights and ends with its test."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.patience import PATIENCE, tries

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
auth_verbose = yes
auth_failure_delay = 0
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain_port}
  }}
  inet_listener imaps {{
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home/%u
}}
"""


@dataclass
class Dovecot:
    """A server with one user.

    Attributes:
        ca: the certificate to trust.
    """

    folder: Path
    port: int
    plain_port: int
    host: str = "127.0.0.1"
    user: str = "ada"
    password: str = "ebb-and-flow"
    process: subprocess.Popen[bytes] | None = None

    @property
    def ca(self) -> str:
        return str(self.folder / "cert.pem")

    @contextmanager
    def client(self) -> Iterator[IMAPClient]:
        """The user, signed in, with the inbox open for writing."""
        client = IMAPClient(self.host, self.plain_port, ssl=False, timeout=PATIENCE)
        client.login(self.user, self.password)
        client.select_folder("INBOX")
        yield client
        client.logout()

    def deliver(self, subject: str, text: str, folder: str = "INBOX", **headers: str) -> None:
        """Put a message into a folder."""
        message = _message(subject, text)
        for name, value in headers.items():
            del message[name]
            message[name] = value
        with self.client() as client:
            client.append(folder, message.as_bytes())

    def deliver_with_attachment(self, subject: str, text: str, name: str, content: str) -> None:
        """Put a message with a text file into the inbox."""
        message = _message(subject, text)
        message.add_attachment(content, filename=name)
        with self.client() as client:
            client.append("INBOX", message.as_bytes())

    def set_password(self, password: str) -> None:
        """Change what the user signs in with; clients go on with the old one and fail."""
        self._write_password(password)
        while not self._takes(password):  # it looks at the file once a second at most
            time.sleep(0.1)

    def _write_password(self, password: str) -> None:
        (self.folder / "users").write_text(f"{self.user}:{{PLAIN}}{password}\n")

    def _takes(self, password: str) -> bool:
        client = IMAPClient(self.host, self.plain_port, ssl=False, timeout=PATIENCE)
        try:
            client.login(self.user, password)
        except LoginError:
            return False
        finally:
            client.logout()
        return True

    def start(self) -> None:
        """Start it, or start it again."""
        command = ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
        if os.getuid() == 0:
            group = str(pwd.getpwnam("dovecot").pw_gid)
            command = ["setpriv", "--reuid=dovecot", f"--regid={group}", "--clear-groups", *command]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._await_answer()

    def stop(self) -> None:
        """Stop it, and whatever it has begun."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)

    def _await_answer(self) -> None:
        for _ in tries():
            try:
                with socket.create_connection((self.host, self.plain_port), 0.5):
                    return
            except OSError:
                assert self.process is not None
                try:
                    self.process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                break
        log = self.folder / "log"
        raise AssertionError(log.read_text() if log.exists() else "Dovecot does not start")


@contextmanager
def running() -> Iterator[Dovecot]:
    """A new server until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="ponant-dovecot-"))
    server = Dovecot(folder, _free_port(), _free_port())
    try:
        _prepare(server)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(server: Dovecot) -> None:
    name = "dovecot" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name
    settings = {"user": name, "group": group, "port": server.port, "plain_port": server.plain_port}
    text = _CONFIG.format(folder=server.folder, **settings)
    (server.folder / "dovecot.conf").write_text(text)
    server._write_password(server.password)
    certificate(Path(server.ca), server.folder / "key.pem")
    if os.getuid() == 0:
        shutil.chown(server.folder, "dovecot", group)
        for path in server.folder.iterdir():
            shutil.chown(path, "dovecot", group)


def certificate(path: Path, key: Path) -> None:
    """Write a certificate that nobody but itself vouches for, of 127.0.0.1, and its key."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )


def _message(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Grace <grace@example.org>"
    message["To"] = "Ada <ada@example.org>"
    message["Date"] = "Mon, 02 Mar 2026 09:30:00 +0000"
    message.set_content(text)
    return message


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
