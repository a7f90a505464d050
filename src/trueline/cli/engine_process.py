"""The local engine in a process of its own: started, watched, started again when it dies, ended with the gateway."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from trueline.errors import ModelError

logger = logging.getLogger("trueline.engine")
PATIENCE = 300.0  # seconds that loading a model may take
LONGEST_PAUSE = 30.0  # seconds between two starts of an engine that keeps dying


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class EngineProcess:
    """`python -m trueline.engine.server` over one model. `start` blocks until it answers; from then on a thread keeps it alive, on
    the same port, so that the address stays good. It ends by itself when this process dies, however that happens."""

    def __init__(self, model: str, *, max_tokens: int = 256, temperature: float = 0.0) -> None:
        self.model, self.port = model, free_port()
        self.ready: Mapping[str, Any] = {}
        self._more = ["--max-tokens", str(max_tokens), "--temperature", str(temperature)]
        self._process: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to talk to."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        """The process that serves now."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Starts it and waits until it answers. Raises `ModelError` with its own words when it cannot."""
        self._spawn()
        self._watch = threading.Thread(target=self._keep, name="trueline-engine-watch", daemon=True)
        self._watch.start()

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "trueline.engine.server", "--model", self.model, "--port", str(self.port)]
        command += ["--parent-pid", str(os.getpid()), *self._more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._process = process
        tail: list[str] = []
        threading.Thread(target=_drain, args=(process, tail), daemon=True).start()
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        timer.cancel()
        try:
            self.ready = json.loads(line)
        except json.JSONDecodeError:
            process.kill()
            process.wait()
            time.sleep(0.05)  # the last words are still on their way through the thread
            said = next((t.removeprefix("error: ") for t in reversed(tail) if t.strip()), "it said nothing")
            raise ModelError(
                f"the engine did not start: {said}", remedy=f"try `python -m trueline.engine.server --model {self.model}`"
            ) from None

    def _keep(self) -> None:
        pause = 0.5
        while not self._ending.is_set():
            process = self._process
            assert process is not None
            process.wait()
            if self._ending.is_set():
                return
            logger.error("the engine ended with code %s; starting it again", process.returncode)
            begun = time.monotonic()
            self._ending.wait(pause)
            if self._ending.is_set():
                return
            try:
                self._spawn()
            except ModelError as e:
                logger.error("%s", e)
            # one that lived for a while is forgiven; one that keeps dying is started ever more rarely
            pause = 0.5 if time.monotonic() - begun > 60 else min(pause * 2, LONGEST_PAUSE)

    def stop(self) -> None:
        """Ends it, gently at first."""
        self._ending.set()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _drain(process: subprocess.Popen[str], tail: list[str]) -> None:
    """Keeps the last lines that the engine wrote, so that its pipe never fills and its last words can be told."""
    assert process.stderr is not None
    for line in process.stderr:
        tail.append(line.strip())
        del tail[:-20]
