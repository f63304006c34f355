"""Starts `groot` commands as forks of one process, so that torch is imported only once.

It reads one JSON request a line and answers with one JSON line:

    {"ready": true}  ->  {"ready": true}
    {"start": ["train", ...], "log": FILE, "kill": [POINT, ...]}  ->  {"pid": 123}
    {"wait": 123}                                                 ->  {"code": 0}, -9 for SIGKILL

A point is {"at": "module:name", "when": "before" | "after", "text": ..., "nth": 1}: the command
kills itself with SIGKILL before or after the n-th call of that function whose arguments say `text`.
"""

import functools
import importlib
import json
import os
import signal
import sys
import traceback


def main() -> None:

    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer = {"pid": _start(request)}
        elif "ready" in request:
            answer = {"ready": True}
        else:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])}
        print(json.dumps(answer), flush=True)


def _start(request: dict) -> int:
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)  # so that a test can signal it as a terminal does: with its own children
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream, number in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(stream, number)
    code = 70  # a bug of this script
    try:
        for point in request.get("kill", []):
            install(**point)
        sys.argv = ["groot", *request["start"]]
        from groot.cli import main as groot

        groot()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def install(at: str, when: str = "before", text: str = "", nth: int = 1) -> None:
    """Put a kill before or after the n-th call of a function."""
    module_name, _, path = at.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module_name))
    function = getattr(owner, name)
    calls = 0

    @functools.wraps(function)
    def killing(*args, **more):
        nonlocal calls
        calls += text in repr((args, more)) if text else 1
        is_last = calls == nth
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **more)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, killing)


if __name__ == "__main__":
    main()
