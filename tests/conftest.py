"""Hypothesis profiles (``fast`` unless ``--hypothesis-profile=long`` is given) and the fixtures of all test folders."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator


_ALWAYS = {
    "deadline": None,  # machines are shared
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    "print_blob": True,
}

# The same examples each time in CI, so that a change is judged by what it changes.
settings.register_profile("fast", max_examples=60, derandomize=os.environ.get("CI") == "true", **_ALWAYS)
settings.register_profile("long", max_examples=20_000, **_ALWAYS)
settings.load_profile("fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chunk", type=int, help="bytes at a time, in this process; without it as users have them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what needs another release of a package than the one that is installed."""
    for mark in item.iter_markers("needs"):
        requirement = Requirement(mark.args[0])
        if not requirement.specifier.contains(found := version(requirement.name), prereleases=True):
            pytest.skip(f"needs {requirement}; {found} is installed")


def pytest_configure() -> None:
    """Lets SIGINT through: a shell ignores it for its background jobs, and processes hand that down."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _chunks(request: pytest.FixtureRequest) -> Iterator[None]:
    """The sizes at which bytes are read and written, where ``--chunk`` gives them."""
    from tests.common.limited import limited

    chunk = request.config.getoption("--chunk")
    with limited(chunk) if chunk else nullcontext():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its graph with a sidecar, and HTP metadata; tests work with `folder`."""
    from graphml_onnx import encode
    from tests.common import seeds

    made = tmp_path_factory.mktemp("template")
    (made / "model.onnx").write_bytes(seeds.small_models()["large"])
    shutil.copyfile(seeds.FIXTURES / "modelexport-resnet-mini" / "model_htp_metadata.json", made / "m.json")
    encode(made / "model.onnx", made / "graph.graphml")
    return made


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of `template`, for a test to spoil."""
    return Path(shutil.copytree(template, tmp_path / "folder"))


@pytest.fixture(scope="session", autouse=True)
def _lines_of_small_documents() -> Iterator[None]:
    """The documents of tests are small: they are read as larger ones are. Commands of their own read them as usual."""
    from tests.common.two_readings import small_documents_too

    with small_documents_too():
        yield
