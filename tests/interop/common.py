"""What the checks are made of: running a program with a limit, waiting for an event, failing with what was seen."""

import os
import subprocess
import time

# No program is waited for longer; the slowest, a whole topology, takes seconds.
LIMIT_S = 60


class Failure(Exception):
    """A check that did not hold."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def run(*words, stdin="", expect=None, env=None):
    done = subprocess.run(
        [str(word) for word in words],
        input=stdin, text=True, capture_output=True, timeout=LIMIT_S, env={**os.environ, **(env or {})},
    )
    if expect is not None and done.returncode != expect:
        shown = " ".join(str(word) for word in words)
        raise Failure(f"{shown}\nexit {done.returncode}, not {expect}\n{done.stdout}{done.stderr}")
    return done


def until(holds, what, limit_s=LIMIT_S):
    """Waits for an event with a deadline; the pause only keeps the processor free."""
    deadline = time.monotonic() + limit_s
    while not holds():
        check(time.monotonic() < deadline, f"not within {limit_s} s: {what}")
        time.sleep(0.02)
