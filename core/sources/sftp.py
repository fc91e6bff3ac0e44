"""The file system of an SFTP server that has shown a key which this machine knows.

A program that accepts any key sends its password, and takes the audience, from whoever answers. As `ssh` does, this one
looks the key up in the `known_hosts` files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
"""

import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem
from fsspec.utils import infer_storage_options

from core.errors import InputError

_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


class _RefuseUnknown(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise InputError(
            f"The SFTP server {hostname} has no key in {_KNOWN_HOSTS[0]} of this machine. It showed {_shown(key)}. Ask "
            f"the server's operator whether that is its key. If it is, run: {_scan(hostname)}"
        )


def open_sftp(address: str) -> tuple["KnownSftpServer", str]:
    """Return the file system of an address, and the path in it. Raises InputError like the class."""
    options: dict[str, Any] = infer_storage_options(address)
    options |= {name: unquote(options[name]) for name in ("username", "password") if options.get(name)}
    path = options.pop("path")
    del options["protocol"]
    return KnownSftpServer(skip_instance_cache=True, **options), path


class KnownSftpServer(SFTPFileSystem):
    """Files over SFTP, of a server whose key is known. Raises InputError for an unknown key, and for a changed one."""

    protocol = "sftp"
    client: paramiko.SSHClient

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        for name in _KNOWN_HOSTS:
            path = Path(name).expanduser()
            if path.is_file():
                self.client.load_system_host_keys(str(path))
        self.client.set_missing_host_key_policy(_RefuseUnknown())
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
        except paramiko.BadHostKeyException as error:
            self.client.close()
            remove = shlex.join(["ssh-keygen", "-R", error.hostname])
            raise InputError(
                f"The key of the SFTP server {error.hostname} has changed: it showed {_shown(error.key)}, and "
                f"{_KNOWN_HOSTS[0]} has {_shown(error.expected_key)}. Someone may be listening in between, so nothing "
                "was sent. Ask the server's operator. If the key is new, run: "
                f"{remove} && {_scan(error.hostname)}"
            ) from error
        except BaseException:
            self.client.close()
            raise


def _shown(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def _scan(hostname: str) -> str:
    """Return the command that adds a server's keys. `hostname` is as in known_hosts: `host` or `[host]:port`."""
    host, _, port = hostname.removeprefix("[").partition("]:")
    words = ["ssh-keyscan", *(["-p", port] if port else []), host]
    return f"{shlex.join(words)} >> {_KNOWN_HOSTS[0]}"
