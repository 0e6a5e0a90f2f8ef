"""One microphone's own process: PortAudio in, framed blocks out on standard output.

It runs as a script, of the standard library and sounddevice alone, so that it starts fast
and nothing competes with its callback for the interpreter. PortAudio can hang when a stream
is stopped and drags every stream of the process along when it starts anew; here a stream
is never stopped. The process is killed, or ends when its standard input does: with its
parent, however that ended.

Every message is one byte of kind, four of length (little endian), and that many of payload:

    O  JSON    opened: name, rate_hz, channels
    B  block   `BLOCK`, then int16 samples, channels interleaved
    L  JSON    the list of devices
    E  JSON    it failed: kind, message
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import threading
import time
from collections import deque
from itertools import product
from typing import Any, BinaryIO, NoReturn

HEADER = struct.Struct("<cI")
BLOCK = struct.Struct("<QIqqq")
"""Frames before it, frames in it, monotonic clock, wall clock, the device's stamp: in ns."""

QUEUED_MS = 1000
"""So much sound waits for a parent that does not read; then the oldest is dropped."""
RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000)

# PortAudio's error codes (portaudio.h).
INVALID_RATE, INVALID_CHANNELS, UNAVAILABLE = -9997, -9998, -9985


class Failure(Exception):  # noqa: N818 - it becomes an error in the parent
    """Something that the parent has to say: its kind and the words."""


def main() -> None:
    """Do what the second argument asks, until the parent goes."""
    out = _claim_output()
    for name in ("SIGINT", "SIGHUP"):  # meant for the parent, which decides what ends when
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        request = json.loads(sys.argv[1])
        portaudio = _load()
        if request["what"] == "list":
            _send(out, b"L", json.dumps(_devices(portaudio, rates=True)).encode())
        else:
            _record(portaudio, request, out)
    except Failure as failure:
        kind, message = failure.args
        _send(out, b"E", json.dumps({"kind": kind, "message": message}).encode())
    except BrokenPipeError:
        pass
    except Exception as exc:  # noqa: BLE001 - nobody sees this process's traceback
        message = f"{type(exc).__name__}: {exc}"
        _send(out, b"E", json.dumps({"kind": "other", "message": message}).encode())
    os._exit(0)  # PortAudio's own farewell can hang


