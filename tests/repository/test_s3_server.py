"""The S3 server of the tests."""

from __future__ import annotations

from s3_server import serve_bucket


def test_each_bucket_is_empty_and_alone():
    with serve_bucket("first") as bucket:
        bucket.client.put_object(Bucket="first", Key="a", Body=b"a")
    for name in ("second", "first"):
        with serve_bucket(name) as bucket:
            assert [found["Name"] for found in bucket.client.list_buckets()["Buckets"]] == [name]
            assert "Contents" not in bucket.client.list_objects_v2(Bucket=name)
