#!/usr/bin/env python3
"""Is every resident byte in one account? On programs that hold one kind of memory each (corpus/ledger), and on ones
that nobody here wrote (tests/real): the accounts add up to what the kernel says, and what concerns the heap is what the
program's own runtime.MemStats say. TAP.

    tests/ledger.py [--no-real] [VERSION...]
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import corpus

SHAPES = ['slices', 'maps', 'objects', 'garbage', 'idle', 'stacks']
REAL = ['prometheus', 'caddy', 'syncthing', 'rclone']
MEMSTATS = {'HeapInuse': 'heap_inuse', 'HeapIdle': 'heap_idle', 'HeapReleased': 'heap_released'}
PAGE = 8192
MIB = 1 << 20


def rollup(pid):
    """The bytes in memory by /proc/PID/smaps_rollup."""
    with open(f'/proc/{pid}/smaps_rollup') as file:
        for line in file:
            if line.startswith('Rss:'):
                return int(line.split()[1]) << 10
    raise RuntimeError('smaps_rollup has no Rss')


def sum_is_wrong(report, before, after):
    """What is wrong with the sum, when the kernel said `before` and `after`; '' when nothing is."""
    total, accounts = report['resident_bytes'], {row['account']: row['bytes'] for row in report['ledger']}
    if sum(accounts.values()) != total:
        return f'the accounts add up to {sum(accounts.values())}, not {total}'
    if not 0.99 * min(before, after) <= total <= 1.01 * max(before, after):
        return f'{total} bytes are accounted for, the kernel says {before} and then {after}'
    if accounts['changed meanwhile'] > 0.01 * total:
        return f'{accounts["changed meanwhile"]} of {total} bytes have no account'
    return ''


def memstats_are_wrong(report, before, after):
    """What differs from what the runtime said before and after; '' when nothing does."""
    stats = report['memstats']
    for ours, theirs in MEMSTATS.items():
        if ours not in stats:
            return f'{ours} is not known'
        low, high = sorted((before[theirs], after[theirs]))
        if not low - PAGE < stats[ours] < high + PAGE:
            return f'{ours} is {stats[ours]}, the runtime says {before[theirs]} and then {after[theirs]}'
    low, high = sorted((before['heap_alloc'], after['heap_alloc']))
    if not low <= stats['HeapAlloc'] <= high:
        return f'HeapAlloc is {stats["HeapAlloc"]}, the runtime says {before["heap_alloc"]} and then {after["heap_alloc"]}'
    return ''


def shape_is_wrong(shape, report, ready):
    """Does the ledger see what the shape is about?"""
    heap, accounts = report['heap'], {row['account']: row['bytes'] for row in report['ledger']}
    if shape == 'slices':
        for name in ('pinned', 'spare'):
            found, meant = heap[f'{name}_bytes'], ready[name]
            if not meant <= found <= meant * 1.01 + 16384:
                return f'{found} bytes are {name}, the program means {meant}'
            if accounts[name] < 0.9 * meant:
                return f'{accounts[name]} resident bytes are {name}, of {meant}'
        # The program's heap profile samples everything.
        for finding in report['findings']:
            if not any('main.slices' in call for call in finding['allocated_at']):
                return f'the finding {finding["rule"]} was allocated at {finding["allocated_at"]}'
        if len(report['findings']) < 2:
            return f'there are only the findings {[finding["rule"] for finding in report["findings"]]}'
    # How soon free pages go back to the kernel is the runtime's affair.
    if shape == 'idle' and report['memstats']['HeapIdle'] < 90 * MIB:
        return f'only {report["memstats"]["HeapIdle"]} bytes are idle'
    least = {'maps': ('slack', 20 * MIB), 'objects': ('viewed', 40 * MIB), 'garbage': ('garbage', 90 * MIB),
             'stacks': ('stacks', 30 * MIB), 'cgo': ('C heap', 48 * MIB)}
    if shape in least and accounts[least[shape][0]] < least[shape][1]:
        return f'only {accounts[least[shape][0]]} bytes are {least[shape][0]}'
    return ''


def examine(pid):
    """A report, and what the kernel said before and after it."""
    before = rollup(pid)
    examination = corpus.Examination(pid, '--json')
    if examination.status != 0 or not examination.report:
        raise RuntimeError(f'exit {examination.status}: {examination.errors.strip()[-300:]}')
    return examination.report, before, rollup(pid)


def check_shape(version, way, shape):
    with corpus.Subject([corpus.build(version, way, 'ledger'), shape]) as subject:
        subject.collect()
        before = subject.ready
        report, resident_before, resident_after = examine(subject.pid)
        subject.collect()
        return (sum_is_wrong(report, resident_before, resident_after) or
                memstats_are_wrong(report, before, subject.ready) or shape_is_wrong(shape, report, before))


def check_real(name):
    """In the namespace that tests/real makes: see main()."""
    sys.path.insert(0, os.path.join(corpus.TOP, 'tests', 'real'))
    import real

    with tempfile.TemporaryDirectory(prefix='heapwhy-ledger-') as folder:
        home = pathlib.Path(folder)
        steps = real.PROGRAMS[name](home)
        command = [str(word) for word in next(steps)]
        with open(home / 'log', 'wb') as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                                       env={'HOME': str(home), 'PATH': os.environ['PATH']})
        try:
            next(steps, None)
            return sum_is_wrong(*examine(real.largest(process.pid)))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main():
    with_real = '--no-real' not in sys.argv
    inside = 'HEAPWHY_REAL_INSIDE' in os.environ
    versions = [word for word in sys.argv[1:] if not word.startswith('-')] or corpus.versions()
    tests = [(f'go {version} plain {shape}', check_shape, version, 'plain', shape)
             for version in versions for shape in SHAPES if version in (versions[0], versions[-1]) or shape == 'slices']
    tests += [(f'go {version} {way}', check_shape, version, way, shape)
              for version in (versions[0], versions[-1]) for way, shape in (('stripped', 'idle'), ('cgo', 'cgo'))]
    if inside:
        tests = [(name, check_real, name) for name in REAL]
    failed = 0
    for name, check, *arguments in tests:
        try:
            wrong = check(*arguments)
        except (RuntimeError, OSError, KeyError) as error:
            wrong = f'{type(error).__name__}: {error}'
        failed += bool(wrong)
        print(f'{"not ok" if wrong else "ok"} - ledger of {name}' + (f': {wrong}' if wrong else ''))
        sys.stdout.flush()
    if with_real and not inside:
        return failed + run_real() > 0
    return failed > 0


def run_real():
    """The same program once more, in a namespace where nothing leaves this machine and no port is taken."""
    sys.path.insert(0, os.path.join(corpus.TOP, 'tests', 'real'))
    import real

    for name in REAL:
        real.debian(name)
    script = 'ip link set lo up && exec "$@"'
    return subprocess.call(['unshare', '-n', 'sh', '-c', script, 'sh', sys.executable, os.path.abspath(__file__)],
                           env={**os.environ, 'HEAPWHY_REAL_INSIDE': '1'})


if __name__ == '__main__':
    sys.exit(main())
