"""The registry port over MLflow: which version, where its artifacts are, which aliases point where.

Stands between ``follow``/``resolve`` (when to ask) and ``wire`` (how). It caches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from serin.analysis.gates import Metric
from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry import answers
from serin.registry.config import RegistryConfig
from serin.registry.facts import VersionFacts
from serin.registry.locate import Location
from serin.registry.locate import locate
from serin.registry.metrics import read_metrics
from serin.registry.mlmodel import SIZE_LIMIT
from serin.registry.mlmodel import MlModel
from serin.registry.mlmodel import read_mlmodel
from serin.registry.refusals import Answer
from serin.registry.refusals import error_code
from serin.registry.refusals import failure
from serin.registry.refusals import is_host_check
from serin.registry.refusals import is_missing
from serin.registry.refusals import refusal
from serin.registry.refusals import shorten
from serin.registry.wire import TooLongError
from serin.registry.wire import Wire

PAGE = 1000
"""Models in one page of a search; MLflow's maximum."""
SMALL_PAGE = 100
"""Where a page of them is too long to be read: each comes with its latest versions, and all of their tags."""
PAGES = 1000
"""Pages of one listing: a million models. A server that goes on would be asked for ever, and no poll would fail."""
FILTER_LIMIT = 3000
"""Bytes of a filter, URL-encoded: gunicorn takes 4,094 bytes of request line, nginx and most proxies 8 KiB."""
_VERSION = re.compile(r"\d+\.\d+[\w.+-]{0,40}")

_PAGE_OF_THE_WEB = re.compile(rb"\s*<(!doctype\s+)?html", re.IGNORECASE)

Listing = Mapping[str, Mapping[str, int]]


