"""How the web serves in production; `hemoscope serve`, the Dockerfile and a plain `gunicorn "app:create_app()"` use it.

In: PORT, WEB_CONCURRENCY and FORWARDED_ALLOW_IPS from the environment (Gunicorn itself reads the last two).
"""

import os
from pathlib import Path

# A host that gives a PORT forwards to it from outside; without one it is somebody's own machine.
bind = f"0.0.0.0:{os.environ['PORT']}" if "PORT" in os.environ else "127.0.0.1:8000"

# One process is about 350 MB at most and one reading takes one core for tens of milliseconds, so threads share it:
# they overlap uploads and decoding while the network runs one reading at a time. More cores: WEB_CONCURRENCY.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_class = "gthread"
threads = 4

# Not preloaded: ONNX Runtime's threads do not live through a fork, so each worker loads its own networks.
preload_app = False

timeout = 60  # seconds without a sign of life; a reading takes well under one
graceful_timeout = 30  # to finish what runs when told to stop
keepalive = 5

# The heartbeat file: on a disk it can block a worker, in memory it cannot.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True

# No access log: a path or a form can name a patient.
accesslog = None
errorlog = "-"
loglevel = "info"