def _claim_output() -> BinaryIO:
    """Keep standard output for messages; what libraries print there goes to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _end_with_parent() -> NoReturn:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _send(out: BinaryIO, kind: bytes, *payload: bytes) -> None:
    out.write(HEADER.pack(kind, sum(map(len, payload))))
    for part in payload:
        out.write(part)
    out.flush()


def _load() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as exc:
        raise Failure("package", str(exc.name)) from exc
    except OSError as exc:
        raise Failure("library", str(exc)) from exc
    return sounddevice


def _devices(portaudio: Any, *, rates: bool = False) -> list[dict[str, Any]]:
    """Describe every device that records."""
    default = portaudio.default.device[0]
    return [
        {
            "index": index,
            "name": each["name"],
            "host_api": portaudio.query_hostapis(each["hostapi"])["name"],
            "channels": each["max_input_channels"],
            "default_rate_hz": round(each["default_samplerate"]),
            "rates_hz": _rates(portaudio, index) if rates else [],
            "default": index == default,
        }
        for index, each in enumerate(portaudio.query_devices())
        if each["max_input_channels"] > 0
    ]


def _rates(portaudio: Any, index: int) -> list[int]:
    """Find out which of the usual rates it opens; none while it is busy."""
    granted = []
    for rate_hz in RATES_HZ:
        try:
            portaudio.check_input_settings(index, None, "int16", None, rate_hz)
        except portaudio.PortAudioError:
            continue
        granted.append(rate_hz)
    return granted


def _find(devices: list[dict[str, Any]], wanted: int | str) -> dict[str, Any]:
    """Find a device by its index, its name, a part of its name, or as the default one."""
    name = str(wanted).lower()
    if isinstance(wanted, int):
        found = [each for each in devices if each["index"] == wanted]
    elif name == "default":
        found = [each for each in devices if each["default"]]
    else:
        found = [each for each in devices if each["name"].lower() == name]
        found = found or [each for each in devices if name in each["name"].lower()]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{each['index']}: {each['name']}" for each in found or devices)
    if found:
        raise Failure("ambiguous", f"several are called so: {listed}. Give the index or more of it")
    raise Failure("absent", f"there is no such device; there are: {listed or 'none at all'}")


class _Recorder:
    """The callback, which copies and enqueues, and the queue that it fills."""

    def __init__(self, blocks: int) -> None:
        self.queue: deque[tuple[bytes, bytes]] = deque(maxlen=blocks)
        self.ready = threading.Event()
        self.ended = False
        self._index = 0

    def callback(self, samples: Any, frames: int, times: Any, _status: Any) -> None:
        # This order: a delay between them makes the stamp look early, and that is harmless.
        host_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        stamp_ns = int(times.inputBufferAdcTime * 1e9)
        head = BLOCK.pack(self._index, frames, host_ns, wall_ns, stamp_ns)
        self.queue.append((head, bytes(samples)))  # a full deque drops its oldest
        self._index += frames
        self.ready.set()

    def finished(self) -> None:
        self.ended = True
        self.ready.set()


def _record(portaudio: Any, request: dict[str, Any], out: BinaryIO) -> None:
    device = _find(_devices(portaudio), request["device"])
    recorder = _Recorder(QUEUED_MS // request["block_ms"] + 1)
    stream = _open(portaudio, request, device, recorder)
    stream.start()
    opened = {
        "name": device["name"],
        "rate_hz": round(stream.samplerate),
        "channels": stream.channels,
    }
    _send(out, b"O", json.dumps(opened).encode())
    while not recorder.ended:
        recorder.ready.wait()
        recorder.ready.clear()
        while recorder.queue:
            _send(out, b"B", *recorder.queue.popleft())
    raise Failure("gone", "PortAudio ended the stream; the device is gone")


def _open(portaudio: Any, request: dict[str, Any], device: dict[str, Any], to: _Recorder) -> Any:
    """Open with the first rate and the least channels that the device grants."""
    rates = request["rates_hz"] or [device["default_rate_hz"]]
    counts = list(dict.fromkeys([request["channels"], device["channels"]]))
    if not request["demanded"]:
        rates = list(dict.fromkeys([*rates, device["default_rate_hz"]]))
    if request["channels"] > device["channels"]:
        wanted = request["channels"] - 1
        has = f"it has {device['channels']}, counted from 0"
        raise Failure("channels", f"there is no channel {wanted}; {has}")
    for rate_hz, channels in product(rates, counts):
        wanted = {
            "device": device["index"],
            "samplerate": rate_hz,
            "channels": channels,
            "blocksize": rate_hz * request["block_ms"] // 1000,
        }
        stream = _try(portaudio, wanted, to)
        if stream is not None:
            return stream
    granted = ", ".join(map(str, _rates(portaudio, device["index"]))) or "none of the usual rates"
    raise Failure("rate", f"it refuses {rates[0]} Hz; it opens {granted}")


def _try(portaudio: Any, wanted: dict[str, int], to: _Recorder) -> Any:
    """Open a stream; ``None`` if the device grants another rate or other channels only."""
    try:
        return portaudio.RawInputStream(
            **wanted,
            dtype="int16",
            latency="high",  # the buffer's length; a block is handed over when it is full
            callback=to.callback,
            finished_callback=to.finished,
        )
    except portaudio.PortAudioError as exc:
        code = exc.args[1] if len(exc.args) > 1 else None
        if code in {INVALID_RATE, INVALID_CHANNELS}:
            return None
        if code == UNAVAILABLE:
            raise Failure("busy", "it is busy: another program records from it") from exc
        raise Failure("other", str(exc)) from exc


if __name__ == "__main__":
    main()
