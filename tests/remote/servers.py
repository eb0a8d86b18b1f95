"""A real `sshd` on the loopback interface, with keys, known hosts and a client configuration of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.remote.boards import until

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin")
PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd does not start without it where it runs as root

SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
SetEnv XDG_CACHE_HOME={home}/.cache PYTHONPATH={home}/python BOARD={home}
"""

CLIENT = """\
Host {name}
    HostName 127.0.0.1
    HostKeyAlias {name}
    Port {port}
    User {user}
    IdentityFile {folder}/user_key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
"""


def missing() -> str | None:
    """Why no server can be started here; None if it can."""
    if SSHD is None or shutil.which("ssh") is None:
        return "OpenSSH's server or client is not installed"
    if os.getuid() == 0 and not PRIVILEGE_SEPARATION.is_dir():
        try:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755)
        except OSError as error:
            return f"{PRIVILEGE_SEPARATION} is missing and cannot be created ({error.strerror})"
    return None


def key(path: Path) -> str:
    """Make a key; return its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


class Server:
    """A running `sshd` that serves a board; `config` is what `ssh -F` needs to reach it as `name`."""

    def __init__(self, folder: Path, name: str, home: Path) -> None:
        folder.mkdir()
        self.folder, self.name = folder, name
        self.port = free_port()
        public = key(folder / "host_key")
        (folder / "authorized_keys").write_text(key(folder / "user_key"))
        (folder / "known_hosts").write_text(f"{name} {public}")
        (folder / "sshd_config").write_text(SERVER.format(port=self.port, folder=folder, home=home))
        self.config = CLIENT.format(name=name, port=self.port, user=getpass.getuser(), folder=folder)
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
        until(lambda: listens(self.port))

    def expect_key(self, public: str | None) -> None:
        """Have the client know another key of this host, or none."""
        (self.folder / "known_hosts").write_text(f"{self.name} {public}" if public else "")

    def drop(self) -> None:
        """End all connections at once, as a network does that fails; the server goes on."""
        for child in children(self._process.pid):
            for process in [*children(child), child]:
                if "sshd" in command_of(process):
                    os.kill(process, signal.SIGKILL)

    def stop(self) -> None:
        self.drop()
        self._process.terminate()
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(parent: int) -> list[int]:
    """Processes that another one has started."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(word) for word in listed.read_text().split()] if listed.exists() else []


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text()
    except OSError:
        return ""
