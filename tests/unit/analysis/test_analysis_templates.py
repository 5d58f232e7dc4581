"""Queries of people's own: what they can say, and that nothing hostile is rendered, or takes long."""

from __future__ import annotations

import codecs
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.analysis.templates import QUERY_LIMIT
from serin.analysis.templates import VARIABLES
from serin.analysis.templates import RefusedTemplateError
from serin.analysis.templates import check
from serin.analysis.templates import render
from serin.api.analysis import QUERY_MAX_LENGTH

VALUES: dict[str, str | int] = {
    "name": "fraud",
    "namespace": "payments",
    "model": "fraud-detector",
    "version": "13",
    "revision": "fraud-v13-1a2b3c4d",
    "stable_version": "12",
    "stable_revision": "fraud-v12-5e6f7a8b",
    "weight": 25,
    "step": 3,
    "seconds": 90,
}
A_MOMENT = 0.5
"""Seconds of the processor: each takes milliseconds."""

HOSTILE = {
    "multiplied string": "{{ 'a' * 1000000000 }}",
    "multiplied list": "{{ [0] * 1000000000 }}",
    "power": "{{ 9 ** 9 ** 9 ** 9 }}",
    "power of a variable": "{{ weight ** 9999999 }}",
    "range": "{{ range(1000000000) }}",
    "loop": "{% for i in range(100000000) %}x{% endfor %}",
    "loops within each other": "{% for a in name %}" * 9 + "x" + "{% endfor %}" * 9,
    "recursive loop": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "doubling": "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
    "sum": "{{ 'a' + 'b' }}",
    "padding": "{{ 'a' | center(1000000000) }}",
    "format": "{{ '%1000000000d' % 1 }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "format method": "{{ '{:1000000000}'.format(1) }}",
    "indent": "{{ 'a' | indent(1000000000) }}",
    "replace": "{{ 'a' | replace('a', 'aa') }}",
    "join": "{{ ['a', 'b'] | join('x') }}",
    "batch": "{{ name | batch(1000000000, 'x') | list }}",
    "call": "{{ name() }}",
    "method": "{{ name.upper() }}",
    "attribute": "{{ name.__class__ }}",
    "subscript": "{{ name['__class__'] }}",
    "way to the interpreter": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr filter": "{{ name | attr('__class__') }}",
    "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "lipsum": "{{ lipsum(n=100000) }}",
    "namespace call": "{% set x = dict(a=1) %}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "call block": "{% call m() %}x{% endcall %}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "from import": "{% from 'os' import system %}",
    "extends": "{% extends 'base' %}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "with": "{% with a = 1 %}{{ a }}{% endwith %}",
    "filter block": "{% filter upper %}x{% endfilter %}",
    "autoescape": "{% autoescape true %}x{% endautoescape %}",
    "test": "{{ name is defined }}",
    "unknown test": "{{ name is divisibleby(3) }}",
    "unknown variable": "{{ password }}",
    "self": "{{ self }}",
    "unknown filter": "{{ name | pprint }}",
    "filter with arguments": "{{ name | upper(1) }}",
    "true": "{{ true }}",
    "none": "{{ none }}",
    "list": "{{ [1, 2] }}",
    "dictionary": "{{ {'a': 1} }}",
    "deep brackets": "{{ " + "(" * 1900 + "1" + ")" * 1900 + " }}",
    "deep lists": "{{ " + "[" * 1900 + "]" * 1900 + " }}",
    "many nots": "{{ " + "not " * 900 + "1 }}",
    "many signs": "{{ " + "-" * 3900 + "1 }}",
    "many ands": "{{ " + " and ".join(["name"] * 450) + " }}",
    "deep conditions": "{% if weight %}" * 100 + "x" + "{% endif %}" * 100,
    "many conditions": "{{ " + "1 if 1 else " * 300 + "1 }}",
    "many filters": "{{ name" + "|upper" * 600 + " }}",
    "endless string": "{{ '" + "a" * 3900,
    "endless comment": "{# " + "a" * 3900,
    "endless expression": "{{ name",
    "huge number": "{{ " + "9" * 4090 + " }}",
    "too long": "x" * (QUERY_MAX_LENGTH + 1),
    "nothing": "{{ }}",
    "odd": "{% }} {{ %}",
}
HARMLESS_AFTER_ALL = {"huge number", "many ands"}
"""They come to something, of their own length at most."""


