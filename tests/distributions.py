"""Builds wheel and sdist, and tries each without this folder, in a fresh environment of each Python that is given.

    python -m tests.distributions python3.11 python3.12 python3.13

Ends with 1 if something is missing in them, or a model does not come back.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "fixtures/htp/winml-bert-mini-dynamo"
DATA = (".typed", ".json", ".xsd", "viewer.js", "viewer.css", "viewer.sha256")
"""What belongs to the package besides its modules."""


def build(folder: Path) -> list[Path]:
    """Builds both, the wheel from the sdist; returns their paths."""
    for old in folder.glob("*"):
        old.unlink()
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
    return sorted(folder.iterdir())


def expected() -> set[str]:
    """The files of the package as it is installed: modules, and the data among them."""
    found = {path for ending in (".py", *DATA) for path in (ROOT / "graphml_onnx").rglob(f"*{ending}")}
    names = {path.relative_to(ROOT).as_posix() for path in found}
    return names | {f"graphml_onnx/cli/{path.name}" for path in (ROOT / "cli").glob("*.py")}


def missing(distribution: Path) -> set[str]:
    """What a wheel or an sdist lacks, or has too much."""
    if distribution.suffix == ".whl":
        names = {name for name in zipfile.ZipFile(distribution).namelist() if not name.split("/")[0].endswith("-info")}
        return names ^ expected()
    with tarfile.open(distribution) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wanted = ("graphml_onnx/", "cli/", "pyproject.toml", "README.md", "LICENSE")
    return {name for name in tracked.split("\0") if name.startswith(wanted)} - names


def try_it(python: str, distribution: Path, folder: Path) -> None:
    """Installs a distribution with its requirements only, and takes a model there and back.

    Raises:
        subprocess.CalledProcessError: a command failed, or another file came back.
    """
    environment = folder / "environment"
    model, metadata = (
        Path(shutil.copy(file, folder)) for file in (MODEL / "model.onnx", MODEL / "model_htp_metadata.json")
    )
    subprocess.run([python, "-m", "venv", environment], check=True)
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([programs / "python", "-m", "pip", "install", "-qq", distribution], check=True)
    for line in (
        "encode model.onnx --metadata model_htp_metadata.json --output model.graphml",
        "validate model.graphml",
        "decode model.graphml --output back.onnx --metadata-output back.json",
        "verify model.onnx",
        "inspect model.graphml",
    ):
        subprocess.run([programs / "g2o", *line.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for before, after in ((model, "back.onnx"), (metadata, "back.json")):
        if before.read_bytes() != (folder / after).read_bytes():
            raise subprocess.CalledProcessError(1, f"cmp {before.name} {after}")


def main(pythons: list[str]) -> int:
    """Tries both with each Python; returns the exit code."""
    distributions = build(ROOT / "dist")
    faults = 0
    for distribution in distributions:
        lacking = sorted(missing(distribution))
        print(
            f"{distribution.name}: {distribution.stat().st_size:,} bytes", *(f"\n  differs: {name}" for name in lacking)
        )
        faults += len(lacking)
    for python in pythons:
        for distribution in distributions:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    try_it(python, distribution, Path(folder))
                    print(f"{python}: {distribution.name}: the same file came back")
                except subprocess.CalledProcessError as error:
                    print(f"{python}: {distribution.name}: {error}")
                    faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
