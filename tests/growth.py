#!/usr/bin/env python3
"""Does heapwhy diff find what grows without end in corpus/growth, and nothing else?

    tests/growth.py                         every case on the oldest Go, and on the newest one stripped
    tests/growth.py -v 1.24 -w plain list   these versions, these ways, these cases
    HEAPWHY_TEST_LONG=1 tests/growth.py     every case on every version, plain and stripped

Each case runs in a process of its own, of which a snapshot is taken after each step. The output is TAP.
corpus/growth/expected.txt says what is expected.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import corpus

STEPS = 3


class Expectation:
    """A line of expected.txt."""

    def __init__(self, line):
        self.case, looks, self.rules, size, self.type = line.split()
        self.looks = [int(number) for number in looks.split(',')]
        self.low, self.high = (float(value) * corpus.MIB for value in size.split('..'))


def snapshots(program, case, folder):
    """A file for each step of a case."""
    files = []
    with corpus.Subject([program, case]) as subject:
        for step in range(1, STEPS + 1):
            if step > 1:
                subject.collect()
            files.append(os.path.join(folder, f'{case}.{step}.hw'))
            taken = corpus.Examination('snap', subject.pid, '-o', files[-1])
            if taken.status:
                raise RuntimeError(f'snap: exit {taken.status}: {taken.errors.strip()}')
    return files


def look_errors(findings, looks, expected, named):
    """What is wrong with what so many looks found."""
    if not expected or looks not in expected.looks:
        return [f'{looks} looks: false alarm: {corpus.describe(findings)}'] if findings else []
    low, high = (bytes_ * (looks - 1) for bytes_ in (expected.low, expected.high))
    if (len(findings) != 1 or findings[0]['rule'] not in expected.rules.split('|') or not low <= findings[0]['bytes'] <= high
            or (named and expected.type not in ('-', findings[0]['type']))):
        return [f'{looks} looks: {expected.rules} of {low / corpus.MIB:.1f} to {high / corpus.MIB:.1f} MiB of {expected.type} expected, '
                f'found {corpus.describe(findings)}']
    return []


def run_case(program, case, expected, named):
    """What is wrong with the findings of one case, a sentence each."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        files = snapshots(program, case, folder)
        for looks in range(2, STEPS + 1):
            examination = corpus.Examination('diff', '--json', *files[:looks])
            if examination.status or not examination.report:
                return [f'exit {examination.status}: {examination.errors.strip()[-200:]}']
            wrong += look_errors(examination.report['findings'], looks, expected, named)
    return wrong


def say(name, examination, status, *words):
    """A line about one run of heapwhy: its exit code and what it says."""
    said = examination.output + examination.errors
    missing = [word for word in words if word not in said]
    good = examination.status == status and not missing
    print(f'{"ok" if good else "not ok"} - {name}' + ('' if good else f': exit {examination.status}, no {missing}: {said[-300:]}'))
    return not good


def run_command(version):
    """What diff says besides findings."""
    program, other = corpus.build(version, 'plain', 'growth'), corpus.build(version, 'plain', 'leaks')
    failed = 0
    with tempfile.TemporaryDirectory() as folder, corpus.Subject([other, 'spare']) as stranger, \
            corpus.Subject([program, 'sessions']) as again:
        files = snapshots(program, 'sessions', folder)
        diff = lambda *arguments: corpus.Examination('diff', *arguments)
        failed += say('diff in text', diff(*files), 0, 'unbounded-growth (suspected)', 'main.session', 'Remedy', 'later')
        failed += say('diff --fail-on', diff('--fail-on', '1M', *files), 1)
        failed += say('diff --fail-on more than that', diff('--fail-on', '1G', *files), 0)
        failed += say('the newest first', diff(*reversed(files)), 2, 'oldest first')
        failed += say('one target', diff(files[0]), 2, 'OLD and a NEW')
        failed += say('the same twice', diff(again.pid, again.pid), 2, 'heapwhy snap')
        failed += say('different programs', diff(files[0], stranger.pid), 2, 'different programs')
        failed += say('two runs of one program', diff(files[0], again.pid), 0, 'not looks at one process')
        core = os.path.join(folder, 'core')
        corpus.Examination('dump', again.pid, '-o', core)
        again.collect()
        failed += say('a core and a process', diff(core, again.pid), 0, 'unbounded-growth (suspected)')
    return failed


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('-v', '--versions')
    parser.add_argument('-w', '--ways', default='plain,stripped')
    parser.add_argument('cases', nargs='*')
    options = parser.parse_args()
    versions = corpus.versions()
    expected = {line.case: line for line in map(Expectation, corpus.lines('growth'))}
    names = subprocess.check_output([corpus.build(versions[-1], 'plain', 'growth')], text=True).split()
    failed = 0
    unknown = set(expected) - set(names)
    if unknown:
        print(f'not ok - expected.txt: no case called {", ".join(sorted(unknown))}')
        failed = 1
    if options.versions or os.environ.get('HEAPWHY_TEST_LONG'):
        chosen = options.versions.split(',') if options.versions else versions
        cells = [(version, way) for version in chosen for way in options.ways.split(',')]
    else:
        cells = [(versions[0], 'plain'), (versions[-1], 'stripped')]
    for version, way in cells:
        failed += corpus.run_cell(version, way, 'growth', options.cases or names,
                                  lambda program, case: run_case(program, case, expected.get(case), way == 'plain'))
    if not options.cases:
        failed += run_command(versions[-1])
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
