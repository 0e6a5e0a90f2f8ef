"""What the documentation shows works, and what it names exists."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.main import get_command

from mmedge.cli import command_line

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("number", range(3))
def test_every_example_of_the_library_page_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "mmedge" / "demo" / "digits.mmedge", tmp_path / "digits.mmedge")
    monkeypatch.chdir(tmp_path)
    examples = blocks(ROOT / "docs" / "library.md", "python")
    assert len(examples) == 3
    exec(compile(examples[number], "docs/library.md", "exec"), {})  # noqa: S102 - our own page


def test_every_command_shown_exists_with_its_options() -> None:
    commands = get_command(command_line([])).commands  # type: ignore[attr-defined]
    shown = [
        line
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("mmedge ")
    ]
    assert len(shown) >= 6
    for line in shown:
        words = line.partition("#")[0].split()
        assert words[1] in commands, line
        known = {opt for param in commands[words[1]].params for opt in param.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_of_ours_leads_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
