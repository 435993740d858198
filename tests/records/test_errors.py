from __future__ import annotations

import inspect

import records
import records.errors
from records import AssetError, ConfigurationError, Fault, SightflowError


def test_every_error_is_in_the_one_tree() -> None:
    classes = [
        value
        for value in vars(records.errors).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    assert all(issubclass(one, SightflowError) for one in classes)
    drawn = records.errors.__doc__ or ""
    assert [one.__name__ for one in classes if one.__name__ not in drawn] == []


def test_the_export_list_is_what_the_package_offers() -> None:
    offered = {name for name in vars(records) if name[0].isupper() and not name.startswith("__")}
    assert offered == set(records.__all__) | (offered & {"Record"})
    assert sorted(records.__all__, key=str) == sorted(set(records.__all__))


def test_an_asset_error_tells_every_source_tried() -> None:
    error = AssetError("clip", ["the cache: not there", "the web: refused"])
    assert str(error) == (
        "asset 'clip' cannot be had; tried:\n  1. the cache: not there\n  2. the web: refused"
    )


def test_a_configuration_error_tells_every_fault() -> None:
    error = ConfigurationError(
        [
            Fault("a.yaml", 3, "streams.gate.uri", "'x.mp4'", "does not exist", "Check the path."),
            Fault("a.yaml", 0, "", "", "is no UTF-8 text", "Save it as UTF-8."),
        ]
    )
    assert str(error) == (
        "2 faults in the configuration:\n"
        "  a.yaml:3: streams.gate.uri: does not exist (got 'x.mp4'). Check the path.\n"
        "  a.yaml: is no UTF-8 text. Save it as UTF-8."
    )
    assert str(ConfigurationError(error.faults[:1])).startswith("1 fault in the configuration:")
