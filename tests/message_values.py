"""Every message there can be, as strategies of hypothesis."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from sen_host.messages import (
    ArgSpec,
    Capabilities,
    CommandSpec,
    EffectError,
    EffectResult,
    Error,
    ExecuteResult,
    Form,
    HttpGet,
    HttpPost,
    HttpResponse,
    Message,
    NetPattern,
    NetProtocol,
    PathPattern,
    PluginManifest,
    Sleep,
    SleepComplete,
    StdioCapability,
    Success,
)

T = TypeVar("T")


def tuples(of: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(of, max_size=4).map(tuple)


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
maybe_text = st.none() | texts
chars = st.characters(exclude_categories=["Cs"])
headers = tuples(st.tuples(texts, texts))
paths = st.builds(PathPattern, texts, st.booleans())
nets = st.builds(NetPattern, texts, st.none() | unsigned(16), st.sampled_from(NetProtocol))
stdio = st.builds(StdioCapability, st.booleans(), st.booleans(), st.booleans())
capabilities = st.builds(
    Capabilities, tuples(paths), tuples(paths), tuples(texts), tuples(nets), stdio
)
arg_specs = st.builds(
    ArgSpec,
    texts,
    maybe_text,
    st.none() | chars,
    st.booleans(),
    texts,
    maybe_text,
    maybe_text,
    st.none() | tuples(texts),
)
commands = st.recursive(
    st.builds(CommandSpec, texts, texts, maybe_text, maybe_text, tuples(arg_specs)),
    lambda inner: st.builds(
        CommandSpec, texts, texts, maybe_text, maybe_text, tuples(arg_specs), tuples(inner)
    ),
    max_leaves=4,
)
manifests = st.builds(PluginManifest, unsigned(32), commands, capabilities)
effects = st.one_of(
    st.builds(HttpGet, unsigned(32), texts, headers),
    st.builds(HttpPost, unsigned(32), texts, texts, maybe_text, headers),
    st.builds(Sleep, unsigned(32), unsigned(64)),
)
execute_results = st.one_of(
    st.builds(Success, st.text(st.characters(exclude_categories=["Cs"]), max_size=400)),
    st.builds(Error, unsigned(8), texts),
    effects,
)
effect_results = st.one_of(
    st.builds(HttpResponse, unsigned(16), texts, headers),
    st.just(SleepComplete()),
    st.builds(EffectError, texts),
)
messages: st.SearchStrategy[Message] = st.one_of(
    manifests,
    commands,
    arg_specs,
    capabilities,
    paths,
    nets,
    stdio,
    execute_results,
    effect_results,
)
forms: st.SearchStrategy[Form] = st.sampled_from(["map", "array"])

ROOTS: tuple[type[Message], ...] = (
    PluginManifest,
    CommandSpec,
    ArgSpec,
    Capabilities,
    PathPattern,
    NetPattern,
    StdioCapability,
    ExecuteResult,
    EffectResult,
)
