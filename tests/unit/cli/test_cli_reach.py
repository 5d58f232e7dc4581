from __future__ import annotations

import json
import stat
import sys
from datetime import UTC
from datetime import datetime
from pathlib import Path

import pytest

from e2e.stack.certificate import ensure
from serin.cli.reach import Where
from tests.unit.cli import objects
from tests.unit.cli.api_server import HANG_UP
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.api_server import Json
from tests.unit.cli.api_server import wire
from tests.unit.cli.conftest import Run
from tests.unit.cli.conftest import run

OBJECT = "GET /apis/serin.dev/v1alpha1/namespaces/payments/modeldeployments/fraud"


def one_line(text: str) -> str:
    return " ".join(text.split())


def refused(serin: Run, *arguments: str) -> str:
    """The error of a command that cannot be carried out: a sentence, without a trace of where."""
    ended = serin(*(arguments or ("status", "fraud")))
    assert ended.exit_code == 1, ended.output
    assert "Traceback" not in ended.output
    assert ended.stdout == ""
    return one_line(ended.stderr)


def test_no_cluster_is_known() -> None:
    told = refused(run)
    assert told.startswith("error: no cluster is known: there is no kubeconfig at ~/.kube/config, or nothing in")
    assert "--kubeconfig or KUBECONFIG" in told


def test_the_cluster_is_down(serin: Run) -> None:
    told = refused(serin, "status", "fraud", "--context", "nowhere")
    assert told.startswith("error: the API server http://127.0.0.1:1 does not answer:")
    assert "Connection refused" in told
    assert "kubectl config current-context" in told


def test_an_unknown_context_is_answered_with_the_known_ones(serin: Run) -> None:
    told = refused(serin, "status", "fraud", "--context", "prod")
    assert "does not say how to reach context prod" in told
    assert "Its contexts are: here, nowhere; choose one with --context" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read: while parsing"),
        ("\udcff", "cannot be read: "),
        ("", "or nothing in it"),
        ("# nothing\n---\n", "or nothing in it"),
        ("[]", "holds something else"),
        ("clusters: 7", "must be a list of entries with a name"),
        ("users: [{user: {token: secret}}]", "must be a list of entries with a name"),
        ("contexts: [secret]", "must be a list of entries with a name"),
        ('{"current-context": "x"}', "does not say how to reach its current context"),
        (
            "{contexts: [{name: x, context: {cluster: c}}], clusters: [{name: c, cluster: {}}], current-context: x}",
            "cluster c in the kubeconfig",
        ),
    ],
)
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "broken"
    file.write_bytes(content.encode(errors="surrogateescape"))
    error = refused(run, "status", "fraud", "--kubeconfig", str(file))
    assert str(file) in error
    assert told in error
    assert "secret" not in error


def test_kinds_that_are_not_installed(api: ApiServer, serin: Run) -> None:
    api.refuse("GET /apis/serin.dev", 404, "the server could not find the requested resource", times=2)
    told = refused(serin)
    assert "has no ModelDeployments: their CustomResourceDefinition is not installed" in told
    assert "Install Serin's Helm chart" in told
    assert "is not installed" in refused(serin, "status")


def test_what_is_forbidden(api: ApiServer, serin: Run) -> None:
    api.refuse(OBJECT, 403, 'User "jane" cannot get resource "modeldeployments"')
    told = refused(serin)
    assert 'you may not get ModelDeployment fraud in namespace payments: User "jane" cannot get' in told
    assert "Ask for the ClusterRole view" in told


def test_a_login_that_ended(api: ApiServer, serin: Run) -> None:
    api.refuse(OBJECT, 401, "Unauthorized")
    assert "does not know you: Unauthorized Log in again as you would for kubectl" in refused(serin)


def test_any_other_refusal_has_the_servers_words(api: ApiServer, serin: Run) -> None:
    api.refuse(OBJECT, 500, "etcdserver: leader changed")
    assert (
        "refused to get ModelDeployment fraud in namespace payments: etcdserver: leader changed (HTTP 500)"
        in refused(serin)
    )


def test_an_answer_that_breaks_off(api: ApiServer, serin: Run) -> None:
    api.refuse(OBJECT, HANG_UP)
    assert "does not answer" in refused(serin)


