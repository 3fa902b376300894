"""However its host ends or forks, a worker outlives nobody and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.isolation_host import PATIENCE_SECONDS, eventually, exists, run_host, start_host


def first_line(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()


def is_running(pid: int) -> bool:
    """Whether the process runs: a zombie waits for its new parent and does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not os.path.isdir("/proc/self") and exists(pid)


@pytest.mark.parametrize("payload", ["", "!spin", "!spin_without_threads"])
def test_a_worker_goes_with_a_host_that_is_killed(payload: str) -> None:
    code = f"""
    instance = compiled().instantiate()
    print(pid_of(instance), flush=True)
    {f"execute(instance, {payload.encode()!r})" if payload else "time.sleep(3600)"}
    """
    with start_host(code) as host:
        worker = int(first_line(host))
        assert is_running(worker)
        host.kill()
    assert eventually(lambda: not is_running(worker))


@pytest.mark.parametrize("what", ["compilation", "validation"])
def test_a_worker_that_compiles_goes_with_a_host_that_is_killed(what: str) -> None:
    code = f"""
    rogue = backend()
    worker = rogue.worker()
    print(worker.pid, flush=True)
    from sen_host.isolation import frames
    source = frames.COMPILE, b"endless {what}"
    ProcessModule(rogue, source, Limits()).load_in(worker)
    """
    with start_host(code) as host:
        worker = int(first_line(host))
        time.sleep(0.1)
        assert is_running(worker)
        host.kill()
    assert eventually(lambda: not is_running(worker))


@pytest.mark.parametrize("other_threads", [0, 1])
def test_an_interrupted_start_leaves_nothing_behind(other_threads: int) -> None:
    # With a second thread the kernel may deliver the signal there, even if it is
    # blocked in the main thread.
    code = f"""
    class Interrupt(BaseException):
        pass

    def handler(*_):
        raise Interrupt

    def open_files():
        return len(os.listdir("/dev/fd"))

    def no_children():
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        return False

    done = threading.Event()
    for _ in range({other_threads}):
        threading.Thread(target=done.wait, daemon=True).start()
    sys.unraisablehook = lambda unraisable: None  # the handler may run within a finalizer
    signal.signal(signal.SIGALRM, handler)
    before, interrupted = open_files(), 0
    for step in range(60):
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-5 + step * 1e-4)
            compiled().close()
        except Interrupt:
            interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    print(interrupted > 10, eventually(no_children))
    print(eventually(lambda: open_files() <= before) or open_files() - before)
    done.set()
    """
    assert run_host(code).splitlines() == ["True True", "True"]


def test_siblings_do_not_keep_each_other_alive() -> None:
    code = """
    modules = [compiled() for _ in range(3)]
    print(*[pid_of(module.instantiate()) for module in modules], flush=True)
    time.sleep(3600)
    """
    with start_host(code) as host:
        workers = [int(pid) for pid in first_line(host).split()]
        host.kill()
    assert eventually(lambda: not any(map(is_running, workers)))


@pytest.mark.parametrize(
    "end",
    ["pass", "sys.exit(0)", "os._exit(0)", "threading.Thread(target=print).start()"],
)
def test_a_host_that_ends_takes_its_worker_along(end: str) -> None:
    code = f"""
    module = compiled()
    keep = module.instantiate()
    print(pid_of(keep), flush=True)
    {end}
    """
    worker = int(run_host(code))
    assert eventually(lambda: not is_running(worker))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_is_for_the_host_alone(number: signal.Signals) -> None:
    code = f"""
    signal.signal({number:d}, lambda *_: print("signalled", flush=True))
    instance = compiled().instantiate()
    print("ready", flush=True)
    run(instance, "sleep", 300, result=None)
    print(execute(instance).data)
    """
    with start_host(code, start_new_session=True) as host:
        assert first_line(host) == "ready"
        os.killpg(host.pid, number)
        out, err = host.communicate(timeout=PATIENCE_SECONDS)
    assert (out, err) == ("signalled\nb'alive'\n", "")


