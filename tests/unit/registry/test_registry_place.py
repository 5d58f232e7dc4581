"""Where a model may come from. The property at the end is the promise; the tables say what people expect."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from serin.api.modelregistry import Artifacts
from serin.api.modelregistry import Rewrite
from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.place import matches
from serin.registry.place import place

DEFAULTS = Artifacts()
API = "/api/2.0/mlflow-artifacts/artifacts/"


def artifacts(*allowed: str, **rewrite: str) -> Artifacts:
    return Artifacts(allowed=allowed, rewrite=tuple(Rewrite(from_=k, to=v) for k, v in rewrite.items()))


def refusal(uri: str, where: Artifacts = DEFAULTS, server: str | None = None) -> str:
    with pytest.raises(RegistryError) as caught:
        place(uri, where, "default", server=server)
    assert (caught.value.reason, caught.value.transient) == (Reason.ARTIFACT_NOT_ALLOWED, False)
    assert len(caught.value.message) <= 300
    return caught.value.message


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://models/1/m-1/artifacts", "s3://models/1/m-1/artifacts"),
        ("s3://models/1/m-1/artifacts//", "s3://models/1/m-1/artifacts"),
        ("s3://models/my model/v…1", "s3://models/my model/v…1"),
        ("s3://models/a%20b", "s3://models/a%20b"),
        ("gs://b/x", "gs://b/x"),
        ("https://acct.blob.core.windows.net/ctr/path", "https://acct.blob.core.windows.net/ctr/path"),
        ("wasbs://ctr@acct.blob.core.windows.net/a/b/", "https://acct.blob.core.windows.net/ctr/a/b"),
        ("abfss://ctr@acct.dfs.core.windows.net/a", "https://acct.blob.core.windows.net/ctr/a"),
    ],
)
def test_the_defaults_let_buckets_through(uri: str, expected: str) -> None:
    assert place(uri, DEFAULTS) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "s3://",
        "s3:///etc/passwd",
        "S3://models/x",
        "pvc://claim/x",
        "oci://registry/image",
        "hf://org/model",
        "file:///etc",
        "http://169.254.169.254/latest",
        "https://example.com/model.tar.gz",
        "https://acct.blob.core.windows.net.example.com/c/x",
        "https://acct.blob.core.windows.net@example.com/c/x",
        "https://example.com/acct.blob.core.windows.net/c",
        "https://acct.blob.core.windows.net",
        "wasbs://c@evil.example.com/x",
        "models:/iris/1",
        "runs:/r/model",
        "dummy-source",
        "/mnt/models",
        "mlflow-artifacts:/1/models/m-1",
        "mlflow-artifacts://host:5000/1",
        "s3://models/a/../b",
        "s3://models/a/%2e%2e/b",
        "s3://models/a/%252e%252e/b",
        "s3://models/a/%25252525252e/b",
        "s3://models/a\\..\\b",
        "s3://models/./b",
        "s3://models/a\nb",
        "s3://models/a\x00",
        " s3://models/a",
        "s3://models/a?versionId=1",
        "s3://models/a#b",
        "s3://user@models/a",
        "s3://mod%65ls/a",
    ],
)
def test_the_defaults_refuse_everything_else(uri: str) -> None:
    refusal(uri)


@pytest.mark.parametrize(
    ("prefix", "uri", "expected"),
    [
        ("s3://models", "s3://models/a", True),
        ("s3://models", "s3://models", True),
        ("s3://models", "s3://models-evil/a", False),
        ("s3://models/", "s3://models-evil/a", False),
        ("s3://models/", "s3://models/a", True),
        ("s3://models/", "s3://models", True),
        ("s3://models/team", "s3://models/team-b/a", False),
        ("s3://models/team_", "s3://models/team_b/a", True),
        ("gs://ml-", "gs://ml-fraud/a", True),
        ("gs://ml-", "gs://ml/a", False),
        ("s3://", "s3://any/a", True),
        ("s3:", "s3://any/a", True),
        ("s3://models.", "s3://models.evil/a", False),
        ("pvc://claim", "pvc://claim/a", True),
        ("s", "s3://models/a", False),
    ],
)
def test_a_prefix_matches_whole_names(prefix: str, uri: str, expected: bool) -> None:
    assert matches(uri, prefix) is expected
    if expected:
        assert place(uri, artifacts(prefix)) == uri
    else:
        refusal(uri, artifacts(prefix))


def test_a_prefix_of_azure_may_be_written_as_mlflow_writes_it() -> None:
    allowed = artifacts("wasbs://ctr@acct.blob.core.windows.net/")
    assert place("wasbs://ctr@acct.blob.core.windows.net/a", allowed) == "https://acct.blob.core.windows.net/ctr/a"
    refusal("wasbs://other@acct.blob.core.windows.net/a", allowed)


@pytest.mark.parametrize(
    ("from_", "to", "uri", "expected"),
    [
        ("mlflow-artifacts:/", "s3://m/mlflow/", "mlflow-artifacts:/1/m-1/artifacts", "s3://m/mlflow/1/m-1/artifacts"),
        ("mlflow-artifacts:/", "s3://m/mlflow", "mlflow-artifacts:/1/m-1/artifacts", "s3://m/mlflow/1/m-1/artifacts"),
        ("mlflow-artifacts:", "s3://m", "mlflow-artifacts:/1/m-1", "s3://m/1/m-1"),
        ("s3://old", "s3://new", "s3://old/a", "s3://new/a"),
        ("s3://old", "s3://new", "s3://old-evil/a", "s3://old-evil/a"),
        ("gs://dev-", "gs://prod-", "gs://dev-fraud/a", "gs://prod-fraud/a"),
        ("mlflow-artifacts:/", "s3://", "mlflow-artifacts:/bucket/a", "s3://bucket/a"),
    ],
)
def test_a_rewrite_replaces_a_prefix(from_: str, to: str, uri: str, expected: str) -> None:
    assert place(uri, artifacts(**{from_: to})) == expected


def test_the_first_rewrite_that_matches_is_the_only_one() -> None:
    rules = artifacts(**{"s3://a/": "s3://b/", "s3://b/": "s3://c/"})
    assert place("s3://a/x", rules) == "s3://b/x"


def test_the_result_of_a_rewrite_is_checked() -> None:
    refusal(
        "mlflow-artifacts:/1",
        Artifacts(allowed=("s3://a/",), rewrite=(Rewrite(from_="mlflow-artifacts:/", to="s3://b/"),)),
    )
    refusal("mlflow-artifacts:/../x", artifacts(**{"mlflow-artifacts:/": "s3://b/c/"}))


def test_another_servers_artifacts_are_not_rewritten_as_our_own() -> None:
    refusal("mlflow-artifacts://other:5000/1", artifacts(**{"mlflow-artifacts:/": "s3://b/"}))


@pytest.mark.parametrize(
    ("uri", "server", "expected"),
    [
        ("mlflow-artifacts:/1/m-1/artifacts", "http://mlflow:5000", f"mlflow://mlflow:5000{API}1/m-1/artifacts"),
        ("mlflow-artifacts:/1/m-1/", "https://host/ml/", f"mlflows://host/ml{API}1/m-1"),
        ("mlflow-artifacts:/1/a model/x", "http://h", f"mlflow://h{API}1/a model/x"),
    ],
)
def test_the_tracking_servers_own_store_is_reached_through_it(uri: str, server: str, expected: str) -> None:
    assert place(uri, DEFAULTS, server=server) == expected
    assert place(uri, artifacts("mlflow-artifacts:/"), server=server) == expected
    assert place(uri, artifacts("mlflow-artifacts:/1"), server=server) == expected


@pytest.mark.parametrize(
    ("uri", "where"),
    [
        ("mlflow-artifacts:/1/m-1", artifacts("s3://models/")),
        ("mlflow-artifacts:/2/m-1", artifacts("mlflow-artifacts:/1")),
        ("mlflow-artifacts:/", DEFAULTS),
        ("mlflow-artifacts://", DEFAULTS),
        ("mlflow-artifacts://other:5000/1", DEFAULTS),
        ("mlflow-artifacts:/1/../../etc", DEFAULTS),
        ("mlflow-artifacts:/1/%2e%2e/x", DEFAULTS),
        ("mlflow-artifacts:1/m", DEFAULTS),
        (f"mlflow://evil:5000{API}1/m-1", DEFAULTS),
    ],
)
def test_nothing_else_is_reached_through_it(uri: str, where: Artifacts) -> None:
    refusal(uri, where, server="http://mlflow:5000")


def test_a_rewrite_goes_before_the_tracking_server() -> None:
    rules = artifacts(**{"mlflow-artifacts:/": "s3://m/"})
    assert place("mlflow-artifacts:/1/m", rules, server="http://mlflow:5000") == "s3://m/1/m"


@pytest.mark.parametrize(
    ("uri", "where", "says"),
    [
        ("mlflow-artifacts:/1/m", DEFAULTS, "Enable storageInitializer in Serin's chart, or add artifacts.rewrite"),
        ("s3://b/x", artifacts("s3://a/"), "artifacts.allowed of ModelRegistry 'default'"),
        ("hf://org/model", DEFAULTS, "default artifacts.allowed"),
        ("s3://b/" + "x" * 5000, artifacts("s3://a/"), "Add its prefix there"),
    ],
)
def test_a_refusal_names_the_remedy(uri: str, where: Artifacts, says: str) -> None:
    assert says in refusal(uri, where)


def test_a_refusal_quotes_no_secret() -> None:
    message = refusal("https://user:canary@host/x?sig=canary")
    assert "canary" not in message


PIECES = st.sampled_from(
    (
        *(
            "s3:",
            "//",
            "/",
            "models",
            "-evil",
            "..",
            ".",
            "%2e",
            "%25",
            "%2F",
            "@",
            "\\",
            "?",
            "#",
            " ",
            "\n",
            "gs://ml-",
        ),
        *(
            "https://",
            "acct.blob.core.windows.net",
            "wasbs://",
            "mlflow-artifacts:/",
            "file://",
            "pvc://",
            "a",
            "_",
            ":",
        ),
    )
)
ROOTS = st.sampled_from(
    (
        *(
            "s3://models",
            "s3://models/",
            "s3://models-evil/",
            "gs://ml-fraud/",
            "gs://ml-",
            "mlflow-artifacts:/",
            "file:///mnt/",
        ),
        *("https://acct.blob.core.windows.net/ctr/", "wasbs://ctr@acct.blob.core.windows.net/", "pvc://a_claim/"),
    )
)
URIS = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES, max_size=9).map("".join),
    st.tuples(ROOTS, st.lists(PIECES, max_size=4)).map(lambda parts: parts[0] + "".join(parts[1])),
)
PREFIXES = st.lists(
    st.sampled_from(
        ["s3://models", "s3://models/", "gs://ml-", "s3://", "file:///mnt", "https://models", "pvc://a_", "s3:"]
    ),
    max_size=3,
).map(tuple)
REWRITES = st.lists(
    st.builds(
        Rewrite,
        from_=st.sampled_from(["mlflow-artifacts:/", "s3://models", "a", "/", "s3://models-"]),
        to=st.sampled_from(["s3://models/", "gs://ml-x", "s3://", "models", "file:///mnt/a"]),
    ),
    max_size=3,
).map(tuple)


@settings(max_examples=1000, deadline=None)
@given(uri=URIS, allowed=PREFIXES, rewrite=REWRITES)
@example(uri="s3://models/../x", allowed=("s3://models",), rewrite=())
@example(uri="/x", allowed=("s3://models/",), rewrite=(Rewrite(from_="/", to="s3://models"),))
def test_no_input_leads_outside_the_allowed_prefixes(
    uri: str, allowed: tuple[str, ...], rewrite: tuple[Rewrite, ...]
) -> None:
    try:
        result = place(uri, Artifacts(allowed=allowed, rewrite=rewrite))
    except RegistryError:
        return
    scheme, separator, rest = result.partition("://")
    assert separator
    assert rest
    assert result.isprintable()
    decoded = unquote(unquote(unquote(unquote(unquote(result)))))
    assert not {".", ".."} & set(decoded.replace("\\", "/").split("/"))
    authority = rest.split("/")[0]
    assert authority or scheme == "file"
    assert not set("@%?#\\") & set(authority)
    if allowed:
        # Said anew, not by `matches`: the bucket is one that a prefix names, or begins like one that ends in - or _.
        assert any(
            (result + "/").startswith(prefix if prefix.endswith(("/", "-", "_")) else f"{prefix}/")
            for prefix in allowed
        )
    elif scheme == "https":
        assert authority.endswith(".blob.core.windows.net")
        assert authority.count(".") == 4
    else:
        assert scheme in {"s3", "gs"}
