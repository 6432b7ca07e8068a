"""The README's tables say what the code says; `python -m tests.docs.tables` writes them."""

from inventory_api.domain.rejections import Code
from inventory_api.domain.unavailable import Unavailable
from inventory_api.settings import Settings
from inventory_api.web.problem_kinds import HTTPCode
from tests.docs.tables import problems_table, settings_table, written


def test_every_setting_is_described() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]

    assert undescribed == []


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert written("settings") == settings_table()


def test_the_table_of_error_codes_is_that_of_the_code() -> None:
    assert written("problems") == problems_table()


def test_the_table_of_error_codes_has_every_code() -> None:
    unavailable = {kind.code for kind in Unavailable.__subclasses__()}
    expected = {*map(str, Code), *map(str, HTTPCode), *unavailable}

    shown = {row.split("`")[1] for row in written("problems").splitlines()[2:]}

    assert shown == expected
