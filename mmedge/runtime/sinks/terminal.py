"""A live view of the predictions in a terminal; without one, a line when something changes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Event, Tick
from mmedge.runtime.sinks.held_log import HeldLog
from mmedge.runtime.sinks.late import LateError
from mmedge.runtime.sinks.terminal_view import View, draw, event_line, summary_line
from mmedge.runtime.sinks.text import clean

__all__ = ["Screen", "Terminal", "TerminalConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalConfig:
    """How often it is drawn.

    Attributes:
        draws_hz: at most so often.
        line_ms: without a terminal, a line at most so often, and only when what is present or
            wrong has changed; events have a line each.
        events: so many are remembered.
    """

    draws_hz: float = 8.0
    line_ms: int = 1_000
    events: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.draws_hz <= 60:
            raise ConfigError(f"draws_hz={self.draws_hz} must lie above 0 and up to 60.")
        if self.line_ms < 1 or self.events < 1:
            raise ConfigError(f"line_ms={self.line_ms} and events={self.events} must be 1 or more.")


class Screen(Console):
    """A console whose reader may go without ending us: rich would leave the program."""

    def on_broken_pipe(self) -> None:
        """Hand the error on that is being handled."""
        raise  # noqa: PLE0704 - rich calls this where it handles it


class Terminal:
    """Draws the newest prediction and the state on the whole screen, which comes back at `close`.

    Messages of the log that would go to the terminal meanwhile are held, and told then.
    Where the console is no terminal (a pipe, a log), it writes a line for every event and
    change of state instead. A terminal that has gone is told with the next prediction.

    Args:
        config: how often.
        console: where to; stdout if it is left out.
        clock: in nanoseconds.
    """

    name = "terminal"

    def __init__(
        self,
        config: TerminalConfig | None = None,
        *,
        console: Screen | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config or TerminalConfig()
        self._console = console or Screen()
        self._clock = clock
        self._late = LateError()
        self._events: deque[tuple[int, Event]] = deque(maxlen=self._config.events)
        self._tick: Tick | None = None
        self._status: Status | None = None
        self._due_ns = clock()
        self._live: Live | None = None
        self._held = HeldLog()
        self._told: object = None

    def emit(self, tick: Tick) -> None:
        """Remember the prediction, and draw if it is time.

        Raises:
            OSError: the terminal has gone.
        """
        self._late.tell()
        self._tick = tick
        for event in tick.events:
            self._events.append((tick.utc_ns, event))
            if not self._console.is_terminal:
                self._write(event_line(tick.utc_ns, event))
        self._attempt(self._draw)

    def show(self, status: Status) -> None:
        """Remember the state, and draw if it is time."""
        self._status = status
        self._late.keep(lambda: self._attempt(self._draw))

    def close(self) -> None:
        """Give the screen back, and leave the last events on it."""
        if self._live is not None:
            live, self._live = self._live, None

            def leave() -> None:
                try:
                    live.stop()
                finally:
                    self._held.end()
                for utc_ns, event in list(self._events)[-5:]:
                    self._write(event_line(utc_ns, event))

            self._late.keep(lambda: self._attempt(leave))

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError:
            # rich keeps what it could not write, and would try all of it the next time.
            self._console.begin_capture()
            self._console.end_capture()
            raise

    def _draw(self) -> None:
        now_ns = self._clock()
        if now_ns < self._due_ns:
            return
        if not self._console.is_terminal:
            if self._tick is not None and self._status is not None:
                state = _state(self._tick, self._status)
                if state == self._told:
                    return
                self._told = state
                self._due_ns = now_ns + self._config.line_ms * 1_000_000
                self._write(summary_line(self._tick, self._status))
            return
        self._due_ns = now_ns + round(1e9 / self._config.draws_hz)
        live = self._live = self._live or self._begin()
        view = View(
            tick=self._tick, status=self._status, events=self._events, message=self._held.newest
        )
        lines = draw(view, self._console.width, self._console.height)
        live.update(Text("\n", no_wrap=True).join(lines), refresh=True)

    def _begin(self) -> Live:
        # No thread of its own: all drawing is done here, when there is something new.
        live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        try:
            live.start()
        except OSError:
            self._console.clear_live()
            raise
        self._held.begin()
        return live

    def _write(self, line: str) -> None:
        self._console.print(Text(clean(line)), soft_wrap=True)


def _state(tick: Tick, status: Status) -> object:
    """What is worth a line when it changes: no scores, ages, nor reasons with a time in them."""
    sources = tuple((each.name, each.feeds, each.state) for each in status.sources)
    sinks = tuple((each.name, bool(each.degraded)) for each in status.sinks)
    return tuple(tick.absent), status.ready, status.degraded, sources, sinks
