"""Secrets and keys from variables and files; what cannot be read is told without its value."""

from __future__ import annotations

import os

import pytest

SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


def test_a_secret_stands_in_the_file_itself(load_text):
    assert load_text(f'http_api.key = "{SECRET}"').config.http_api.key.value == SECRET


def test_a_secret_comes_from_a_variable(load_text):
    loaded = load_text('http_api.key = "env:API_KEY"', {"API_KEY": SECRET})

    assert loaded.config.http_api.key.value == SECRET


def test_a_secret_comes_from_a_file_without_its_last_newline(load_text, secret_file):
    loaded = load_text(f'http_api.key = "file:{secret_file}"')

    assert loaded.config.http_api.key.value == SECRET


def test_a_variable_may_itself_name_a_file(load_text, secret_file):
    loaded = load_text("", {"WSMESH_HTTP_API_KEY": f"file:{secret_file}"})

    assert loaded.config.http_api.key.value == SECRET


def test_a_variable_that_a_secret_names_needs_not_be_an_option(load_text):
    loaded = load_text('http_api.key = "env:WSMESH_API_SECRET"', {"WSMESH_API_SECRET": SECRET})

    assert loaded.config.http_api.key.value == SECRET


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("env:NOPE", "expected a value in the environment variable 'NOPE', which is not set"),
        ("env:EMPTY", "expected a value in the environment variable 'EMPTY', which is empty"),
        ("env:", "expected a value in the environment variable '', which is not set"),
        ("file:/nope/nope", "cannot read '/nope/nope': No such file or directory"),
    ],
)
def test_a_secret_that_is_not_there_is_told(faults_of, text, told):
    assert faults_of(f'http_api.key = "{text}"', {"EMPTY": ""}) == [f"FILE: http_api.key: {told}"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "which is empty"),
        (b"\n", "which is empty"),
        (b"\xff\xfe", "expected UTF-8 text"),
        (b"x" * (64 * 1024 + 1), "expected at most 64KiB"),
    ],
)
def test_a_file_that_holds_no_secret_is_told(faults_of, tmp_path, content, told):
    path = tmp_path / "odd"
    path.write_bytes(content)

    (fault,) = faults_of(f'http_api.key = "file:{path}"')

    assert told in fault


def test_a_pipe_is_not_waited_for(faults_of, tmp_path):
    os.mkfifo(tmp_path / "pipe")

    (fault,) = faults_of(f'http_api.key = "file:{tmp_path / "pipe"}"')

    assert "expected a regular file" in fault


def test_64_kib_are_read(load_text, tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"x" * 64 * 1024)

    assert len(load_text(f'http_api.key = "file:{path}"').config.http_api.key.value) == 64 * 1024
