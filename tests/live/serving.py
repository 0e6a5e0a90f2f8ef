"""``mmedge serve``, running as a user would run it; what it says is read meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmedge._closing import Closing
from tests.live.rtsp import ROOT

Row = dict[str, Any]


class Serving(Closing):
    """A running ``mmedge serve --json``.

    Attributes:
        rows: what it has printed, a prediction each; ``lines`` the same as it came.
        said: what it has written to standard error.
    """

    def __init__(
        self,
        *options: str,
        environment: Mapping[str, str],
        folder: Path = ROOT,
        prefix: tuple[str, ...] = ("pw-v4l2",),
        json_lines: bool = True,
    ) -> None:
        command = [*prefix, sys.executable, "-m", "mmedge", "serve", *options]
        self.lines: list[str] = []
        self.rows: list[Row] = []
        self.said = ""
        self._process = subprocess.Popen(
            [*command, "--json"] if json_lines else command,
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [threading.Thread(target=run) for run in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Its process, in whose ``/proc`` one may look."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if line.startswith("{"):
                self.rows.append(json.loads(line))

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line

    def rows_from(self, first: int, timeout_s: float) -> Iterator[Row]:
        """Give what it prints as it prints it, from that row on, for at most so long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if first < len(self.rows):
                yield self.rows[first]
                first += 1
            elif self._process.poll() is not None and not self._threads[0].is_alive():
                return
            else:
                time.sleep(0.005)

    def until(self, wanted: Callable[[Row], bool], timeout_s: float = 20.0) -> Row:
        """Wait for a prediction that is yet to come."""
        for row in self.rows_from(len(self.rows), timeout_s):
            if wanted(row):
                return row
        last = self.rows[-1] if self.rows else None
        ended = f"it ended with {self._process.poll()}; " if self._process.poll() else ""
        raise AssertionError(f"{ended}not within {timeout_s} s; last {last}; said: {self.said}")

    def until_present(self, *names: str, timeout_s: float = 20.0) -> Row:
        """Wait for a prediction that rests on these, at least."""
        return self.until(lambda row: set(names) <= set(row["basis"]), timeout_s)

    def line_with(self, part: str, timeout_s: float = 20.0) -> str:
        """Wait for a line on standard output."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.lines:
                if part in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no {part!r} within {timeout_s} s: {self.lines} {self.said}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 10.0) -> int:
        """Ask it to end, and give its exit code."""
        self._process.send_signal(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait until it has ended by itself, and give its exit code."""
        code = self._process.wait(timeout_s)
        for thread in self._threads:
            thread.join(5)
        return code

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def decision(line: str) -> str:
    """What a replay has to repeat of a line: all but measured times."""
    row = json.loads(line)
    del row["latency_ms"]
    return json.dumps(row)


def events(rows: list[Row]) -> list[Row]:
    """What began and ended, in order."""
    return [event for row in rows for event in row["events"]]
