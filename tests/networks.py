"""Networks of their own for some processes: namespaces, each behind a link that can be cut.

What is sent over a link that is cut vanishes: no connection is refused, none is reset.
"""

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

_NAMED = Path("/run/netns")  # where `ip netns` keeps them
_CLONE_NEWNET = 0x40000000


class Network:
    """A network with one link, to this machine's own.

    Args:
        name: of the namespace.
        link: the end of the link that is here.
        address: of that end.
    """

    def __init__(self, name: str, link: str, address: str) -> None:
        self.name = name
        self.link = link
        self.address = address

    def cut(self) -> None:
        """Let whatever is sent vanish."""
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Let it arrive again."""
        _ip("link", "set", self.link, "up")


@contextmanager
def network() -> Iterator[Network]:
    """Make a network; where that is not permitted the test is skipped, or fails under CI=true."""
    mark = uuid4().hex[:8]
    name, here, there = f"hpo-{mark}", f"h{mark}", f"n{mark}"
    draw = random.SystemRandom()
    net = f"10.{draw.randrange(128, 255)}.{draw.randrange(255)}"
    if shutil.which("ip") is None:
        _give_up("there is no `ip`, of iproute2")
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        _give_up(error.stderr.strip())
    try:
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _ip("address", "add", f"{net}.1/30", "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", name, "address", "add", f"{net}.2/30", "dev", there)
        _ip("-n", name, "link", "set", there, "up")
        yield Network(name, here, f"{net}.1")
    finally:
        _ip("netns", "delete", name)  # and the link with it, once its processes have ended


def enter(name: str) -> None:
    """Move this process, which has no other thread yet, into a network.

    Raises:
        OSError: it may not.
    """
    namespace = os.open(_NAMED / name, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"the network {name} cannot be entered")
    finally:
        os.close(namespace)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _give_up(reason: str) -> None:
    told = f"no network namespace can be made here: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)
