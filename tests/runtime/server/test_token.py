from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.server import ServerConfig, find_token


def test_a_file_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the-token-of-the-file\n", "utf-8")
    environ = {"MMEDGE_HTTP_TOKEN": "the-token-of-the-environment"}
    token = find_token(environ, file)
    assert (token.value, token.origin) == ("the-token-of-the-file", "file")
    token = find_token(environ)
    assert (token.value, token.origin) == ("the-token-of-the-environment", "environment")


def test_else_a_new_one_is_made_that_the_server_takes() -> None:
    one, two = find_token({}), find_token({"MMEDGE_HTTP_TOKEN": ""})
    assert one.origin == two.origin == "made"
    assert one.value != two.value
    assert ServerConfig(host="0.0.0.0", token=one.value).token == one.value
    assert one.value not in repr(one)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot read the token"), (b" \n", "empty"), (b"\xff", "cannot")]
)
def test_a_file_without_a_token_is_an_error(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        find_token({}, file)
