"""Writes manual pages from the help of the commands.

    progress-ledger --experimental-dump-help | manuals.py VERSION FOLDER

One page for the program and one for each command; the pages contain their subcommands. The date in them is that of
SOURCE_DATE_EPOCH, so that the same help gives the same bytes.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

Command = dict[str, Any]


def escape(text: str) -> str:
    """Escapes what troff would interpret: backslashes, hyphens, and control characters at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    text = text.replace("'", "\\(aq").replace("`", "\\(ga").replace("…", "...")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> list[str]:
    """Formats a discussion. Indented lines and lists of exit codes keep their lines."""
    lines: list[str] = []
    for block in text.split("\n\n"):
        rows = block.split("\n")
        is_sample = any(row.startswith("  ") for row in rows)
        lines += [".PP", ".nf", *map(escape, rows), ".fi"] if is_sample else [".PP", escape(" ".join(rows))]
    return lines


def is_visible(entry: Command) -> bool:
    return bool(entry.get("shouldDisplay", True))


def name_of(name: dict[str, str]) -> str:
    return f"--{name['name']}" if name["kind"] == "long" else f"-{name['name']}"


def synopsis(names: list[str], command: Command) -> str:
    parts = [f"\\fB{escape(' '.join(names))}\\fR"]
    arguments = [argument for argument in command.get("arguments", []) if is_visible(argument)]
    if any(argument["kind"] != "positional" for argument in arguments):
        parts.append("[\\fIoptions\\fR]")
    if any(is_visible(subcommand) for subcommand in command.get("subcommands", [])):
        parts.append("\\fIsubcommand\\fR")
    for argument in arguments:
        if argument["kind"] == "positional":
            value = f"\\fI{escape(argument['valueName'])}\\fR" + ("..." if argument["isRepeating"] else "")
            parts.append(f"[{value}]" if argument["isOptional"] else value)
    return " ".join(parts)


def argument_lines(argument: Command) -> list[str]:
    value = f"\\fI{escape(argument['valueName'])}\\fR"
    if argument["kind"] == "positional":
        head = value
    else:
        head = ", ".join(f"\\fB{escape(name_of(name))}\\fR" for name in argument["names"])
        if argument["kind"] == "option":
            head += f" {value}"
    text = argument.get("abstract", "")
    if "allValues" in argument and argument["kind"] == "option":
        text += f" One of: {', '.join(argument['allValues'])}."
    if "defaultValue" in argument:
        text += f" Default: {argument['defaultValue']}."
    lines = [".TP", head, escape(text.strip()) or "\\&"]
    if argument.get("discussion"):
        lines += [".RS", *paragraphs(argument["discussion"]), ".RE"]
    return lines


def body(names: list[str], command: Command, heading: str) -> list[str]:
    """Formats the description and the options of a command."""
    lines = [f".{heading} DESCRIPTION", escape(command.get("abstract", ""))] if heading == "SH" else []
    if command.get("discussion"):
        lines += paragraphs(command["discussion"])
    arguments = [argument for argument in command.get("arguments", []) if is_visible(argument)]
    if arguments and heading == "SH":
        lines.append(".SH OPTIONS")
    for argument in arguments:
        lines += argument_lines(argument)
    return lines


def subcommand_lines(names: list[str], command: Command) -> list[str]:
    lines = []
    for subcommand in filter(is_visible, command.get("subcommands", [])):
        own = [*names, subcommand["commandName"]]
        heading = escape(" ".join(own[1:]))
        lines += [f'.SS "{heading}"', synopsis(own, subcommand), ".PP", escape(subcommand["abstract"])]
        lines += body(own, subcommand, "SS") + subcommand_lines(own, subcommand)
    return lines


def page(names: list[str], command: Command, pages: list[str], head: str) -> str:
    title = "-".join(names)
    lines = [
        f'.TH "{title.upper()}" "1" {head}',
        ".SH NAME",
        f"{escape(title)} \\- {escape(command.get('abstract', '').rstrip('.'))}",
        ".SH SYNOPSIS",
        synopsis(names, command),
        *body(names, command, "SH"),
    ]
    if len(names) > 1:
        subcommands = subcommand_lines(names, command)
        lines += [".SH SUBCOMMANDS", *subcommands] if subcommands else []
    else:
        lines.append(".SH COMMANDS")
        for subcommand in filter(is_visible, command["subcommands"]):
            name = f"{title}-{subcommand['commandName']}"
            if name in pages:
                lines += [".TP", f"\\fB{escape(name)}\\fR(1)", escape(subcommand["abstract"])]
        lines += [
            ".SH FILES",
            ".TP",
            "\\fI/etc/progress\\-ledger/progress\\-ledger.conf\\fR",
            "The configuration of the services that the package installs. Its comments describe the settings.",
        ]
    others = [name for name in pages if name != title] if len(names) == 1 else [pages[0]]
    lines += [".SH SEE ALSO", ",\n".join(f"\\fB{escape(name)}\\fR(1)" for name in others)]
    return "\n".join(lines) + "\n"


def main(version: str, folder: Path, source: TextIO) -> None:
    root = json.load(source)["command"]
    moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), tz=datetime.timezone.utc)
    head = f'"{moment:%Y-%m-%d}" "progress-ledger {version}" "Progress ledger"'
    name = root["commandName"]
    # The parser's own command 'help' needs no page.
    commands = [entry for entry in root["subcommands"] if is_visible(entry) and entry["commandName"] != "help"]
    pages = [name, *(f"{name}-{entry['commandName']}" for entry in commands)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.1").write_text(page([name], root, pages, head), encoding="utf-8")
    for entry in commands:
        names = [name, entry["commandName"]]
        (folder / f"{'-'.join(names)}.1").write_text(page(names, entry, pages, head), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), sys.stdin)
