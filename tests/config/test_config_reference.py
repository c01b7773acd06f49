"""The reference file cannot rot: it names every option and loads as the defaults."""

from __future__ import annotations

import re
import tomllib

from wsmesh.config.channels import Namespace
from wsmesh.config.options import fields_of, options_of
from wsmesh.config.reference import reference
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
