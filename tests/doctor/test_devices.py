from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mmedge.doctor.checks.devices import check_devices
from mmedge.doctor.looking.devices import Devices, Node, look_at_devices
from mmedge.doctor.looking.room import look_at_room
from mmedge.doctor.machine import Machine
from mmedge.doctor.place import Place
from mmedge.engines.cache import default_folder
from mmedge.engines.device_key import default_key_file
from tests.doctor.seeding import NOBODY, Seeded, named

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="V4L2 and ALSA are Linux's")
QUERYCAP, REQBUFS = 0x80685600, 0xC0145608


def test_a_camera_that_may_not_be_read_is_found(machine: Seeded) -> None:
    machine.file("dev/video0").chmod(0)
    found = [each for each in machine.examine_unprivileged() if each["name"] == "camera-refused"]
    assert [(each["severity"], each["where"]) for each in found] == [("error", "/dev/video0")]
    assert "you may not use the camera at /dev/video0" in found[0]["what"]
    assert found[0]["remedy"].startswith("sudo chgrp video /dev/video0 && sudo chmod g+rw")


@pytest.mark.parametrize(
    ("kind", "node", "name"),
    [("audio", "snd/pcmC1D0c", "microphone-refused"), ("video", "video0", "camera-refused")],
)
def test_a_user_who_is_not_in_the_group_is_found(
    machine: Seeded, kind: str, node: str, name: str
) -> None:
    import grp

    device = machine.file(f"dev/{node}")
    device.chmod(0o660)
    try:
        os.chown(device, NOBODY, grp.getgrnam(kind).gr_gid)
    except (KeyError, PermissionError):
        pytest.skip(f"only root may give a file to the group '{kind}'")
    found = [each for each in machine.examine_unprivileged() if each["name"] == name]
    assert len(found) == 1
    assert f"you are not in the group '{kind}'" in found[0]["what"]
    assert found[0]["remedy"] == f'sudo usermod -aG {kind} "$USER"  # then log in again'
    assert found[0]["severity"] == "error"


def test_a_sound_server_gives_what_the_device_refuses() -> None:
    node = Node(path="/dev/snd/pcmC0D0c", allowed=False, group="audio")
    devices = Devices(microphones=(node,), sound_server=True)
    (found,) = check_devices(Machine(devices=devices))
    assert (found.name, found.severity) == ("microphone-refused", "warning")


def test_who_was_put_into_the_group_has_to_log_in_again() -> None:
    node = Node(path="/dev/video0", allowed=False, group="video", listed=True)
    (found,) = check_devices(Machine(devices=Devices(cameras=(node,))))
    assert found.remedy == "newgrp video"


class Busy:
    """Answers for a V4L2 driver whose camera another program streams from."""

    def ioctl(self, node: int, request: int, argument: bytearray) -> None:
        if request == QUERYCAP:
            struct.pack_into("<II", argument, 84, 1, 1)
        elif request == REQBUFS:
            assert struct.unpack_from("<III", argument) == (0, 1, 1)
            raise OSError(errno.EBUSY, "Device or resource busy")
        else:
            raise OSError(errno.EINVAL, "Invalid argument")


def test_a_camera_that_another_program_has_is_found_with_that_program(
    machine: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = machine.file("dev/video0")
    (machine.root / "proc").symlink_to("/proc")
    monkeypatch.setattr("fcntl.ioctl", Busy().ioctl)
    code = "import sys; held = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        found = named(machine.examine(), "camera-busy")
        other.kill()
    comm = Path(sys.executable).name[:15]
    assert (found.severity, found.remedy) == ("error", f"kill {other.pid}")
    assert found.what == f"/dev/video0 is taken: {comm} (process {other.pid}) has it open"


def test_of_a_program_that_does_not_show_at_least_the_way_to_it_is_told() -> None:
    node = Node(path="/dev/video0", allowed=True, busy=True)
    (found,) = check_devices(Machine(devices=Devices(cameras=(node,))))
    assert (found.name, found.remedy) == ("camera-busy", "sudo fuser -v /dev/video0")


def test_a_running_sound_server_is_seen(machine: Seeded) -> None:
    assert not look_at_devices(machine.place).sound_server
    machine.environment["XDG_RUNTIME_DIR"] = "/run/user/1000"
    machine.file("run/user/1000/pulse/native")
    assert look_at_devices(machine.place).sound_server


def test_a_folder_that_cannot_be_written_is_found(machine: Seeded) -> None:
    machine.cache.chmod(0o555)
    found = [each for each in machine.examine_unprivileged() if each["name"] == "folder-read-only"]
    assert [each["where"] for each in found] == [str(machine.cache)]
    assert found[0]["severity"] == "error"
    assert found[0]["remedy"] == f'sudo install -d -o "$USER" {machine.cache}'


def test_the_temporary_folder_stays_everybodys(machine: Seeded) -> None:
    mine = machine.folder / "tmp"
    mine.mkdir(mode=0o555)
    machine.environment["TMPDIR"] = str(mine)
    found = [each for each in machine.examine_unprivileged() if each["name"] == "folder-read-only"]
    assert [each["where"] for each in found] == [str(mine)]
    assert found[0]["remedy"] == f"sudo install -d -m 1777 {mine}"


def test_no_owner_helps_a_mount_that_is_read_only(tmp_path: Path) -> None:
    done = in_mount(READ_ONLY, tmp_path)
    lines = [line.split("|") for line in done.splitlines() if "folder-read-only" in line]
    assert lines == [
        [
            "folder-read-only",
            "error",
            "the folder for engines cannot be written",
            f"sudo mount -o remount,rw {tmp_path}",
        ]
    ]


def test_folders_are_those_that_engines_are_kept_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    engines, key, _ = look_at_room(Place()).folders
    assert Path(engines.path) == default_folder()
    assert Path(key.path) == default_key_file().parent


READ_ONLY = """
set -e
mount -t tmpfs -o ro none "$1"
exec "$2" -c "$3" "$1"
"""
FILL = """
set -e
mount -t tmpfs -o size=1m full "$1"
dd if=/dev/zero of="$1/filler" bs=64k 2>/dev/null || true
exec "$2" -c "$3" "$1"
"""
LOOK = """
import sys
from pathlib import Path
from mmedge.doctor.checks.room import check_room
from mmedge.doctor.looking.room import look_at_room
from mmedge.doctor.machine import Machine
from mmedge.doctor.place import Place
full = Path(sys.argv[1]) / "mmedge"
room = look_at_room(Place(cache=full / "engines", key_file=Path("/tmp/engine.key")))
for each in check_room(Machine(room=room)):
    print(each.name, each.severity, each.what, each.remedy, sep="|")
"""


def in_mount(script: str, folder: Path) -> str:
    """Mount something at a folder, and give what the room there is found to lack."""
    allowed = shutil.which("unshare") and subprocess.run(["unshare", "-rm", "true"], check=False)
    if not allowed or allowed.returncode:
        pytest.skip("such a disk is mounted with unshare -rm, which is not allowed here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", folder, sys.executable, LOOK],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    done = in_mount(FILL, tmp_path)
    lines = [line.split("|") for line in done.splitlines() if "disk-full" in line]
    assert [line[:3] for line in lines] == [["disk-full", "error", "0 MiB are free for engines"]]
    assert lines[0][3].startswith(f"df -h {tmp_path}")
