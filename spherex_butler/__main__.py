"""``python -m spherex_butler``: the same commands as ``butler spherex``."""

from .cli import main

main(prog_name="python -m spherex_butler")
