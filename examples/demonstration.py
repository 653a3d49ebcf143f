"""What the demonstrations share: how they tell what they do, and the folder that each makes anew."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

_MARK = ".spherex-demo"


def say(text: str = "") -> None:
    print(text, flush=True)


def step(number: int, title: str) -> None:
    say(f"\n{number}. {title}\n" + "-" * (len(title) + 3))


def fresh_folder(folder: Path, parser: argparse.ArgumentParser) -> Path:
    """Make a folder, in the place of one that a demonstration made before, and of no other."""
    output = folder.absolute()
    if output.exists() and not (output / _MARK).exists():
        parser.error(f"{output} is there and was not made by this demo; choose another --output")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / _MARK).touch()
    return output