PAGE = b"<html>\n<b>upstream is away</b>"
CUT = {
    "in the midst of its body": (wire(503, PAGE, missing=300), "<html> <b>upstream is away</b>"),
    "before its body": (wire(503, b"", missing=300), "answered with 503"),
    "in the midst of a chunk": (
        b"HTTP/1.1 503 Whatever\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + PAGE,
        "<html> <b>upstream is away</b>",
    ),
    "not at all, but it is no gzip": (wire(503, PAGE, "Content-Encoding: gzip"), "answered with 503"),
    "not at all, but it is nested too deep": (wire(503, b"[" * 100_000), "[" * 200),
    "not at all, but it says nothing": (wire(503, b'{"message": null}'), "answered with 503"),
}


@pytest.mark.parametrize("cut", CUT)
def test_a_refusal_that_is_cut_keeps_its_status_and_the_words_that_came(api: ApiServer, serin: Run, cut: str) -> None:
    """A load balancer's, while the API server behind it starts anew."""
    raw, words = CUT[cut]
    api.answer(OBJECT, raw)
    what = "error: the API server refused to get ModelDeployment fraud in namespace payments"
    assert refused(serin) == f"{what}: {words} (HTTP 503)"


FOREIGN = {
    "a page": (PAGE, "no JSON came (HTTP 200)"),
    "a list": (b"[]", "no object came"),
    "nothing": (b"null", "no object came"),
    "another's object": (b'{"status": "up"}', "no "),
    "too many brackets": (b"[" * 100_000, "what came is nested too deep"),
}


@pytest.mark.parametrize("arguments", [["status", "fraud"], ["status"]])
@pytest.mark.parametrize("answer", FOREIGN)
def test_an_answer_that_is_none_of_kubernetes(api: ApiServer, serin: Run, answer: str, arguments: list[str]) -> None:
    """A page to log in, or a proxy's own word, with a status as if all were well."""
    body, words = FOREIGN[answer]
    api.answer("GET /apis/serin.dev", wire(200, body))
    told = refused(serin, *arguments)
    assert told.startswith(f"error: {api.url} does not answer as a Kubernetes API server does: {words}")
    assert "is this the right context?" in told


@pytest.mark.parametrize("items", [b"7", b"[null]", b'[{"name": "fraud"}]'])
def test_a_list_of_what_is_none_of_kubernetes(api: ApiServer, serin: Run, items: bytes) -> None:
    api.answer("GET /apis/serin.dev", wire(200, b'{"metadata": {}, "items": ' + items + b"}"))
    assert "does not answer as a Kubernetes API server does: no " in refused(serin, "status")


def test_a_list_of_nothing_is_one(api: ApiServer, serin: Run) -> None:
    """Go writes null for it."""
    api.answer("GET /apis/serin.dev", wire(200, b'{"metadata": {}, "items": null}'))
    listed = serin("status")
    assert (listed.exit_code, listed.stderr) == (0, "no ModelDeployments in namespace payments\n")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["fruad"], "there is no ModelDeployment fruad in namespace payments Did you mean fraud? serin status -A"),
        (["ranking"], "There is one in search: name it with -n."),
        (["fraud", "-n", "search"], "There is one in payments: name it with -n."),
        (["zzz"], "there is no ModelDeployment zzz in namespace payments serin status -A lists all."),
    ],
)
def test_a_name_that_does_not_exist(api: ApiServer, serin: Run, asked: list[str], told: str) -> None:
    api.put(objects.deployment())
    api.put(objects.deployment("ranking", "search"))
    ended = serin("status", *asked)
    assert ended.exit_code == 3
    assert told in one_line(ended.stderr)


def test_names_are_near_also_for_who_may_not_look_everywhere(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment())
    everywhere = "GET /apis/serin.dev/v1alpha1/modeldeployments"
    api.refuse(everywhere, 403)
    assert "Did you mean fraud?" in serin("status", "fruad").stderr
    api.refuse(everywhere, 403)
    api.refuse("GET /apis/serin.dev/v1alpha1/namespaces/payments/modeldeployments?", 403)
    assert serin("status", "fruad").exit_code == 3


def test_the_namespace_is_the_named_one_or_the_contexts_or_default(api: ApiServer, tmp_path: Path) -> None:
    for given, of_context, used in ((None, "payments", "payments"), ("x", "payments", "x"), (None, None, "default")):
        file = api.kubeconfig(tmp_path / "kubeconfig", namespace=of_context)
        where = Where(str(file), None, given)
        assert where.namespace_of(where.session()) == used