def outcome(template: str) -> tuple[str | None, str]:
    """The query or None, and the refusal."""
    try:
        return render(template, VALUES), ""
    except RefusedTemplateError as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_is_hostile_is_refused_at_once(name: str) -> None:
    began = time.process_time()
    query, refusal = outcome(HOSTILE[name])
    assert time.process_time() - began < A_MOMENT
    if query is not None:
        assert name in HARMLESS_AFTER_ALL
        assert len(query) <= QUERY_LIMIT
    else:
        assert 0 < len(refusal) < 400
        assert "\n" not in refusal


@given(st.text(alphabet=st.sampled_from(list("{}%#()[]|~*+-.,'\" \nabif01_<>=!")), max_size=400))
def test_no_text_ends_in_anything_but_a_query_or_a_refusal(template: str) -> None:
    query, refusal = outcome(template)
    assert refusal if query is None else len(query) <= QUERY_LIMIT


@pytest.mark.parametrize("template", ["{{ name | upper(1) }}", "{{ name | upper(a=1) }}", "{{ name | pprint }}"])
def test_a_filter_is_refused_before_it_is_called(template: str) -> None:
    with pytest.raises(RefusedTemplateError, match=r"line 1: the filter \w+ is not allowed; there are regex, lower"):
        check(template)


@pytest.mark.parametrize(
    ("template", "query"),
    [
        ("vector(1)", "vector(1)"),
        (
            'avg(margin{revision="{{ revision }}"}[{{ seconds }}s])',
            'avg(margin{revision="fraud-v13-1a2b3c4d"}[90s])',
        ),
        ("{% if weight > 10 and not step == 1 %}a{% else %}b{% endif %}", "a"),
        ("{{ 'late' if step >= 4 else 'early' }}", "early"),
        ("{{ name | upper }}_{{ model | lower }}", "FRAUD_fraud-detector"),
        ('x{m=~"{{ model | regex }}.*"}', 'x{m=~"fraud\\x5c-detector.*"}'),
        ("{# why #}up{% raw %}{{ }}{% endraw %}", "up{{ }}"),
    ],
)
def test_what_templates_can_say(template: str, query: str) -> None:
    assert render(template, VALUES) == query


def test_every_variable_can_be_used() -> None:
    check(" ".join(f"{{{{ {name} }}}}" for name in VARIABLES))
    with pytest.raises(ValueError, match="a query's variables are name, namespace"):
        render("x", {"name": "fraud"})


# Go's escapes, as PromQL's quoted strings read them.
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def unquoted(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(next(group for group in match.groups() if group), 16)), text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_value_cannot_leave_its_quotes_and_means_itself(model: str) -> None:
    query = render('m{model="{{ model }}"}', {**VALUES, "model": model})
    inner = query.removeprefix('m{model="').removesuffix('"}')
    assert re.fullmatch(r"[A-Za-z0-9_.\-\\]*", inner)
    assert unquoted(inner) == model


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_outside_of_quotes_a_value_is_one_word_or_no_promql(model: str) -> None:
    query = render("m_{{ model }}", {**VALUES, "model": model})
    assert re.fullmatch(r"m_[A-Za-z0-9_.\-]*", query) or "\\" in query


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40), st.text(max_size=40))
def test_a_value_stands_for_itself_in_a_regular_expression(model: str, other: str) -> None:
    model = codecs.decode(model.encode("ascii"), "ascii")
    query = render("{{ model | regex }}", {**VALUES, "model": model})
    pattern = re.compile(unquoted(query))
    assert pattern.fullmatch(model)
    assert (pattern.fullmatch(other) is not None) == (other == model)
