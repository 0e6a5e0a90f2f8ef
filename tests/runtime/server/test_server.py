from __future__ import annotations

import json
import logging
import socket
import threading
import time
from contextlib import suppress

import pytest
from starlette.responses import PlainTextResponse
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from mmedge.errors import ConfigError
from mmedge.runtime.server import Server, ServerConfig
from mmedge.runtime.server.app import LastStatus
from tests.runtime.server.asking import TOKEN, get, heard, listen, running
from tests.runtime.sinks.ticks import HandClock, began, make_status, make_tick


def wait_for_readers(server: Server, count: int) -> None:
    for _ in range(500):
        if f"mmedge_http_readers {count}.0" in get(server, "/metrics")[2]:
            return
        time.sleep(0.01)
    pytest.fail(f"never {count} readers")


def test_health_and_readiness_follow_the_pipeline() -> None:
    with running() as server:
        assert json.loads(get(server, "/healthz")[2]) == {"status": "starting"}
        assert get(server, "/healthz")[0] == 200
        assert get(server, "/readyz")[0] == 503
        server.show(make_status(ready=False))
        assert get(server, "/readyz")[0] == 503
        server.show(make_status(degraded="backend restarted"))
        code, _, body = get(server, "/readyz")
        assert (code, json.loads(body)) == (200, {"ready": True, "degraded": "backend restarted"})
        assert json.loads(get(server, "/healthz")[2]) == {"status": "alive"}


def test_a_pipeline_that_tells_nothing_for_ten_seconds_is_stuck() -> None:
    clock = HandClock()
    last = LastStatus(clock)
    clock.forward(60)
    assert not last.stuck
    last.put(make_status())
    clock.forward(10)
    assert not last.stuck
    clock.forward(0.1)
    assert last.stuck


def test_metrics_are_the_pipelines_and_the_servers_own() -> None:
    with running() as server:
        server.show(make_status())
        _, headers, body = get(server, "/metrics")
        assert headers["content-type"].startswith("text/plain")
        lines = body.splitlines()
        assert "mmedge_ticks_total 20.0" in lines
        assert 'mmedge_modality_present{modality="mic"} 0.0' in lines
        assert "mmedge_http_readers 0.0" in lines
        assert "mmedge_http_dropped_total 0.0" in lines
        assert not any(line.startswith(("python_", "process_")) for line in lines)


