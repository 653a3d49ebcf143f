"""The dimension universe: what version 1 is, and how a pipeline extends it."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from lsst.daf.butler import DimensionConfig, DimensionUniverse, TopologicalSpace

from spherex_butler import dimension_config, extend_universe
from spherex_butler.configuration.universe import claim_universe, definition, require_ours
from spherex_butler.errors import ConfigurationError

NIGHT = {"requires": ["instrument"], "keys": [{"name": "id", "type": "int"}]}


def without_docs(value):
    if isinstance(value, dict):
        return {key: without_docs(item) for key, item in value.items() if key != "doc"}
    return [without_docs(item) for item in value] if isinstance(value, list) else value


def test_version_1_has_not_changed():
    """Until the first release a change updates the digest; then it means a new version."""
    text = json.dumps(without_docs(dimension_config().toDict()), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "48dcbfe8fd4d085907c6d8960d416a6f98783721a2ea457b7216ec018ca8fba5"
    )


@pytest.fixture(scope="module")
def universe():
    return claim_universe(dimension_config())


def test_elements_and_their_relations(universe):
    assert (universe.namespace, universe.version) == ("spherex", 1)
    elements = {e.name: (set(e.required.names), set(e.implied.names)) for e in universe.elements if e.name in ELEMENTS}
    assert elements == ELEMENTS


ELEMENTS = {
    "instrument": ({"instrument"}, set()),
    "detector": ({"instrument", "detector"}, set()),
    "channel": ({"instrument", "detector", "channel"}, set()),
    "planning_period": ({"instrument", "planning_period"}, set()),
    "group": ({"instrument", "group"}, {"planning_period"}),
    "exposure": ({"instrument", "exposure"}, {"group", "planning_period"}),
    "exposure_detector_region": ({"instrument", "exposure", "detector"}, set()),
}


def test_there_is_nothing_else_but_sky_pixels_in_healpix4_and_others(universe):
    pixels = set(universe.skypix_dimensions.names)
    assert {e.name for e in universe.elements} - pixels == set(ELEMENTS)
    assert {"htm7", "htm24", "healpix4", "healpix17"} <= pixels
    assert universe.commonSkyPix.name == "healpix4"


def test_regions_belong_to_images_and_times_to_exposures(universe):
    spatial = [e.name for e in universe.elements if e.spatial and e.name in ELEMENTS]
    temporal = [e.name for e in universe.elements if e.temporal]
    assert (spatial, temporal) == (["exposure_detector_region"], ["exposure"])
    regions = universe["exposure_detector_region"]
    assert regions.topology[TopologicalSpace.SPATIAL].name == "observation_regions"
    assert regions.populated_by == universe["exposure"]


def test_fields_that_rubin_middleware_reads_keep_their_names(universe):
    for element, names in {
        "instrument": {"class_name", "detector_max", "exposure_max"},
        "detector": {"full_name"},
        "exposure": {"obs_id", "exposure_time", "tracking_ra", "tracking_dec", "sky_angle", "timespan"},
    }.items():
        assert names <= set(universe[element].RecordClass.fields.names)


def test_each_call_returns_a_copy_of_its_own():
    config = dimension_config()
    config["version"] = 99
    assert dimension_config()["version"] == 1


@pytest.mark.parametrize(
    ("element", "key", "value"),
    [("detector", "doc", "Other words."), ("channel", "requires", ["detector", "instrument"])],
)
def test_documentation_and_order_are_no_part_of_the_definition(element, key, value):
    config = dimension_config()
    config["elements", element, key] = value
    assert definition(config) == definition(dimension_config())
    assert claim_universe(config) is claim_universe(dimension_config())


def test_another_definition_under_our_version_is_refused_with_both_shown():
    config = dimension_config()
    config["elements", "detector", "metadata"][0]["length"] = 99
    claim_universe(dimension_config())
    with pytest.raises(ConfigurationError) as caught:
        claim_universe(config)
    message = str(caught.value)
    assert "already holds another definition of the dimension universe 'spherex', version 1" in message
    assert re.search(r"^-.* length: 16$", message, re.MULTILINE)
    assert re.search(r"^\+.* length: 99$", message, re.MULTILINE)


@pytest.mark.parametrize("call", ["make_repo('r')", "install()"])
def test_process_that_holds_another_definition_of_ours_is_refused(run_forked, call):
    script = f"""
