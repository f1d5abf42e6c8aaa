"""How the web serves in production; `hemoscope serve`, the Dockerfile and a plain `gunicorn "app:create_app()"` use it.

In: PORT, SOCKET_TIMEOUT, WEB_CONCURRENCY and FORWARDED_ALLOW_IPS from the environment (Gunicorn itself reads the last
two).
"""

import ctypes
import os
import socket
import struct
from pathlib import Path
from typing import Any

# A host that gives a PORT forwards to it from outside; without one it is somebody's own machine.
bind = f"0.0.0.0:{os.environ['PORT']}" if "PORT" in os.environ else "127.0.0.1:8000"

# One reading takes one core for tens of milliseconds, so threads share a process: one each for a connection that sends
# or fetches, mostly waiting. How many read at the same time is HEMOSCOPE_READS_AT_ONCE. More cores: WEB_CONCURRENCY.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_class = "gthread"
threads = 16

# Not preloaded: ONNX Runtime's threads do not live through a fork, so each worker loads its own networks.
preload_app = False

timeout = 60  # seconds without a sign of life; a reading takes well under one
graceful_timeout = 30  # to finish what runs when told to stop
keepalive = 5
socket_timeout_s = float(os.environ.get("SOCKET_TIMEOUT", "15"))  # without a byte from or to a client

# The heartbeat file: on a disk it can block a worker, in memory it cannot.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True

# No access log: a path or a form can name a patient.
accesslog = None
errorlog = "-"
loglevel = "info"

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # mallopt(3)
MIB = 2**20


def post_fork(server: Any, worker: Any) -> None:
    """Have glibc give the memory of pictures and large arrays back to the system when they are done.

    By itself it raises the size from which it does so to what was freed last, up to 32 MB, and keeps the rest for each
    thread: sixteen threads that have each drawn a slice would hold what sixteen slices take. Elsewhere there is no
    `mallopt`, and nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # Arrays of one slice, a megabyte or two, are used again: each from the system and back costs a study a third of
        # its time (`python -m benchmarks.study`). Larger ones go back at once, and so does what is free above 16 MB.
        mallopt(M_MMAP_THRESHOLD, 4 * MIB)
        mallopt(M_TRIM_THRESHOLD, 16 * MIB)
        mallopt(M_ARENA_MAX, 2)


def post_worker_init(worker: Any) -> None:
    """Let no client hold a thread by silence: Gunicorn's `timeout` watches the worker, not its connections.

    The kernel keeps the time (socket(7), SO_RCVTIMEO), since Gunicorn makes each connection blocking again; what is set
    on the listening socket holds for those that it accepts.
    """
    seconds, fraction = divmod(socket_timeout_s, 1)
    value = struct.pack("ll", int(seconds), int(fraction * 1e6))  # struct timeval
    for listener in worker.sockets:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, value)
