#!/usr/bin/env python3
"""Are the goroutines that heapwhy finds the ones that Go knows of? States, stacks, positions, creators. TAP.

    tests/goroutines.py [VERSION...]

A program of corpus/ stands still. heapwhy reads its goroutines; then SIGQUIT makes the runtime print them all, every
frame (GOTRACEBACK=system). Each function, file, line, stack pointer and frame pointer must be the same, and as many
goroutines must be called the runtime's own as runtime.NumGoroutine() leaves out.
"""
import os
import re
import signal
import subprocess
import sys

import corpus

DUMP = os.path.join(corpus.TOP, 'build', 'tests', 'goroutine_dump')
WAYS = ['plain', 'stripped', 'pie', 'cgo', 'noinline']
FINALIZER_CALLERS = ['runtime.runfinq', 'runtime.runFinalizers', 'runtime.runCleanups']
CASES = ['-many']  # ten thousand goroutines more prove nothing here


class Goroutine:
    def __init__(self, header):
        match = re.match(r'goroutine (\d+)(?: gp=(\S+))?.*? \[([^\]]*)\]( \(system\))?', header)
        self.id, self.address, state = int(match[1]), match[2], match[3]
        # The second part of the state is how long it waits, in minutes.
        self.state = state.split(',')[0].replace(' (scan)', '')
        self.system = bool(match[4])
        self.frames = []     # (function, file:line, fp, sp), innermost first
        self.created = None  # (function in goroutine, file:line)
        self.elided = None   # how many frames stand before those that were left out


def parse(text):
    """The goroutines of a traceback, by id. Goroutine 0 is a thread's own stack."""
    goroutines, current, name = {}, None, None
    for line in text.splitlines():
        if line.startswith('goroutine ') and line.rstrip().endswith(':'):
            current = Goroutine(line)
            goroutines[current.id] = current
        elif not line.strip():
            current = name = None
        elif current is None:
            continue
        elif line.startswith('\t') and name:
            position = line.split()[0]
            if name.startswith('created by '):
                current.created = (name[len('created by '):], position)
            else:
                pointers = re.search(r'fp=(\w+) sp=(\w+)', line)
                current.frames.append((name[:name.rindex('(')], position) + (pointers.groups() if pointers else ()))
            name = None
        elif re.match(r'\.\.\.(additional|\d+) frames elided', line):
            current.elided = len(current.frames)
        else:
            name = line
    return goroutines


def same_frames(ours, theirs, elided):
    """Go shows the first and the last 50 frames of a deep stack; up to 1.20 the first hundred, some without a remark."""
    if elided is None:
        return ours == theirs or len(theirs) >= 100 and ours[:len(theirs)] == theirs
    tail = len(theirs) - elided
    return ours[:elided] == theirs[:elided] and (tail == 0 or ours[-tail:] == theirs[elided:])


def differences(ours, theirs):
    """A sentence for each goroutine that is not the same."""
    for number in sorted(set(ours) | set(theirs)):
        a, b = ours.get(number), theirs.get(number)
        if not a or not b:
            yield f'goroutine {number}: only {"heapwhy" if a else "Go"} has it'
            continue
        if a.state != b.state:
            yield f'goroutine {number}: [{a.state}], not [{b.state}]'
        if a.created != b.created:
            yield f'goroutine {number}: created by {a.created}, not {b.created}'
        mine, other = a.frames, b.frames
        # The goroutine that the signal interrupted is shown from the interrupted instruction on.
        if len(other) > len(mine) and a.state == 'syscall':
            other = other[-len(mine):]
        if not same_frames(mine, other, b.elided):
            first = next((pair for pair in zip(mine, other) if pair[0] != pair[1]), (len(mine), len(other)))
            yield f'goroutine {number}: {first[0]}, not {first[1]}'


def examine(program):
    """What heapwhy and what Go say of one process, the remark that heapwhy ends with, and runtime.NumGoroutine()."""
    with corpus.Subject([program] + CASES, 180, stderr=subprocess.PIPE) as subject:
        done = subprocess.run([DUMP, str(subject.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        subject.process.send_signal(signal.SIGQUIT)
        theirs = parse(subject.process.stderr.read().decode(errors='replace'))
    theirs.pop(0, None)
    return parse(done.stdout), theirs, done.stdout.splitlines()[-1], subject.ready['goroutines']


def is_user(goroutine):
    """As runtime.NumGoroutine() counts: the runtime's goroutines for finalizers never, whatever they are doing."""
    outermost = [frame[0] for frame in goroutine.frames if frame[0] != 'runtime.goexit'][-1:]
    return not goroutine.system and outermost[0] not in FINALIZER_CALLERS


def report(name, wrong, remark=''):
    wrong = list(wrong)
    print(f'{"not ok" if wrong else "ok"} - {name}{": " + remark if remark and not wrong else ""}')
    for line in wrong[:5]:
        print(f'# {line}')
    if len(wrong) > 5:
        print(f'# ... and {len(wrong) - 5} more')
    sys.stdout.flush()
    return len(wrong)


def main():
    failed = 0
    os.environ['GOTRACEBACK'] = 'system'
    for version in sys.argv[1:] or corpus.versions():
        for way in WAYS:
            name = f'go {version} {way}'
            try:
                ours, theirs, truncated, users = examine(corpus.build(version, way, 'agreement'))
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                failed += report(name, [f'{type(error).__name__}: {error}'])
                continue
            wrong = list(differences(ours, theirs))
            if truncated != 'truncated 0':
                wrong.append(truncated)
            counted = sum(map(is_user, ours.values()))
            if counted != users:
                wrong.append(f'{counted} goroutines are not the runtime\'s own, not {users}')
            frames = sum(len(goroutine.frames) for goroutine in ours.values())
            failed += report(name, wrong, f'{len(ours)} goroutines, {frames} frames')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
