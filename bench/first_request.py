"""Seconds of a command until its first connection to an endpoint, and its processor time until then.

Usage: first_request.py COMMAND...      URL in it becomes that of the endpoint; no request is answered,
                                        and the command is stopped.
"""
import os
import resource
import signal
import socket
import subprocess
import sys
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=512)
url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
begin = time.monotonic()
command = subprocess.Popen([word.replace("URL", url) for word in sys.argv[1:]],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
listener.settimeout(600)
listener.accept()
seconds = time.monotonic() - begin
ticks = [int(field) for field in open(f"/proc/{command.pid}/stat").read().rsplit(") ", 1)[1].split()[11:13]]
command.send_signal(signal.SIGKILL)
command.wait()
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
user, system = (each / os.sysconf("SC_CLK_TCK") for each in ticks)
print(f"first request after {seconds:.2f} s, CPU {user:.2f} + {system:.2f} s, {peak / 1024:.0f} MiB")