class MlflowRegistry:
    """One MLflow server. Every method raises RegistryError and nothing else for what a server may do."""

    def __init__(self, config: RegistryConfig) -> None:
        self._config = config
        self._wire = Wire(config)
        self._filter_refused = False
        self._page = PAGE

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return self._config.host

    async def server_version(self) -> str:
        """The server's version. Also forgets what an earlier version of it refused."""
        answer = await self._wire.get(answers.SERVER_VERSION, {}, limit=1 << 16, poll=True)
        text = answer.body[:64].decode(errors="replace").strip()
        if answer.status != 200:
            raise refusal(self._config, answer)
        if not _VERSION.fullmatch(text):
            raise self._fail(Reason.REGISTRY_UNAVAILABLE, "does not tell its version under /version: check url.")
        self._filter_refused, self._page = False, PAGE
        return text

    async def version(self, name: str, version: int) -> VersionFacts:
        """Everything about one version that a deployment pins."""
        answer = await self._wire.get(answers.GET_VERSION, {"name": name, "version": version})
        if is_missing(answer):
            raise await self._why_no_version(name, version)
        found = answers.parse(self._config, answer, answers.VersionAnswer).model_version
        if answers.is_prompt(found.tags):
            raise self._not_a_model(name)
        if found.status != "READY":
            pending = found.status == "PENDING_REGISTRATION"
            what = "is still being registered" if pending else "failed to register: register it again"
            raise self._fail(Reason.ARTIFACT_NOT_FOUND, f"says that {_of(name, version)} {what}.", transient=pending)
        location = await locate(self._config, self._wire, name, version)
        mlmodel = await self._mlmodel(location, name, version)
        return VersionFacts(
            run_id=found.run_id or None,
            model_id=found.model_id or mlmodel.model_id,
            artifact_uri=location.uri,
            digest=mlmodel.digest,
            flavors=mlmodel.flavors,
            signature=mlmodel.signature,
        )

    async def metrics(self, run_id: str | None, model_id: str | None) -> tuple[Metric, ...]:
        """The last values of the metrics of a version, which may still change."""
        return await read_metrics(self._config, self._wire, run_id, model_id)

    async def listing(self, names: Iterable[str]) -> Listing:
        """The aliases of those of the models that exist, in one request where the server has up to 1,000 models.

        For no names it is the cheapest request that shows whether the operator is let in: ``/version`` would not,
        since neither the login nor the host check stands before it.
        """
        wanted = frozenset(names)
        if not wanted:
            answers.parse(self._config, await self._search(1), answers.ModelPage)
            return MappingProxyType({})
        only = None if self._filter_refused else _filter(wanted)
        if only is not None:
            answer = await self._models(only)
            if not _may_be_the_filter(answer):
                return await self._collect(wanted, answer, only)
            everything = await self._models()
            self._filter_refused = everything.status == 200
            return await self._collect(wanted, everything, None)
        return await self._collect(wanted, await self._models(), None)

    async def missing(self, name: str) -> RegistryError:
        """Why a name is in no listing: there is no such model, or it is a prompt, which a search hides."""
        model = await self._model(name)
        if model is None:
            what = f"has no registered model {_quoted(name)}: check spec.model.name."
        elif answers.is_prompt(model.tags):
            return self._not_a_model(name)
        elif model.name != name:
            # Databases that compare names without regard to case.
            what = f"has {_quoted(model.name)}, but no registered model {_quoted(name)}: correct spec.model.name."
        else:
            what = f"has just got the registered model {_quoted(name)}: asking again."
            return self._fail(Reason.MODEL_NOT_FOUND, what, transient=True)
        return self._fail(Reason.MODEL_NOT_FOUND, what)

    def close(self) -> None:
        """Frees threads and files; requests after it are refused."""
        self._wire.close()

    async def _models(self, only: str | None = None, token: str = "") -> Answer:
        """A page as long as can be read."""
        try:
            return await self._search(self._page, only, token)
        except TooLongError:
            if self._page == SMALL_PAGE:
                raise
            self._page = SMALL_PAGE
            return await self._search(SMALL_PAGE, only, token)

    async def _search(self, size: int, only: str | None = None, token: str = "") -> Answer:
        params: dict[str, str | int] = {"max_results": size}
        if only:
            params["filter"] = only
        if token:
            params["page_token"] = token
        return await self._wire.get(answers.SEARCH_MODELS, params, poll=True)

    async def _collect(self, wanted: frozenset[str], answer: Answer, only: str | None) -> Listing:
        """Pages on until the end, or until nothing more can be found."""
        found: dict[str, Mapping[str, int]] = {}
        tokens: set[str] = set()
        while len(tokens) < PAGES:
            page = answers.parse(self._config, answer, answers.ModelPage)
            for model in page.registered_models:
                if model.name in wanted and not answers.is_prompt(model.tags):
                    found[model.name] = MappingProxyType({a.alias: a.version for a in model.aliases})
            token = page.next_page_token
            if not token or len(found) == len(wanted):
                return MappingProxyType(found)
            if token in tokens:
                break
            tokens.add(token)
            answer = await self._models(only, token)
        raise self._fail(Reason.REGISTRY_UNAVAILABLE, "goes on with the pages of its listing without an end.")

    async def _mlmodel(self, location: Location, name: str, version: int) -> MlModel:
        answer = await self._wire.get(location.path, location.params, limit=SIZE_LIMIT)
        what = f"MLmodel file of {_of(name, version)}"
        if is_missing(answer):
            hint = "its artifacts are gone: log and register the model again."
            raise self._fail(Reason.ARTIFACT_NOT_FOUND, f"has no {what}: {hint}")
        if answer.status == 404:
            # Before 3.12 a server with --static-prefix has its API without the prefix and its artifacts behind it.
            hint = "check url and what stands before the server, and that one before 3.12 has no --static-prefix"
            raise self._fail(Reason.REGISTRY_UNAVAILABLE, f"does not give the {what} under this url (404): {hint}.")
        if answer.status == 500:
            # What MLflow answers when its own access to the artifact store fails.
            hint = "check that the server itself can reach that artifact store"
            raise self._fail(Reason.REGISTRY_UNAVAILABLE, f"cannot read the {what} (500): {hint}.")
        if answer.status != 200:
            raise refusal(self._config, answer)
        if _PAGE_OF_THE_WEB.match(answer.body):
            hint = "something before the server asks for a login, say: let the operator through"
            raise self._fail(Reason.REGISTRY_UNAVAILABLE, f"gives a web page in place of the {what}: {hint}.")
        try:
            return await self._wire.work(read_mlmodel, answer.body)
        except ValueError as error:
            what = f"has an {what} that cannot be used: {error}. Log and register the model again."
            raise self._fail(Reason.ARTIFACT_NOT_FOUND, what) from None

    async def _model(self, name: str) -> answers.RegisteredModel | None:
        answer = await self._wire.get(answers.GET_MODEL, {"name": name})
        if is_missing(answer):
            return None
        return answers.parse(self._config, answer, answers.ModelAnswer).registered_model

    async def _why_no_version(self, name: str, version: int) -> RegistryError:
        """MLflow answers alike for a missing version and a missing model."""
        model = await self._model(name)
        if model is None or answers.is_prompt(model.tags):
            return await self.missing(name)
        what = f"has no {_of(name, version)}: it was never registered, or it was deleted. Check spec.model.version."
        return self._fail(Reason.VERSION_NOT_FOUND, what)

    def _not_a_model(self, name: str) -> RegistryError:
        what = f"has a prompt under the name {_quoted(name)}, not a model: prompts cannot be served."
        return self._fail(Reason.NOT_A_MODEL, what)

    def _fail(self, reason: Reason, what: str, *, transient: bool = False) -> RegistryError:
        return failure(self._config, reason, what, transient=transient or reason == Reason.REGISTRY_UNAVAILABLE)


def _may_be_the_filter(answer: Answer) -> bool:
    """Whether the same question without a filter may be answered."""
    # MLflow before 3.17 knows no IN; some proxies take shorter lines only, and some firewalls take it for an injection
    # of SQL. What MLflow itself forbids it forbids either way.
    own = error_code(answer) or is_host_check(answer)
    return answer.status in (400, 414, 431) or (answer.status in (403, 406) and not own)


def _of(name: str, version: int) -> str:
    return f"v{version} of model {_quoted(name)}"


def _quoted(name: str) -> str:
    """A model's name in a message: it may take 250 characters, and the remedy after it must stay readable."""
    return repr(shorten(name, 80))


def _filter(names: frozenset[str]) -> str | None:
    """``name IN (...)`` in MLflow's filter language, or None where it would be too long or is not safe to write.

    MLflow reads the list as Python literals (``ast.literal_eval``), so ``repr`` is the exact way to quote; a name that
    needs an escape in it is left to the listing without a filter, because the SQL tokenizer sees the text first.
    """
    quoted = [repr(name) for name in sorted(names)]
    text = f"name IN ({', '.join(quoted)})"
    if any("\\" in name for name in quoted) or len(quote(text)) > FILTER_LIMIT:
        return None
    return text
