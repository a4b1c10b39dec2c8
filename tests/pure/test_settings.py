"""Flags, variables and the configuration file become one frozen value."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelwright.core.errors import UsageError
from kernelwright.settings import Settings, load, model_keys, secrets


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_nothing_set_gives_the_defaults(config: Path) -> None:
    settings = load({}, config)
    assert settings == Settings(settings.store, settings.cache)
    assert settings.store == settings.cache / "store.sqlite"
    assert settings.budget == 60.0


def test_a_variable_goes_before_the_file(config: Path) -> None:
    config.write_text('budget = 5\nseed = 7\nstore = "/from/file"')
    settings = load({"KERNELWRIGHT_BUDGET": "9.5", "KERNELWRIGHT_STORE": "~/s.sqlite", "PATH": "/bin"}, config)
    assert (settings.budget, settings.seed, settings.store) == (9.5, 7, Path.home() / "s.sqlite")


def test_models_are_named_with_commas_or_as_a_list(config: Path) -> None:
    config.write_text('models = ["openai:a", "google:b"]\nprice = [1, 2.5]')
    settings = load({"KERNELWRIGHT_ENGINES": "search, agent"}, config)
    assert (settings.engines, settings.models) == (("search", "agent"), ("openai:a", "google:b"))
    assert settings.price == (1.0, 2.5)


def test_keys_are_handed_over_by_provider_and_never_a_setting(config: Path) -> None:
    variables = {"GEMINI_API_KEY": "g", "OPENAI_API_KEY": "", "AWS_SECRET_ACCESS_KEY": "s"}
    assert model_keys(variables) == {"google": "g"}
    assert secrets(variables) == ("g", "s")
    assert load(variables, config) == load({}, config)


def test_cxx_names_the_compiler_unless_a_setting_does(config: Path) -> None:
    assert load({"CXX": "clang++"}, config).compiler == "clang++"
    assert load({"CXX": "clang++", "KERNELWRIGHT_COMPILER": "g++-14"}, config).compiler == "g++-14"


def test_an_empty_variable_sets_nothing(config: Path) -> None:
    assert load({"KERNELWRIGHT_BUDGET": "", "CXX": ""}, config) == load({}, config)


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("KERNELWRIGHT_BUDGET", "soon", "seconds above 0, not 'soon'"),
        ("KERNELWRIGHT_BUDGET", "-1", "seconds above 0"),
        ("KERNELWRIGHT_BUDGET", "nan", "seconds above 0"),
        ("KERNELWRIGHT_THREADS", "2.5", "whole number"),
        ("KERNELWRIGHT_MAX_COST", "0", "an amount above 0"),
        ("KERNELWRIGHT_MAX_TOKENS", "0", "1 or more"),
        ("KERNELWRIGHT_PRICE", "1", "two prices, IN,OUT"),
        ("KERNELWRIGHT_BUGDET", "60", "known: .*KERNELWRIGHT_BUDGET"),
    ],
)
def test_a_wrong_variable_is_named_with_what_was_wanted(config: Path, variable: str, value: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=f"{variable}.*{wanted}"):
        load({variable: value}, config)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("bugdet = 60", "'bugdet' in .*known: .*budget"),
        ("store = 5", "must be a path, not 5"),
        ("threads = true", "whole number"),
        ("[budget]\nseconds = 5", "seconds above 0"),
        ("budget 60", "cannot read the configuration file"),
    ],
)
def test_a_wrong_file_is_named_with_what_was_wanted(config: Path, text: str, complaint: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        load({}, config)
    assert str(config) in str(caught.value)