def test_control_c_ends_the_call_and_the_next_instance_is_fresh() -> None:
    code = """
    module = compiled()
    instance = module.instantiate()
    try:
        print("ready", flush=True)
        run(instance, "sleep", 60_000)
    except KeyboardInterrupt:
        print(execute(module.instantiate()).data)
    """
    with start_host(code, start_new_session=True) as host:
        assert first_line(host) == "ready"
        os.killpg(host.pid, signal.SIGINT)
        out, err = host.communicate(timeout=PATIENCE_SECONDS)
    assert (out, err) == ("b'alive'\n", "")


FORK = """
def in_child(action):
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            action()
            code = 0
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def test_a_fork_leaves_the_worker_to_its_parent_and_starts_its_own() -> None:
    code = f"""{FORK}
module = compiled()
instance = module.instantiate()
worker = pid_of(instance)

def child():
    try:
        execute(instance)
    except WorkerDied as error:
        print(error.message, flush=True)
    instance.close()
    own = module.instantiate()
    assert pid_of(own) != worker
    print(execute(own).data, flush=True)
    module.close()

assert in_child(child) == 0
print(execute(instance).data, pid_of(instance) == worker)
"""
    assert run_host(code).splitlines() == [
        "the worker process belongs to the process from which this one was forked",
        "b'alive'",
        "b'alive' True",
    ]


@pytest.mark.parametrize("end", ["sys.exit()", "module.close()", "del module, instance"])
def test_a_fork_that_ends_does_not_end_the_worker(end: str) -> None:
    code = f"""
module = compiled()
instance = module.instantiate()
pid = os.fork()
if pid == 0:
    {end}
    sys.exit()
os.waitpid(pid, 0)
print(execute(instance).data)
"""
    assert run_host(code) == "b'alive'\n"


def test_a_fork_in_the_middle_of_a_call_is_free_to_use_the_module() -> None:
    code = f"""{FORK}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # to fork beside threads is, since 3.12
module = compiled()
instance = module.instantiate()
thread = threading.Thread(target=run, args=(instance, "sleep", 500), kwargs={{"result": None}})
thread.start()
time.sleep(0.1)
assert in_child(lambda: execute(module.instantiate())) == 0
thread.join()
print(execute(instance).data)
"""
    assert run_host(code) == "b'alive'\n"


def test_a_fork_does_not_keep_the_worker_of_a_host_that_is_killed() -> None:
    code = """
    instance = compiled().instantiate()
    pid = os.fork()
    if pid == 0:
        sys.stdin.read()
        os._exit(0)
    print(pid_of(instance), flush=True)
    time.sleep(3600)
    """
    with start_host(code) as host:
        worker = int(first_line(host))
        host.kill()
        host.wait()
        assert eventually(lambda: not is_running(worker))


def test_a_host_whose_sigpipe_is_deadly_survives_a_dead_worker() -> None:
    code = """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    instance = compiled().instantiate()
    os.kill(pid_of(instance), signal.SIGKILL)
    time.sleep(0.1)
    try:
        execute(instance, b"x" * 1_000_000)
    except WorkerDied:
        print("survived")
    """
    assert run_host(code) == "survived\n"


def test_a_host_without_standard_streams_can_have_workers() -> None:
    code = """
    out = os.dup(1)
    for fd in (0, 1, 2):
        os.close(fd)
    os.write(out, execute(compiled().instantiate()).data)
    """
    assert run_host(code) == "alive"


def test_a_worker_never_runs_the_hosts_program(tmp_path: Path) -> None:
    # As multiprocessing would, which is why programs need a guard for it.
    program = tmp_path / "program.py"
    program.write_text(
        "from tests.isolation_host import *\n"
        "print('once')\n"
        "print(execute(compiled().instantiate()).data)\n"
    )
    code = f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')"
    assert run_host(code) == "once\nb'alive'\n"


@pytest.mark.parametrize("flags", [["-I"], ["-E", "-s"], ["-O"], ["-X", "utf8"], ["-B", "-S"]])
def test_the_interpreters_flags_are_no_hindrance(flags: list[str]) -> None:
    code = "print(execute(compiled().instantiate()).data)"
    assert run_host(code, flags=flags) == "b'alive'\n"