import os, spherex_butler
from lsst.daf.butler import DimensionUniverse, StorageClassFactory
config = spherex_butler.dimension_config()
config["skypix", "common"] = "htm7"
DimensionUniverse(config)
before = dict(os.environ), os.listdir()
try:
    spherex_butler.{call}
except spherex_butler.errors.ConfigurationError as error:
    print(error)
assert before == (dict(os.environ), os.listdir())
assert "CCDData" not in StorageClassFactory()
"""
    lines = run_forked(script).splitlines()
    assert "-  common: htm7" in lines
    assert "+  common: healpix4" in lines


def test_extension_adds_to_ours_and_again_is_the_same():
    elements = {"night": NIGHT, "night_note": {"requires": ["night", "detector"], "populated_by": "night"}}
    config = extend_universe(elements, namespace="test_adds", version=3)
    universe = DimensionUniverse(config)
    assert (universe.namespace, universe.version) == ("test_adds", 3)
    assert set(universe["night"].required.names) == {"instrument", "night"}
    assert universe["night_note"].populated_by == universe["night"]
    require_ours(config)
    assert DimensionUniverse(extend_universe(elements, namespace="test_adds", version=3)) is universe


def test_extension_may_have_regions_and_times_of_its_own():
    elements = {
        "tiling": {"governor": True, "keys": [{"name": "name", "type": "string", "length": 8}]},
        "tile": {"requires": ["tiling"], "keys": [{"name": "id", "type": "int"}]},
        "season": NIGHT,
    }
    topology = {"spatial": {"tile_regions": ["tile"]}, "temporal": {"season_timespans": ["season"]}}
    config = extend_universe(elements, namespace="test_topology", version=1, topology=topology)
    universe = DimensionUniverse(config)
    assert universe["tile"].spatial.name == "tile_regions"
    assert universe["season"].temporal.name == "season_timespans"
    assert universe["exposure"].temporal.name == "observation_timespans"


def test_extension_may_use_the_old_way_to_say_cached():
    table = "lsst.daf.butler.registry.dimensions.table.TableDimensionRecordStorage"
    caching = "lsst.daf.butler.registry.dimensions.caching.CachingDimensionRecordStorage"
    config = extend_universe(
        {"night": NIGHT | {"storage": {"cls": caching, "nested": {"cls": table}}}},
        namespace="test_storage",
        version=1,
    )
    assert DimensionUniverse(config)["night"].is_cached


def test_version_reused_with_other_content_is_refused_with_both_shown():
    extend_universe({"night": NIGHT}, namespace="test_reused", version=1)
    other = NIGHT | {"keys": [{"name": "name", "type": "string", "length": 8}]}
    with pytest.raises(ConfigurationError) as caught:
        extend_universe({"night": other}, namespace="test_reused", version=1)
    message = str(caught.value)
    assert "'test_reused', version 1" in message
    assert re.search(r"^-.*name: id$", message, re.MULTILINE)
    assert re.search(r"^\+.*name: name$", message, re.MULTILINE)


def test_refused_extension_does_not_take_its_version():
    with pytest.raises(ConfigurationError):
        extend_universe({"night": NIGHT | {"requires": ["day"]}}, namespace="test_retry", version=1)
    config = extend_universe({"night": NIGHT}, namespace="test_retry", version=1)
    assert "night" in DimensionUniverse(config)


def night(**changes):
    return {"elements": {"night": NIGHT | changes}}


def night_key(**changes):
    return night(keys=[{"name": "id", "type": "int"} | changes])


CIRCLE = {"a": NIGHT | {"requires": ["b"]}, "b": NIGHT | {"requires": ["a"]}}
NOTE = {"note": {"requires": ["group"], "populated_by": "visit"}}
NIGHTS_FAMILY = {"nights": ["night"]}
REFUSED = {
    "clash with an element": ({"elements": {"exposure": NIGHT}}, r"\['exposure'\] are defined by the SPHEREx universe"),
    "clash with a sky pixelization": ({"elements": {"healpix": NIGHT}}, r"\['healpix'\] are defined by"),
    "clash with a sky pixel level": ({"elements": {"htm7": NIGHT}}, r"\['htm7'\] are defined by"),
    "clash with a family": (
        {"topology": {"temporal": {"observation_timespans": ["night"]}}},
        r"\['observation_timespans'\] are defined by",
    ),
    "family named as an element": ({"topology": {"temporal": {"group": ["night"]}}}, r"\['group'\] are defined by"),
    "empty namespace": ({"namespace": ""}, r"namespace of an extended universe is ''"),
    "no namespace": ({"namespace": None}, r"namespace of an extended universe is None"),
    "our namespace": ({"namespace": "spherex"}, r"is 'spherex'; expected a name of the pipeline's own"),
    "daf_butler's namespace": ({"namespace": "daf_butler"}, r"is 'daf_butler'; expected a name"),
    "version zero": ({"version": 0}, r"version of the universe 'test_refused' is 0; expected a whole"),
    "version as text": ({"version": "1"}, r"is '1'; expected a whole number"),
    "unknown required dimension": (
        night(requires=["visit"]),
        r"'requires' of the element 'night' refers to \['visit'\], which the extended universe does not define",
    ),
    "unknown implied dimension": (night(implies=["band"]), r"'implies' of the element 'night' refers to \['band'\]"),
    "unknown populating dimension": ({"elements": NOTE}, r"'populated_by' of the element 'note' refers to \['visit'\]"),
    "unknown family member": (
        {"topology": {"spatial": {"patches": ["patch"]}}},
        r"the family 'patches' refers to \['patch'\]",
    ),
    "unknown topology": ({"topology": {"spacial": {}}}, r"does not understand \['topology.spacial'\]"),
    "misspelt key": (night(require=["instrument"]), r"does not understand \['elements.night.require'\]"),
    "misspelt key of a column": (night_key(nulable=True), r"does not understand \['elements.night.keys.0.nulable'\]"),
    "column type that Butler has not": (
        night_key(type="float"),
        r"elements.night.keys.0 .*'float'",
    ),
    "circle": ({"elements": CIRCLE}, r"cannot build the extended universe: Cycle"),
    "column of the same name as a dimension": (
        night(metadata=[{"name": "instrument", "type": "int"}]),
        r"'night' has more than one column named \['instrument'\]",
    ),
    "family without a governor": (
        night(requires=[]) | {"topology": {"temporal": NIGHTS_FAMILY}},
        r"family 'nights' require the governor dimensions \[\[\]\]",
    ),
    "second spatial family of one governor": (
        {"topology": {"spatial": NIGHTS_FAMILY}},
        r"Spatial families need a governor dimension each, but theirs are .*'nights': 'instrument'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_extension_is_refused(case):
    arguments, message = REFUSED[case]
    given = {"elements": {"night": NIGHT}, "namespace": "test_refused", "version": 1} | arguments
    with pytest.raises(ConfigurationError, match=message):
        extend_universe(given.pop("elements"), **given)


def test_universe_without_our_elements_is_not_ours():
    rubin = DimensionConfig("resource://lsst.daf.butler/configs/dimensions.yaml")
    with pytest.raises(ConfigurationError, match=r"lacks or redefines .*'planning_period'.*extend_universe"):
        require_ours(rubin)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        (("elements", "group", "implies"), [], "group"),
        (("topology", "spatial", "observation_regions"), [], "observation_regions"),
        (("skypix", "common"), "htm7", "skypix"),
    ],
)
def test_universe_that_redefines_a_part_of_ours_is_not_ours(key, value, named):
    config = dimension_config()
    config["namespace"] = "test_redefines"
    config[key] = value
    with pytest.raises(ConfigurationError, match=rf"'test_redefines', version 1, lacks or redefines \['{named}'\]"):
        require_ours(config)
