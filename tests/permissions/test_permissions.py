"""``Permissions.check``: what is granted, by whom, and when the user is asked."""

from __future__ import annotations

import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sen_host.errors import EnvironmentFault, PermissionDenied, PermissionStoreError
from sen_host.messages import Capabilities, PathPattern
from sen_host.permissions import (
    Allow,
    AutomaticPrompt,
    Choice,
    CiStrategy,
    DefaultStrategy,
    Deny,
    Granularity,
    MemoryPermissionStore,
    PermissionEvent,
    Permissions,
    PermissiveStrategy,
    Prompt,
    PromptRequest,
    Question,
    ReadOnlyPermissionStore,
    RecordingPrompt,
    StoredGrant,
    Strategy,
    StrictStrategy,
    Trust,
    TrustAllStrategy,
    Unanswered,
    union,
)
from tests.permissions.support import NET, OTHER_SHA, READ, SHA, WRITE

BOTH = union(READ, WRITE)
NOTHING = Capabilities()


class Events:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.all: list[PermissionEvent] = []

    def record(self, event: PermissionEvent) -> None:
        self.all.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.all]


def permissions(
    *answers: str,
    strategy: Strategy | None = None,
    grants: tuple[StoredGrant, ...] = (),
    tie_to_hash: bool = False,
    trust: Trust | None = None,
    audit: Events | None = None,
) -> tuple[Permissions, RecordingPrompt]:
    prompt = RecordingPrompt(*answers)
    made = Permissions(
        "desk",
        strategy=strategy,
        store=MemoryPermissionStore(grants),
        prompt=prompt,
        tie_to_hash=tie_to_hash,
        trust=trust,
        audit=audit,
    )
    return made, prompt


class TestAnswers:
    def test_once_is_asked_every_time(self) -> None:
        desk, prompt = permissions("once", "once", "deny")
        for _ in range(2):
            assert desk.check("notes", READ, sha256=SHA) == READ
        with pytest.raises(PermissionDenied, match="the answer was no"):
            desk.check("notes", READ, sha256=SHA)
        assert len(prompt.requests) == 3
        assert desk.store.grants() == ()

    def test_session_is_not_stored(self) -> None:
        desk, prompt = permissions("session")
        for _ in range(2):
            assert desk.check("notes", READ, sha256=SHA) == READ
        assert len(prompt.requests) == 1
        assert desk.store.grants() == ()
        assert desk.revoke("notes") == 1
        with pytest.raises(PermissionDenied):
            desk.check("notes", READ, sha256=SHA)

    def test_always_is_stored(self) -> None:
        desk, prompt = permissions("always")
        for _ in range(2):
            assert desk.check("notes", READ, sha256=SHA) == READ
        assert len(prompt.requests) == 1
        [grant] = desk.store.grants()
        assert (grant.plugin, grant.capabilities, grant.sha256) == ("notes", READ, None)

    def test_deny_is_asked_again(self) -> None:
        desk, _ = permissions("deny", "once")
        with pytest.raises(PermissionDenied) as caught:
            desk.check("notes", BOTH, sha256=SHA)
        assert caught.value.name == "notes"
        assert caught.value.missing == (
            "read ./data and everything below it",
            "read, change and remove ./data and everything below it",
        )
        assert desk.check("notes", BOTH, sha256=SHA) == BOTH

    def test_a_plugin_that_asks_for_nothing_is_never_asked_for(self) -> None:
        desk, prompt = permissions(strategy=CiStrategy())
        assert desk.check("notes", NOTHING, sha256=SHA) == NOTHING
        assert prompt.requests == []

    def test_less_than_was_granted_is_granted_as_it_is_asked(self) -> None:
        less = Capabilities(fs_read=(PathPattern("./data/sub"),))
        desk, prompt = permissions(grants=(StoredGrant("notes", READ),))
        assert desk.check("notes", less, sha256=SHA) == less
        assert prompt.requests == []

    def test_a_grant_of_another_plugin_is_none(self) -> None:
        desk, _ = permissions(grants=(StoredGrant("other", READ),))
        with pytest.raises(PermissionDenied):
            desk.check("notes", READ, sha256=SHA)


