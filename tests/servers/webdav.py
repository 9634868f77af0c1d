"""WsgiDAV over a folder, in this process."""

import threading
from pathlib import Path

from cheroot.wsgi import Server
from wsgidav.wsgidav_app import WsgiDAVApp

USER, PASSWORD = "ada", "secret-of-ada"


class WebdavServer:
    """Serves a folder at one port, and can be stopped and started again.

    Attributes:
        password: what the user signs in with; may be changed while it runs.
    """

    def __init__(self, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        self.url = f"http://{host}:{port}/files"
        self.password = PASSWORD
        self._folder = folder
        self._host = host
        self._port = port
        self._server: Server | None = None

    def start(self) -> None:
        config = {
            "host": self._host,
            "port": self._port,
            "provider_mapping": {"/files": str(self._folder)},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": self.password}}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False},
            "logging": {"enable": False},
            "verbose": 0,
        }
        self._server = Server((self._host, self._port), WsgiDAVApp(config), numthreads=4)
        self._server.shutdown_timeout = 0.2
        self._server.prepare()
        threading.Thread(target=self._server.serve, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
