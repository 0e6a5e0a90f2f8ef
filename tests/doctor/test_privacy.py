from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedge.doctor.privacy import make_scrubber, without_values
from tests.doctor.seeding import Seeded

SCRUB = make_scrubber(
    {
        "HF_TOKEN": "hf_aBcDeFgHiJ",
        "SHORT_KEY": "on",
        "LANG": "en_GB.UTF-8",
        "MY_PASSWORD": "hunter22",
        "LOCK_KEY": "ubuntu",
    },
    home="/home/alice",
    user="alice",
    host="alices-orin",
)


def test_secrets_and_names_are_taken_out() -> None:
    assert SCRUB("see /home/alice/.venv/lib/x.so") == "see ~/.venv/lib/x.so"
    assert SCRUB("/mnt/home/alice/x") == "/mnt/home/USER/x"
    assert SCRUB("/home/alice-old/x, /home/bob/y") == "/home/USER/x, /home/USER/y"
    assert SCRUB("/tmp/pytest-of-alice/3") == "/tmp/pytest-of-USER/3"
    assert SCRUB("/media/alice/SSD/guard.mmedge") == "/media/USER/SSD/guard.mmedge"
    assert SCRUB(r"C:\Users\alice\x.dll") == r"C:\Users\USER\x.dll"
    assert SCRUB("401 for hf_aBcDeFgHiJ and hunter22") == "401 for *** and ***"
    assert SCRUB("rtsp://admin:s3cret@10.0.0.5/1") == "rtsp://***@10.0.0.5/1"
    assert SCRUB("/ws?token=abc&events=1") == "/ws?token=***&events=1"
    assert SCRUB("Authorization: Bearer abc.def") == "Authorization: Bearer ***"
    assert SCRUB("on alices-orin: no route") == "on HOST: no route"
    assert SCRUB("GPU-07070707-0707-0707-0707-070707070707") == "GPU-***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CAMERA_PASSWORD=swordfish", "CAMERA_PASSWORD=***"),
        ("connect(password='abcdef', port=1)", "connect(password=***, port=1)"),
        ('{"password": "ab cd", "port": 1}', '{"password": ***, "port": 1}'),
        (r'{"password": "ab\"cd", "port": 1}', '{"password": ***, "port": 1}'),
        (r'"{\"db-password\": \"ab cd\", \"port\": 1}"', None),
        ("{'api_key': b'abcdef', 'port': 1}", "{'api_key': ***, 'port': 1}"),
        ("password: abcdef", "password: ***"),
        ("PASS=abcdef", "PASS=***"),
        ("Authorization: Basic YWxpY2U6cHc=", "Authorization: Basic ***"),
        ("{'Authorization': 'Basic YWxpY2U6cHc='}", "{'Authorization': 'Basic ***'}"),
        ("Proxy-Authorization: Digest username=ab, response=cd", "Proxy-Authorization: ***"),
        ("rtsp://admin:p@ss/w0rd@host/1", "rtsp://***@host/1"),
        ("'rtsp://a:b/c@host' and 'http://host/'", "'rtsp://***@host' and 'http://host/'"),
        ("owned by alice, not by you", "owned by USER, not by you"),
        ("malice", "malice"),
    ],
)
def test_a_secret_goes_however_it_is_written(text: str, expected: str | None) -> None:
    scrubbed = SCRUB(text)
    for secret in ("swordfish", "abcdef", "ab cd", "cd", "YWxpY2U6cHc=", "w0rd", "b/c"):
        assert secret not in scrubbed
    assert expected in (None, scrubbed)


def test_a_password_that_is_a_word_goes_too() -> None:
    scrub = make_scrubber({"CAM_PASSWORD": "swordfish"}, home="/h", user="jo", host="h")
    assert scrub("refused: swordfish") == "refused: ***"
    assert scrub("/data/jo/x, by jo") == "/data/USER/x, by jo"


@given(before=st.text(), after=st.text())
def test_a_secret_goes_whatever_stands_around_it(before: str, after: str) -> None:
    assert "hf_aBcDeFgHiJ" not in SCRUB(f"{before}hf_aBcDeFgHiJ{after}")
    assert "hunter22" not in SCRUB(f"{before}hunter22{after}")


def test_what_is_no_secret_stays() -> None:
    for text in (
        "pip install 'numpy<2'",
        "sudo apt-get install nvidia-jetpack",
        "/usr/lib/python3/dist-packages/cv2.cpython-310-aarch64-linux-gnu.so",
        "onnxruntime 1.31.1 is on",
        'sudo usermod -aG video "$USER"  # then log in again',
        "nothing here can read a text: tokenizers: not installed",
        "the key that signs engines; basic blocks; bypass=1, compass: north",
        "https://example.org/a/b and docs: x@y",
    ):
        assert SCRUB(text) == text


def test_an_account_whose_name_is_a_word_of_ours_changes_no_command() -> None:
    scrub = make_scrubber({}, home="/home/nvidia", user="nvidia", host="nvidia")
    assert scrub("/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1") == (
        "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1"
    )
    assert scrub("/home/nvidia/x") == "~/x"


def test_values_of_variables_go_and_their_names_stay() -> None:
    assert without_values("CUDA_VISIBLE_DEVICES='2,3' leaves none") == (
        "CUDA_VISIBLE_DEVICES=*** leaves none"
    )


def test_nothing_that_another_packages_error_says_gets_through(machine: Seeded) -> None:
    machine.environment.update(
        {"USER": "alice", "HF_TOKEN": "hf_aBcDeFgHiJ", "HOME": "/home/alice"}
    )
    machine.module(
        "av.py",
        "import os\nraise ImportError('/home/alice/x: ' + os.environ['HF_TOKEN'] + "
        "' https://alice:pw12@index/ PROXY_URL=http://p')",
    )
    report = json.dumps(machine.examine().to_json())
    for secret in ("alice", "hf_aBcDeFgHiJ", "pw12", "http://p"):
        assert secret not in report
    assert "~/x: *** https://***@index/ PROXY_URL=***" in report
