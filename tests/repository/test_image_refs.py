import uuid

import pytest
from lsst.daf.butler import DataCoordinate, DatasetIdFactory, DatasetIdGenEnum, DatasetRef
from made_once import new_repo

from spherex_butler.repository.image_refs import ImageRefs, image_ref


@pytest.fixture(scope="module")
def level2():
    with new_repo() as butler:
        yield butler.get_dataset_type("level2")


def refs_of(level2, count=5):
    return [image_ref(level2, f"spx/l2b-v2{n % 2}-2025-354", 20255110106842 + n, 1 + n % 6) for n in range(count)]


def test_the_id_is_the_one_butler_derives_of_data_id_type_and_run(level2):
    ref = image_ref(level2, "spx/l2b-v21-2025-354", 20255110106842, 3)
    values = {"instrument": "SPHEREx", "exposure": 20255110106842, "detector": 3}
    data_id = DataCoordinate.standardize(values, dimensions=level2.dimensions)
    expected = DatasetIdFactory().makeDatasetId(
        "spx/l2b-v21-2025-354", level2, data_id, DatasetIdGenEnum.DATAID_TYPE_RUN
    )
    assert ref == DatasetRef(level2, data_id, "spx/l2b-v21-2025-354", id=expected)


def test_a_compact_list_gives_back_what_was_added(level2):
    refs = refs_of(level2)
    compact = ImageRefs(refs[:2])
    compact.append(refs[2])
    compact.extend(refs[3:])
    assert compact == refs
    assert list(compact) == refs
    assert [ref.run for ref in compact] == [ref.run for ref in refs]


def test_a_compact_list_is_indexed_like_a_list(level2):
    refs = refs_of(level2)
    compact = ImageRefs(refs)
    assert (compact[0], compact[-1], compact[1:4]) == (refs[0], refs[-1], refs[1:4])
    with pytest.raises(IndexError):
        compact[5]


def test_a_compact_list_is_another_where_ids_differ(level2):
    refs = refs_of(level2, 2)
    other = DatasetRef(level2, refs[1].dataId, refs[1].run, id=uuid.uuid4())
    assert ImageRefs(refs) != [refs[0], other]
    assert ImageRefs(refs) != refs[:1]
    assert ImageRefs() == []
