"""An SFTP server on this machine, with paramiko: it serves one folder to one user."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_OK, SFTP_PERMISSION_DENIED

USER, PASSWORD = "reader", "open@sesame"


def new_key() -> paramiko.PKey:
    """Return a new key for a server."""
    return paramiko.ECDSAKey.generate()


class _Login(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        is_right = (username, password) == (USER, PASSWORD)
        return AUTH_SUCCESSFUL if is_right else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED


class _Folder(paramiko.SFTPServerInterface):
    """Reads and writes what is in `root`; a file named `secret.csv` may not be read."""

    root: Path

    def _real(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        try:
            return [paramiko.SFTPAttributes.from_stat(each.stat(), each.name) for each in self._real(path).iterdir()]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(self._real(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        if path.endswith("secret.csv"):
            return SFTP_PERMISSION_DENIED
        is_written = bool(flags & (os.O_WRONLY | os.O_RDWR))
        try:
            stream = self._real(path).open("wb" if is_written else "rb")
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        handle = paramiko.SFTPHandle(flags)
        handle.__dict__["writefile" if is_written else "readfile"] = stream
        return handle

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        return self._done(self._real(path).mkdir)

    def remove(self, path: str) -> int:
        return self._done(self._real(path).unlink)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        return self._done(lambda: self._real(oldpath).replace(self._real(newpath)))

    def _done(self, work: Callable[[], object]) -> int:
        try:
            work()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return SFTP_OK


def trust(root: str, home: Path, key: paramiko.PKey) -> None:
    """Write a key as that of the server at `root` to the known hosts of the user whose home directory is `home`."""
    place = root.rpartition("@")[2]
    host, _, port = place.partition(":")
    (home / ".ssh").mkdir(exist_ok=True)
    (home / ".ssh" / "known_hosts").write_text(f"[{host}]:{port} {key.get_name()} {key.get_base64()}\n")


@contextmanager
def sftp_server(folder: Path, key: paramiko.PKey | None = None) -> Iterator[str]:
    """Serve a folder, and yield the address of its root. `key` is the server's key, by default a new one."""
    served = type("_Served", (_Folder,), {"root": folder})
    key = key or new_key()
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, served)
                transports.append(transport)
                transport.start_server(event=threading.Event(), server=_Login())

        thread = threading.Thread(target=accept, name="sftp server")
        thread.start()
        try:
            yield f"sftp://{USER}:{quote(PASSWORD)}@127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()
