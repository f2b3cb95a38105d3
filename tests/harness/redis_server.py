"""A Redis as a hospital's operators run it: TCP, a password, an append-only file; stopped and started at will."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import redis
from harness.gateway_process import wait_for
from harness.ports import free_port

PASSWORD = "p4ss-of-the-broker"


@dataclass
class RedisServer:
    """Keeps its files in `folder`; a restart has the same port and finds them again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=PASSWORD, socket_connect_timeout=1, socket_timeout=2)

    def start(self) -> RedisServer:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program, "a test that uses Redis lacks the marker peer('redis')"
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": PASSWORD,
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "logfile": str(self.folder / "redis.log"),
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen([program, *words])
        wait_for(self._answers, 30, "redis to answer")
        return self

    def kill(self) -> None:
        """SIGKILL, as when its host fails."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def memory(self) -> bytes:
        """Every key with its value as DUMP gives it."""
        return b"\n".join(bytes(key) + (self.client.dump(key) or b"") for key in self.client.scan_iter())

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False
