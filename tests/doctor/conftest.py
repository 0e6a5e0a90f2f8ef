from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.seeding import Seeded


@pytest.fixture
def machine(tmp_path: Path) -> Seeded:
    """A machine without anything."""
    folder = tmp_path / "machine"
    folder.mkdir()
    return Seeded(folder)
