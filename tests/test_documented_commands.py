"""Every command that the pages print exists, and takes the options that stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import tyro

from corvids.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/first-flight.md", "docs/state-protocol.md", "docs/corvids-fly@.service")
STANDS_FOR = {"V": "air", "HOST": "127.0.0.1", "VEHICLE:14600": "127.0.0.1:14600", "TASK": "juggle"}
"""What stands in the pages for the reader's own."""


class Parsed(BaseException):
    """A command line that was understood."""


def lines_of(page: str) -> list[list[str]]:
    """Command lines as words, from blocks of code, code within sentences, and systemd's ExecStart."""
    text = (ROOT / page).read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = [line for block in blocks for line in block.splitlines()]
    without = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without)]
    found += re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    lines = []
    for line in found:
        match = re.match(r"(?:\S+/)?corvids (?P<rest>[^#]*)", line)
        if match and not re.search(r"…|\.\.\.|\[|(^|\s)[A-Z]+ \(", match["rest"]):
            words = shlex.split(match["rest"].replace("%i", "juggle").replace("$CORVIDS_OPTIONS", ""))
            lines.append([STANDS_FOR.get(word, word) for word in words if word != ">"])
    return lines


CASES = [(page, words) for page in PAGES for words in lines_of(page)]


def test_the_pages_were_read():
    pages = [page for page, _ in CASES]
    assert pages.count("README.md") > 25
    assert pages.count("docs/first-flight.md") > 6
    assert pages.count("docs/corvids-fly@.service") == 1


@pytest.mark.parametrize(("page", "words"), CASES, ids=lambda part: " ".join(part)[:60] if part else "")
def test_a_command_is_understood(page: str, words: list[str], monkeypatch, capsys):
    understand = tyro.cli

    def understood(*arguments, **options):
        understand(*arguments, **options)
        raise Parsed

    monkeypatch.setattr(tyro, "cli", understood)
    if not any(word.startswith("-") for word in words):
        words = [*words, "--help"]
    try:
        code = main(words)
    except Parsed:
        code = 0
    except SystemExit as exit_:
        code = exit_.code or 0
    assert code == 0, f"{page}: corvids {' '.join(words)}: {capsys.readouterr().err}"