class TestEscalation:
    def test_what_is_new_is_shown_and_kept_beside_the_old(self) -> None:
        desk, prompt = permissions("always", grants=(StoredGrant("notes", READ),))
        assert desk.check("notes", BOTH, sha256=SHA) == BOTH
        [request] = prompt.requests
        assert (request.escalation, request.granted, request.new) == (True, READ, WRITE)
        assert desk.store.grants()[0].capabilities == BOTH

    def test_a_link_that_leads_out_of_a_grant(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        asked = Capabilities(fs_read=(PathPattern("data/sub"),))
        prompt = RecordingPrompt("always")
        store = MemoryPermissionStore([StoredGrant("notes", READ)])
        desk = Permissions("desk", store=store, prompt=prompt, directory=tmp_path)
        assert desk.check("notes", asked, sha256=SHA) == asked
        assert prompt.requests == []
        (tmp_path / "data" / "sub").symlink_to("/etc")
        for _ in range(2):
            assert desk.check("notes", asked, sha256=SHA) == asked
        assert len(prompt.requests) == 1

    def test_too_many_things_to_look_through(self) -> None:
        desk, prompt = permissions("always")
        many = Capabilities(env_read=tuple(f"A{number}" for number in range(257)))
        with pytest.raises(PermissionDenied, match="more than 256 things"):
            desk.check("notes", many, sha256=SHA)
        with pytest.raises(PermissionDenied, match="more than 1,000 characters"):
            desk.check("notes", Capabilities(env_read=("A" * 1001,)), sha256=SHA)
        assert prompt.requests == []


class TestHash:
    def test_a_changed_file_is_asked_for_anew(self) -> None:
        desk, prompt = permissions("always", "always", tie_to_hash=True)
        for sha256 in (SHA, SHA, OTHER_SHA, OTHER_SHA):
            assert desk.check("notes", READ, sha256=sha256) == READ
        assert [request.changed for request in prompt.requests] == [False, True]
        assert prompt.requests[1].new == NOTHING
        assert [grant.sha256 for grant in desk.store.grants()] == [OTHER_SHA]

    def test_a_changed_file_does_not_keep_what_it_no_longer_asks_for(self) -> None:
        desk, _ = permissions("always", "always", tie_to_hash=True)
        desk.check("notes", BOTH, sha256=SHA)
        desk.check("notes", READ, sha256=OTHER_SHA)
        assert desk.store.grants()[0].capabilities == READ

    def test_by_default_the_name_counts(self) -> None:
        desk, prompt = permissions("always")
        for sha256 in (SHA, OTHER_SHA):
            desk.check("notes", READ, sha256=sha256)
        assert len(prompt.requests) == 1

    def test_a_grant_for_one_file_is_for_that_file_in_any_case(self) -> None:
        desk, prompt = permissions("once", grants=(StoredGrant("notes", READ, (), SHA),))
        desk.check("notes", READ, sha256=SHA)
        assert prompt.requests == []
        desk.check("notes", READ, sha256=OTHER_SHA)
        assert len(prompt.requests) == 1


class TestStrategies:
    def test_ci_denies_what_is_not_granted(self) -> None:
        grants = (StoredGrant("notes", READ), StoredGrant("tied", READ, (), OTHER_SHA))
        desk, prompt = permissions("always", strategy=CiStrategy(), grants=grants)
        assert desk.check("notes", READ, sha256=SHA) == READ
        for name, asked, reason in (
            ("notes", BOTH, "asks for more than it was granted"),
            ("other", READ, "must be granted beforehand"),
            ("tied", READ, "not the one that was granted"),
        ):
            with pytest.raises(PermissionDenied, match=reason):
                desk.check(name, asked, sha256=SHA)
        assert prompt.requests == []

    def test_permissive_asks_for_connections_only(self) -> None:
        desk, prompt = permissions(strategy=PermissiveStrategy())
        assert desk.check("notes", BOTH, sha256=SHA) == BOTH
        assert prompt.requests == []
        with pytest.raises(PermissionDenied):
            desk.check("notes", NET, sha256=SHA)

    def test_strict_grants_by_command(self) -> None:
        desk, prompt = permissions("always", "always", strategy=StrictStrategy())
        for command in (("add",), ("add",), ("list",)):
            desk.check("notes", READ, sha256=SHA, command_path=command)
        assert len(prompt.requests) == 2
        assert [grant.command for grant in desk.store.grants()] == [("add",), ("list",)]

    def test_strict_denies_where_nobody_can_be_asked(self) -> None:
        desk = Permissions(
            "desk",
            strategy=StrictStrategy(),
            store=MemoryPermissionStore(),
            prompt=AutomaticPrompt(Choice.ALWAYS),
        )
        with pytest.raises(PermissionDenied, match="nobody to ask"):
            desk.check("notes", READ, sha256=SHA)

    def test_trust_all(self) -> None:
        desk, prompt = permissions(strategy=TrustAllStrategy())
        assert desk.check("notes", NET, sha256=SHA) == NET
        assert prompt.requests == []

    @pytest.mark.parametrize("inherit", [True, False])
    def test_subcommands_inherit_if_asked_to(self, inherit: bool) -> None:
        class ByCommand(DefaultStrategy):
            granularity = Granularity.COMMAND

        strategy = ByCommand()
        strategy.inherit = inherit
        grants = (StoredGrant("db", READ, ()), StoredGrant("db", WRITE, ("user",)))
        desk, prompt = permissions("once", strategy=strategy, grants=grants)
        desk.check("db", BOTH, sha256=SHA, command_path=("user", "add"))
        assert len(prompt.requests) == (0 if inherit else 1)

    def test_each_execution(self) -> None:
        class EachTime(DefaultStrategy):
            granularity = Granularity.EXECUTION

        grants = (StoredGrant("notes", READ),)
        desk, prompt = permissions("always", "always", strategy=EachTime(), grants=grants)
        for _ in range(2):
            desk.check("notes", READ, sha256=SHA)
        assert [request.choices for request in prompt.requests] == [(Choice.ONCE, Choice.DENY)] * 2
        assert desk.store.grants() == grants

    def test_one_of_ones_own(self) -> None:
        class ReadersOnly(Strategy):
            def decide(self, question: Question) -> Allow | Deny:
                if question.plugin == "evil":
                    return Deny("it is evil")
                return Allow(Capabilities(fs_read=question.requested.fs_read))

        desk, _ = permissions(strategy=ReadersOnly())
        assert desk.check("notes", BOTH, sha256=SHA) == READ
        with pytest.raises(PermissionDenied, match="it is evil"):
            desk.check("evil", READ, sha256=SHA)


class TestPrompts:
    def test_nobody_answers(self) -> None:
        class Nobody(Prompt):
            def ask(self, request: PromptRequest) -> Choice:
                raise Unanswered(f"nobody answered for {request.plugin}")

        desk = Permissions("desk", store=MemoryPermissionStore(), prompt=Nobody())
        with pytest.raises(PermissionDenied, match="nobody answered for notes"):
            desk.check("notes", READ, sha256=SHA)

    def test_an_answer_that_is_not_possible_is_a_denial(self) -> None:
        class Always(Prompt):
            def ask(self, request: PromptRequest) -> Choice:
                return Choice.ALWAYS

        store = ReadOnlyPermissionStore(MemoryPermissionStore())
        desk = Permissions("desk", store=store, prompt=Always())
        with pytest.raises(PermissionDenied):
            desk.check("notes", READ, sha256=SHA)

    def test_grants_that_are_read_only_are_not_added_to(self) -> None:
        prompt = RecordingPrompt("always")
        store = ReadOnlyPermissionStore(MemoryPermissionStore([StoredGrant("other", READ)]))
        desk = Permissions("desk", store=store, prompt=prompt)
        for _ in range(2):
            assert desk.check("notes", READ, sha256=SHA) == READ
        assert prompt.requests[0].choices == (Choice.ONCE, Choice.SESSION, Choice.DENY)
        assert len(store.grants()) == 1
        with pytest.raises(PermissionStoreError, match="read-only"):
            store.put(StoredGrant("notes", READ))
        with pytest.raises(PermissionStoreError, match="read-only"):
            desk.revoke("other")

    def test_two_are_never_open_at_once(self) -> None:
        open_now = 0
        most = 0
        counting = threading.Lock()
        second = threading.Event()

        class Slow(Prompt):
            def ask(self, request: PromptRequest) -> Choice:
                nonlocal open_now, most
                with counting:
                    open_now += 1
                    most = max(most, open_now)
                second.wait(0.02)
                with counting:
                    open_now -= 1
                return Choice.ONCE

        desk = Permissions("desk", store=MemoryPermissionStore(), prompt=Slow())
        with ThreadPoolExecutor(4) as pool:
            checks = [pool.submit(desk.check, f"n{n}", READ, sha256=SHA) for n in range(8)]
            assert [check.result(timeout=30) for check in checks] == [READ] * 8
        assert most == 1

    def test_one_answer_serves_all_threads_that_wait(self) -> None:
        desk, prompt = permissions("always")
        with ThreadPoolExecutor(8) as pool:
            checks = [pool.submit(desk.check, "notes", READ, sha256=SHA) for _ in range(8)]
            assert [check.result(timeout=30) for check in checks] == [READ] * 8
        assert len(prompt.requests) == 1

    def test_what_is_granted_already_waits_for_no_question(self) -> None:
        asked, answered = threading.Event(), threading.Event()

        class Waiting(Prompt):
            def ask(self, request: PromptRequest) -> Choice:
                asked.set()
                assert answered.wait(30)
                return Choice.ONCE

        store = MemoryPermissionStore([StoredGrant("known", READ)])
        desk = Permissions("desk", store=store, prompt=Waiting())
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(desk.check, "new", READ, sha256=SHA)
            assert asked.wait(30)
            assert desk.check("known", READ, sha256=SHA) == READ
            answered.set()
            assert waiting.result(timeout=30) == READ


class TestAudit:
    def test_events_tell_what_happened(self) -> None:
        events = Events()
        grants = (StoredGrant("notes", READ),)
        desk, _ = permissions("once", "deny", grants=grants, audit=events)
        desk.check("notes", READ, sha256=SHA)
        assert events.kinds == ["requested", "granted"]
        desk.check("notes", BOTH, sha256=SHA, command_path=("add",))
        assert events.kinds[2:] == ["requested", "escalated", "granted"]
        with pytest.raises(PermissionDenied):
            desk.check("other", READ, sha256=SHA)
        assert events.kinds[5:] == ["requested", "denied"]
        escalated = events.all[3]
        assert (escalated.application, escalated.plugin, escalated.sha256) == ("desk", "notes", SHA)
        assert escalated.command_path == ("add",)
        assert escalated.capabilities == ("read, change and remove ./data and everything below it",)
        assert events.all[-1].reason == "the answer was no"

    def test_trust_is_told(self) -> None:
        events = Events()
        desk, prompt = permissions(trust=Trust(frozenset({"notes"})), audit=events)
        assert desk.check("notes", NET, sha256=SHA) == NET
        assert (events.kinds, events.all[-1].reason) == (
            ["requested", "granted"],
            "trusted for this run",
        )
        assert (prompt.requests, desk.store.grants()) == ([], ())


def test_the_error_can_be_pickled_and_shown() -> None:
    desk, _ = permissions()
    evil = "e\x1b[2Jvil" * 40
    with pytest.raises(PermissionDenied) as caught:
        desk.check(evil, Capabilities(env_read=("A\x1b",)), sha256=SHA)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert "\x1b" not in str(again)
    assert len(str(again)) < 500


def test_the_working_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    desk, _ = permissions("always")
    with pytest.raises(EnvironmentFault, match="the working directory is gone"):
        desk.check("notes", READ, sha256=SHA)


def test_a_fork_waits_for_no_lock_of_another_thread() -> None:
    asked, answered = threading.Event(), threading.Event()

    class Waiting(Prompt):
        def ask(self, request: PromptRequest) -> Choice:
            if request.plugin == "first":
                asked.set()
                assert answered.wait(30)
            return Choice.ONCE

    desk = Permissions("desk", store=MemoryPermissionStore(), prompt=Waiting())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(desk.check, "first", READ, sha256=SHA)
        assert asked.wait(30)
        child = os.fork()
        if child == 0:
            os._exit(0 if desk.check("second", READ, sha256=SHA) == READ else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        answered.set()
        waiting.result(timeout=30)
