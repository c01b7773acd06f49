"""The reference file cannot rot: it names every option and loads as the defaults."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from wsmesh.config.channels import Namespace
from wsmesh.config.options import dotted, fields_of, options_of
from wsmesh.config.reference import reference, reload_table
from wsmesh.config.sections import Config


def test_the_reference_file_loads_as_the_defaults(load_text, file):
    loaded = load_text(reference())

    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {str(file), "default"}
    assert [path for path, origin in loaded.origins.items() if origin == "default"] == [
        "channel.namespaces"
    ]


def test_every_option_stands_there_with_its_text_kind_and_default():
    tree = tomllib.loads(reference())
    words = " ".join(re.sub(r"^# ?", "", line) for line in reference().splitlines())

    for option in options_of(Config):
        if option.path in (("listeners",), ("channel", "namespaces")):
            continue
        assert option.text in words, option.path
        place = tree
        for part in option.path:
            place = place[part]
    assert re.search(r'# How often a client is pinged; 0 never\. \(duration, at least 0s\); '
                     r'default "25s"\.\nping_interval = "25s"\n', reference())


def test_every_option_of_a_namespace_is_shown_by_an_example_that_works(load_text):
    text, found = re.subn(r"(?m)^#(?=\[\[channel\.namespaces\]\]|\w+ = )", "", reference())
    (namespace,) = load_text(text).config.channel.namespaces

    assert found == 1 + len(fields_of(Namespace))
    assert namespace == Namespace(name="example")


def test_no_line_is_too_long_to_read():
    assert [line for line in reference().splitlines() if len(line) > 100] == []


def test_what_reloads_is_marked_and_nothing_else():
    lines = reference().splitlines()
    found = {}
    section = ""
    for number, line in enumerate(lines):
        if header := re.match(r"#?\[+([\w.]+)\]+", line):
            section = header[1]
        elif name := re.match(r"#?(\w+) = ", line):
            above = " ".join(line.removeprefix("# ") for line in lines[:number])
            found[f"{section}.{name[1]}"] = above.endswith("; reloads.")
    for option in options_of(Config):
        if option.path not in (("listeners",), ("channel", "namespaces")):
            assert found[dotted(option.path)] is option.is_reloadable, option.path
    assert found["channel.namespaces.presence"]
    assert not found["listeners.address"]


def test_the_page_names_every_option_that_reloads():
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    table = page.partition("<!-- reloadable: begin -->\n")[2].partition("<!-- reloadable: end")[0]

    assert table == reload_table(), f"docs/configuration.md should have:\n{reload_table()}"