def test_several_kubeconfigs_are_read_together(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As kubectl reads KUBECONFIG: the first that says something counts; a file that is missing is left out."""
    api.put(objects.deployment())
    whole: Json = json.loads(api.kubeconfig(tmp_path / "whole").read_text())
    (tmp_path / "people").write_text(json.dumps({"users": whole.pop("users")}))
    (tmp_path / "places").write_text(json.dumps(whole))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{tmp_path}/places:{tmp_path}/people")
    assert run("status", "fraud").exit_code == 0
    assert api.tokens[-1] == "Bearer secret-token"


def test_the_first_of_several_kubeconfigs_says_the_current_context(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl has it. By the last one's word an order would go to another cluster than kubectl shows."""
    api.put(objects.rolling())
    mine: Json = json.loads(api.kubeconfig(tmp_path / "mine").read_text())
    others = {**mine, "current-context": "nowhere"}
    silent = {"contexts": [], "current-context": ""}
    for name, config in (("others", others), ("silent", silent)):
        (tmp_path / name).write_text(json.dumps(config))
    (tmp_path / "empty").write_text("# nothing\n")
    paths = ":".join(str(tmp_path / name) for name in ("empty", "silent", "mine", "others"))
    monkeypatch.setenv("KUBECONFIG", paths)
    assert run("pause", "fraud", "--no-wait").exit_code == 0
    assert api.patches
    assert "http://127.0.0.1:1 does not answer" in refused(run, "status", "--context", "nowhere")


def behind(path: Path, proxy: object) -> None:
    """The kubeconfig's cluster is reached by a proxy."""
    file = path / "kubeconfig"
    config: Json = json.loads(file.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = proxy
    file.write_text(json.dumps(config))


def test_a_proxy_of_the_kubeconfig_is_gone_by_whatever_the_environment_excepts(serin: Run, tmp_path: Path) -> None:
    """As kubectl does. NO_PROXY names the API server here, as a company's often names all that is private."""
    behind(tmp_path, "http://127.0.0.1:1")
    assert "('Unable to connect to proxy'" in refused(serin)


def test_a_proxy_that_needs_a_package_says_which(serin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    behind(tmp_path, "socks5://jane:hush@bastion:1080")
    told = refused(serin)
    assert told == (
        "error: the proxy socks5://bastion:1080 speaks SOCKS, for which a package is missing: pip install PySocks into "
        "serin's environment"
    )


@pytest.mark.parametrize("proxy", ["bastion:1080", "foo://jane:hush@bastion:1080", 7])
def test_a_proxy_that_is_none(serin: Run, tmp_path: Path, proxy: object) -> None:
    behind(tmp_path, proxy)
    told = refused(serin)
    assert "is no proxy: proxy-url of the kubeconfig, or HTTPS_PROXY, must begin with http://" in told
    assert "hush" not in told


def helper(path: Path, script: str) -> Path:
    """A kubeconfig whose user logs in by a helper."""
    program = path / "login"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    login = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never"}
    return program if not login else _with_user(path, {"exec": login})


def _with_user(path: Path, user: Json) -> Path:
    file = path / "kubeconfig"
    config: Json = json.loads(file.read_text())
    config["users"] = [{"name": "jane", "user": user}]
    file.write_text(json.dumps(config))
    return file


def test_a_login_helper(api: ApiServer, serin: Run, tmp_path: Path) -> None:
    api.put(objects.deployment())
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "fresh"},
    }
    helper(tmp_path, f"echo '{json.dumps(credential)}'")
    assert serin("status", "fraud").exit_code == 0
    assert api.tokens[-1] == "Bearer fresh"


def test_a_login_helper_that_fails_is_named(api: ApiServer, serin: Run, tmp_path: Path) -> None:
    """Its words would be lost: the request goes out as nobody, and the API server only says that it does not know
    nobody."""
    helper(tmp_path, "echo 'token has expired, run: cloud login' >&2; exit 1")
    api.refuse(OBJECT, 401, "Unauthorized")
    assert "token has expired, run: cloud login" in refused(serin)


def test_a_bug_is_a_sentence_that_names_the_place_and_no_secret(
    api: ApiServer, serin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library says of a value that it refuses may be the token itself."""
    api.put(objects.deployment())

    def broken(*_: object, **__: object) -> None:
        raise ValueError("Invalid header value b'Bearer secret-token'")

    monkeypatch.setattr("kubernetes.client.rest.RESTClientObject.request", broken)
    told = refused(serin)
    assert "this is a bug in serin, please report it: ValueError at cluster/session.py line " in told
    assert "SERIN_DEBUG=1 shows all of it" in told
    assert "secret-token" not in told
    monkeypatch.setenv("SERIN_DEBUG", "1")
    assert isinstance(serin("status", "fraud").exception, ValueError)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n"])
def test_a_token_in_a_file_that_ends_with_a_newline(api: ApiServer, serin: Run, tmp_path: Path, end: str) -> None:
    api.put(objects.deployment())
    (tmp_path / "token").write_bytes(f"filetok{end}".encode())
    _with_user(tmp_path, {"tokenFile": str(tmp_path / "token")})
    shown = serin("status", "fraud")
    assert shown.exit_code == 0, shown.output
    assert api.tokens[-1] == "Bearer filetok"


@pytest.mark.parametrize("token", ["file\ntok", "file tok en", "filet\u00f6k"])
def test_a_token_that_is_none_is_not_shown(serin: Run, tmp_path: Path, token: str) -> None:
    _with_user(tmp_path, {"token": token})
    told = refused(serin)
    assert "the token of user jane in the kubeconfig" in told
    assert "log in again as you would for kubectl" in told
    assert "file" not in told.replace("kubeconfig", "")


@pytest.mark.parametrize(
    "user",
    [
        {"auth-provider": {"name": "oidc", "config": {"client-secret": "hush"}}},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "env": [{"value": "hush"}]}},
    ],
)
def test_a_user_that_is_not_complete_is_told_without_secrets(
    api: ApiServer, serin: Run, tmp_path: Path, user: Json
) -> None:
    _with_user(tmp_path, user)
    api.refuse(OBJECT, 401, "Unauthorized")
    told = refused(serin)
    assert "Expected key" in told
    assert "hush" not in told


IMPERSONATING: Json = {
    "token": "secret-token",
    "as": "zo\u00eb",
    "as-uid": "u-1",
    "as-groups": ["on-call", "payments, all"],
    "as-user-extra": {"example.com/reason": ["page 7", "night"]},
}


def test_who_impersonates_somebody_asks_and_orders_as_them(api: ApiServer, serin: Run, tmp_path: Path) -> None:
    """As kubectl does: what is recorded is as whom it was ordered."""
    api.put(objects.rolling())
    _with_user(tmp_path, IMPERSONATING)
    assert serin("promote", "fraud", "--no-wait").exit_code == 0
    assert api.tokens[-1] == "Bearer secret-token"
    assert api.impersonated[-1] == [
        ("Impersonate-User", "zo\u00eb"),
        ("Impersonate-Uid", "u-1"),
        ("Impersonate-Group", "on-call"),
        ("Impersonate-Group", "payments, all"),
        ("Impersonate-Extra-example.com%2Freason", "page 7"),
        ("Impersonate-Extra-example.com%2Freason", "night"),
    ]
    assert api.of("fraud")["metadata"]["annotations"]["serin.dev/promote"].startswith(f"{objects.CANDIDATE}#zo/")


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"as-groups": ["on-call"]}, "as-groups needs as: without it nobody is impersonated"),
        ({"as": "zoe\nAuthorization: x"}, "as of its user must be text on one line"),
        ({"as": "zoe", "as-groups": [7]}, "as-groups of its user must be text on one line"),
        ({"as": "zoe", "as-user-extra": "x"}, "does not say how to reach its current context"),
    ],
)
def test_what_cannot_be_impersonated(serin: Run, tmp_path: Path, user: Json, told: str) -> None:
    _with_user(tmp_path, {"token": "secret-token", **user})
    assert told in refused(serin)


def test_a_certificate_that_shall_not_be_checked_is_not_spoken_of(tmp_path: Path) -> None:
    """kubectl says nothing of it, and a script that reads the standard error would read it with every request."""
    pair = ensure(None, "localhost", datetime.now(UTC))
    file = tmp_path / "tls.pem"
    file.write_bytes(pair.certificate + pair.key)
    with ApiServer(certificate=file) as api:
        api.put(objects.deployment())
        file = api.kubeconfig(tmp_path / "kubeconfig")
        config: Json = json.loads(file.read_text())
        config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
        file.write_text(json.dumps(config))
        shown = run("status", "fraud", "--kubeconfig", str(file))
    assert (shown.exit_code, shown.stderr) == (0, "")
