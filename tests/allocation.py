#!/usr/bin/env python3
"""What if there is no memory? Allocations fail one at a time, and for good, all along a report as text and as JSON.

heapwhy may do without what it wanted the memory for, or say that it is out of memory and exit with 4; it may not crash,
and the process goes on as it was in any case. TAP.

    tests/allocation.py [COUNT]     so many places a series, 40 without it
"""
import os
import random
import subprocess
import sys
import tempfile

import corpus
from hostile import start_go, undisturbed

SHIM = os.path.join(corpus.TOP, 'build', 'tests', 'libfailing_malloc.so')


def run(pid, arguments, **settings):
    environment = os.environ | {'LD_PRELOAD': SHIM, 'LC_ALL': 'C.UTF-8'} | {k: str(v) for k, v in settings.items()}
    return subprocess.run([corpus.HEAPWHY, str(pid), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, env=environment)


def allocations(pid, arguments):
    with tempfile.NamedTemporaryFile() as count:
        done = run(pid, arguments, COUNT_TO=count.name)
        if done.returncode:
            raise RuntimeError(f'exit {done.returncode} with memory enough: {done.stderr}')
        return int(count.read())


def judge(done):
    if done.returncode not in (0, 4):
        return f'exit {done.returncode}: {done.stderr.strip()[-300:]}'
    if done.returncode == 4 and (not done.stderr.startswith('heapwhy: ') or done.stderr.count('\n') != 1):
        return f'not one line: {done.stderr!r}'
    return ''


def series(pid, arguments, setting, places):
    """What is wrong, and how often heapwhy gave up."""
    gave_up = 0
    for place in places:
        done = run(pid, arguments, **{setting: place})
        wrong = judge(done) or undisturbed(pid)
        if wrong:
            return f'{setting}={place}: {wrong}', gave_up
        gave_up += done.returncode == 4
    return '', gave_up


def main():
    count = int(sys.argv[1]) if sys.argv[1:] else 40
    failed = 0
    for version, way in ('1.26', 'plain'), ('1.26', 'stripped'), ('1.21', 'plain'):
        for arguments in ['--json'], ['--color=always']:
            with start_go('closures', 'maps', version=version, way=way) as subject:
                total = allocations(subject.pid, arguments)
                chance = random.Random(total)
                # Half of them near the end, where the report is made: the beginning has most of the allocations.
                places = sorted({chance.randint(1, total) for _ in range(count // 2)} |
                                {max(1, total - int(chance.paretovariate(0.4)) + 1) for _ in range(count // 2)})
                for setting in 'FAIL_AT', 'FAIL_FROM':
                    wrong, gave_up = series(subject.pid, arguments, setting, places)
                    name = f'go {version} {way} {arguments[0]}, {setting} {len(places)} places of {total}'
                    failed += bool(wrong)
                    print(f'not ok - {name}: {wrong}' if wrong else f'ok - {name}, gave up {gave_up} times')
                    sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
