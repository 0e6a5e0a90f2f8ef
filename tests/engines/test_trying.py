"""What a calibration ends with, by what the machine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge.bundle import Bundle
from mmedge.engines import trying
from mmedge.engines.building import BuildReport
from mmedge.engines.config import BuildConfig
from mmedge.engines.driver import Driver
from mmedge.engines.trying import Tried, try_engines
from mmedge.errors import IncompatibleError, ProofError
from tests.engines.fake_tensorrt import DRIVER

NO_DRIVER = "there is no NVIDIA driver here."
REPORT = BuildReport(plan="made", why="", where="somewhere", ahead_of_time=False, engines=())

Having = Callable[..., list[BuildConfig]]


@pytest.fixture
def having(monkeypatch: pytest.MonkeyPatch) -> Having:
    """Set what the machine has; gives what is built there."""

    def have(*packages: str, driver: bool, fails: bool = False) -> list[BuildConfig]:
        built: list[BuildConfig] = []

        def probe() -> Driver:
            if not driver:
                raise IncompatibleError(NO_DRIVER)
            return DRIVER

        def build(bundle: Bundle, config: BuildConfig, *, say: object) -> BuildReport:
            built.append(config)
            if fails:
                raise ProofError("built otherwise than its plan says")
            return REPORT

        monkeypatch.setattr(trying, "probe", probe)
        monkeypatch.setattr(trying, "is_installed", lambda name: name in packages)
        monkeypatch.setattr(trying, "build_engines", build)
        return built

    return have


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_rtx"])
def test_with_a_gpu_they_are_built_for_it(having: Having, demo: Bundle, package: str) -> None:
    built = having(package, driver=True)
    assert try_engines(demo, "fp32") == Tried(report=REPORT)
    assert built == [BuildConfig(plan="fp32")]


def test_without_one_they_are_audited_as_tensorrt_rtx_compiles_them_and_thrown_away(
    having: Having, demo: Bundle
) -> None:
    built = having("tensorrt_rtx", driver=False)
    tried = try_engines(demo, "fp32")
    assert tried.report is REPORT
    assert "compiles them for sm86, and not kept; on the device, 'mmedge build'" in tried.why
    (config,) = built
    assert (config.plan, config.ahead_of_time) == ("fp32", "sm86")
    assert config.out is not None
    assert not Path(config.out).exists()


@pytest.mark.parametrize(
    ("driver", "why"), [(False, NO_DRIVER), (True, "TensorRT is not installed here.")]
)
def test_with_neither_nothing_is_built_and_it_is_said_why(
    having: Having, demo: Bundle, driver: bool, why: str
) -> None:
    built = having(driver=driver)
    tried = try_engines(demo, "fp32")
    assert (tried.report, tried.failure, built) == (None, None, [])
    assert tried.why == f"{why} On the device, 'mmedge build' makes the engines and audits them."


def test_what_fails_is_handed_on(having: Having, demo: Bundle) -> None:
    having("tensorrt_rtx", driver=False, fails=True)
    tried = try_engines(demo, "fp32")
    assert isinstance(tried.failure, ProofError)
    assert tried.to_json() == {"report": None, "why": "built otherwise than its plan says"}
