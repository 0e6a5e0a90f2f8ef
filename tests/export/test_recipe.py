"""Recipes: how they are found, and what is refused before anything is exported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")


from mmedge.errors import ConfigError  # noqa: E402
from mmedge.export import Encoder, ExportConfig, Fusion, load_recipe  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    PIXELS,
    YES_NO,
    Flat,
    Head,
    export_to,
    listing,
    one_picture,
)

pytestmark = pytest.mark.torch

GOOD = """
from tests.export.recipes import one_picture

NUMBER = 3

def recipe():
    return one_picture(name="found")

def forgets():
    import math
    return math.no_such_thing

def breaks():
    return 1 / 0

def other():
    return {"modalities": {}}

def wants(something):
    return something

def misspelt():
    from mmedge.specs import Image
    return one_picture(modalities={"camera": Image(height=0, width=4)})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "model.py").write_text(GOOD)
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit/__init__.py").touch()
    (tmp_path / "kit/model.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("kit", "mmedge_recipe_", "neighbour")):
            del sys.modules[name]


@pytest.mark.parametrize("where", ["model.py:recipe", "./kit/model.py:recipe"])
def test_a_recipe_is_found_in_a_file(folder: Path, where: str) -> None:
    recipe = load_recipe(where)
    assert recipe.name == "found"
    assert recipe.folder == (folder / where.partition(":")[0]).parent


def test_a_recipe_is_found_in_a_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    recipe = load_recipe("kit.model:recipe")
    assert (recipe.name, recipe.folder) == ("found", folder / "kit")


def test_a_file_finds_its_neighbours_and_two_of_one_name_stay_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for place, name in (("one", "first"), ("two", "second")):
        (folder / place).mkdir()
        (folder / place / f"neighbour_{place}.py").write_text(f"NAME = {name!r}\n")
        (folder / place / "model.py").write_text(
            f"from neighbour_{place} import NAME\n"
            "from tests.export.recipes import one_picture\n"
            "def recipe():\n    return one_picture(name=NAME)\n"
        )
    names = [load_recipe(f"{place}/model.py:recipe").name for place in ("one", "two", "one")]
    assert names == ["first", "second", "first"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("model.py", "'model.py' is not of the form FILE.py:FUNCTION"),
        (":recipe", "not of the form"),
        ("model.py:", "not of the form"),
        ("absent.py:recipe", "there is no recipe file absent.py"),
        ("no.such.package:recipe", "cannot be imported: ModuleNotFoundError: No module named 'no'"),
        ("model.py:recipes", "has no function 'recipes'; it has recipe, forgets"),
        ("model.py:NUMBER", "has no function 'NUMBER'"),
        ("model.py:forgets", "AttributeError: module 'math' has no attribute 'no_such_thing'"),
        ("model.py:breaks", "ZeroDivisionError: division by zero (model.py, line 14)"),
        ("model.py:other", "returned a dict; it has to return mmedge.export.Recipe("),
        ("model.py:wants", "TypeError: wants() missing 1 required positional argument"),
        ("model.py:misspelt", "Image: height (0): Input should be greater than or equal to 1"),
    ],
)
def test_a_recipe_that_cannot_be_had_says_why(folder: Path, where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_recipe(where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_thing\n", "No module named 'no_such_thing' (broken.py, line 1)"),
        ("\n\nraise KeyError('x')\n", "KeyError: 'x' (broken.py, line 3)"),
        ("def recipe(:\n", "SyntaxError"),
        ("raise SystemExit(0)\n", "SystemExit"),
    ],
)
def test_a_file_that_does_not_import_names_its_line(folder: Path, text: str, message: str) -> None:
    (folder / "broken.py").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_recipe("broken.py:recipe")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": {"fusion": PIXELS}}, "a modality cannot be called 'fusion'"),
        ({"modalities": {"presence": PIXELS}}, "a modality cannot be called 'presence'"),
        ({"modalities": {"hint_mask": PIXELS}}, "a modality cannot be called 'hint_mask'"),
        ({"modalities": {"Camera": PIXELS}}, "modality name 'Camera': use lower-case"),
        ({"modalities": {"front door": PIXELS}}, "modality name 'front door'"),
        ({"modalities": {"../x": PIXELS}}, "modality name '../x'"),
        ({"modalities": {}}, "the recipe names no modality"),
        ({"tasks": {}}, "the recipe names no task"),
        ({"tasks": {"1st": YES_NO}}, "task name '1st'"),
        ({"tasks": {"presence": YES_NO}}, "a task cannot be called 'presence'"),
        ({"tasks": {"camera": YES_NO}}, "a task cannot be called 'camera'"),
        ({"tasks": {"camera_mask": YES_NO}}, "a task cannot be called 'camera_mask'"),
        ({"tasks": {"answer": PIXELS}}, "tasks['answer'] is a Image"),
        ({"encoders": {"mic": Flat()}}, "encoders are given for ['mic'] but the modalities are"),
        ({"encoders": {}}, "encoders are given for []"),
        ({"encoders": {"camera": Flat}}, "encoders['camera'] is a type, but Module or Encoder"),
        ({"encoders": {"camera": torch.relu}}, "encoders['camera'] is a"),
        ({"modalities": {"camera": "webcam"}}, "modalities['camera'] is a str, but Image or"),
        ({"fusion": Head}, "fusion is a type; give a torch.nn.Module"),
        ({"name": "my model"}, "name 'my model': use letters, digits"),
    ],
)
def test_parts_that_cannot_be_meant_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        one_picture(**changes)


@pytest.mark.parametrize(
    ("part", "fields", "message"),
    [
        (Fusion, {"module": Head}, "Fusion['module'] is a type, but Module was expected"),
        (Fusion, {"module": Head(), "absent": "zero"}, "Fusion(absent='zero'): give 'mean', or"),
        (Fusion, {"module": Head(), "absent": {"camera": 0.0}}, "absent['camera'] is a float"),
        (Encoder, {"module": Flat}, "Encoder['module'] is a type, but Module was expected"),
        (Encoder, {"module": Flat(), "front_end": abs}, "Encoder['front_end'] is a builtin_"),
    ],
)
def test_a_part_in_its_long_form_is_checked(part: Any, fields: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        part(**fields)


@pytest.mark.parametrize("name", ["type", "values", "train"])
def test_a_name_that_torch_keeps_for_itself_is_refused(tmp_path: Path, name: str) -> None:
    recipe = one_picture(modalities={name: PIXELS}, encoders={name: Flat()})
    (tmp_path / "w.pt").write_bytes(b"any")
    with pytest.raises(ConfigError, match=f"'{name}' already exists.*rename that modality"):
        export_to(tmp_path, recipe, weights=(str(tmp_path / "w.pt"),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples=0 must lie in 1..1024"),
        ({"samples": 1025}, "samples=1025 must lie in 1..1024"),
        ({"golden": "mine"}, "golden='mine' is neither 'seeded' nor 'clips'"),
        ({"golden": "clips"}, "no clips are given; add --clips"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ExportConfig(out=Path("m.mmedge"), **options)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("m", "a bundle's name ends in .mmedge"),
        ("no/m.mmedge", "does not exist; make it first"),
        ("file.mmedge", "exists and is not a bundle"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused(
    tmp_path: Path, out: str, message: str
) -> None:
    (tmp_path / "file.mmedge").write_text("mine")
    with pytest.raises(ConfigError, match=re.escape(message)):
        export_to(tmp_path, one_picture(), out=tmp_path / out, replace=True)
    assert listing(tmp_path) == {"file.mmedge": 4}
