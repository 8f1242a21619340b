"""Check a folder with one wheel and one source distribution: their files, metadata and links.

`python .ci/check_packages.py FOLDER`
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

NOT_IN_THE_SOURCE_DISTRIBUTION = {".gitignore"}


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, encoding="utf-8").stdout
    return set(listed.splitlines()) - NOT_IN_THE_SOURCE_DISTRIBUTION


def check_source_distribution(path: Path, files: set[str]) -> None:
    with tarfile.open(path) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    if missing := sorted(files - found):
        raise SystemExit(f"{path.name} lacks {', '.join(missing)}: see MANIFEST.in")


def check_wheel(path: Path, files: set[str]) -> None:
    with zipfile.ZipFile(path) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(archive.read(name).decode("utf-8"))
    expected = {file for file in files if file.startswith("tinygrad_np/")}
    if found != expected:
        raise SystemExit(f"{path.name} differs from the folder tinygrad_np in {sorted(found ^ expected)}")
    if metadata["License-Expression"] != "MIT":
        raise SystemExit(f"{path.name} has no SPDX licence")
    links = re.findall(r"\]\(([^)]*)\)", metadata.get_payload())
    if relative := [link for link in links if not link.startswith("https://")]:
        raise SystemExit(f"DESCRIPTION.md has links that lead nowhere on a package index: {', '.join(relative)}")


def main(folder: Path) -> None:
    files = tracked()
    [wheel], [source] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check_source_distribution(source, files)
    check_wheel(wheel, files)
    print(f"{wheel.name} and {source.name} have all of their files")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
