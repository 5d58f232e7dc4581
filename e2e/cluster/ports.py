"""Free ports of this machine for programs that are about to be started."""

import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections: none of those can get in between.
_RANGE = range(15000, 32000)
_RANDOM = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """As many different ports of 127.0.0.1, chosen at random so that runs side by side do not meet."""
    ports: list[int] = []
    while len(ports) < count:
        port = _RANDOM.choice(_RANGE)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Some programs listen on every address, so it must be free on all.
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