def test_predictions_reach_every_reader_in_order() -> None:
    with running() as server, listen(server) as one, listen(server) as two:
        wait_for_readers(server, 2)
        for number in range(5):
            server.emit(make_tick(number))
        for reader in (one, two):
            assert [heard(reader)["number"] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_reader_of_events_gets_nothing_else() -> None:
    with running() as server, listen(server, "/ws?events=1") as reader:
        wait_for_readers(server, 1)
        server.emit(make_tick(0))
        server.emit(make_tick(1, events=(began("seven"),)))
        told = heard(reader)
        assert (told["number"], told["label"], told["what"]) == (1, "seven", "began")


def test_a_reader_that_goes_is_forgotten() -> None:
    with running() as server:
        with listen(server):
            wait_for_readers(server, 1)
        wait_for_readers(server, 0)
        server.emit(make_tick())


def test_one_reader_too_many_is_told_so() -> None:
    with running(clients=2) as server, listen(server), listen(server):
        with pytest.raises(InvalidStatus) as refused:
            listen(server)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"


def test_a_slow_reader_loses_old_messages_and_delays_nobody() -> None:
    with running(queue=8) as server, listen(server, max_queue=1) as slow, listen(server) as fast:
        wait_for_readers(server, 2)
        numbers: list[int] = []
        reading = threading.Thread(
            target=lambda: numbers.extend(heard(fast)["number"] for _ in range(300))
        )
        reading.start()
        text = {"hint": "x" * 50_000}  # so that no buffer on the way can hold them all
        for number in range(300):
            server.emit(make_tick(number, absent=text))
            while len(numbers) < number - 4:  # the fast reader keeps up; the slow one sleeps
                time.sleep(0.0005)
                assert reading.is_alive() or len(numbers) == 300
        reading.join(timeout=10)
        assert numbers == list(range(300))
        late = [heard(slow)["number"]]
        while late[-1] < 299:
            late.append(heard(slow)["number"])
        assert late == sorted(set(late))
        assert len(late) < 290
        lost = f"mmedge_http_dropped_total {300 - len(late)}.0"
        assert lost in get(server, "/metrics")[2].splitlines()


def test_a_message_of_16_mb_is_refused() -> None:
    with running() as server, listen(server, max_size=None) as reader:
        with suppress(ConnectionClosedError):  # it may end while the message is on its way
            reader.send("x" * 16_000_000)
        with pytest.raises(ConnectionClosedError) as closed:
            reader.recv(timeout=5)
        # Told why, unless the end overtook the reason.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        assert get(server, "/healthz")[0] == 200
        wait_for_readers(server, 0)


def test_a_reader_has_nothing_to_say() -> None:
    with running() as server, listen(server) as reader:
        reader.send("hello")
        with pytest.raises(ConnectionClosedError) as closed:
            reader.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_closing_takes_less_than_a_second_with_readers_asleep_and_awake() -> None:
    server = Server(ServerConfig(port=0))
    server.start()
    with listen(server, max_queue=1), listen(server) as awake, socket.socket() as mute:
        mute.connect(("127.0.0.1", server.port))
        wait_for_readers(server, 2)
        big = {"hint": "x" * 100_000}
        for number in range(100):  # more than the buffers hold: this one cannot be flushed
            server.emit(make_tick(number, absent=big))
            heard(awake)
        begin_s = time.monotonic()
        server.close()
        assert time.monotonic() - begin_s < 1
        server.close()
        with pytest.raises(OSError, match="does not run"):
            server.emit(make_tick())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
    assert not [thread for thread in threading.enumerate() if thread.name == "http"]


def test_a_reader_that_stops_reading_is_cut_off() -> None:
    with running(stall_ms=200) as server, listen(server, max_queue=1):
        wait_for_readers(server, 1)
        big = {"hint": "x" * 100_000}
        for number in range(100):
            server.emit(make_tick(number, absent=big))
            time.sleep(0.001)
        wait_for_readers(server, 0)


def test_a_port_in_use_is_told() -> None:
    with running() as server:
        again = Server(ServerConfig(port=server.port))
        with pytest.raises(ConfigError, match=f"port {server.port}: Address already in use"):
            again.start()


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    with running() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        own = socket.gethostbyname(socket.gethostname())
        if not own.startswith("127."):
            with pytest.raises(OSError, match=r"refused|timed out"):
                socket.create_connection((own, server.port), timeout=2)


def test_a_dashboard_gets_what_is_left_and_the_same_guard() -> None:
    server = Server(ServerConfig(port=0, token=TOKEN), dashboard=PlainTextResponse("a page"))
    server.start()
    try:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert get(server, "/index.html", bearer)[2] == "a page"
        assert get(server, "/healthz", bearer)[2] == '{"status":"starting"}'
        assert get(server, "/index.html")[0] == 401
    finally:
        server.close()


def test_no_token_and_no_request_is_written_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(token=TOKEN) as server:
        with listen(server, f"/ws?token={TOKEN}&events=1"):
            pass
        get(server, f"/healthz?token={TOKEN}", {"Authorization": f"Bearer {TOKEN}"})
        get(server, "/secret-path")
    ours = [record for record in caplog.records if record.name != "websockets.client"]
    told = "\n".join(f"{record.name} {record.getMessage()}" for record in ours)
    assert "Started server process" in told  # the server's log was watched
    assert [word for word in (TOKEN, "secret-path", "/ws") if word in told] == []
