#!/usr/bin/env python3
"""Does heapwhy find the leaks of corpus/leaks, all of them and nothing else, and do the remedies give back what it says?

    tests/findings.py                         every case on the oldest and the newest Go and stripped, a part on the others
    tests/findings.py -v 1.24 -w plain prefix map-deleted    these versions, these ways, these cases
    HEAPWHY_TEST_LONG=1 tests/findings.py     every case on every version, plain and stripped

Each case runs in a process of its own. A miss, a false alarm and a remedy that gives back something else are a line
each; otherwise a line says how many cases of a version hold. The output is TAP. corpus/leaks/expected.txt says what is
expected.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

import corpus

MIB = 1 << 20
WAYS = ['plain', 'stripped']
PART = 4  # of the versions in between a quarter of the cases is tried, another one for each


def number(version):
    return tuple(int(part) for part in version.split('.'))


class Expectation:
    """A line of expected.txt."""

    def __init__(self, line):
        self.case, rules, size, versions, remedy = line.split()
        self.rules = rules.split('|')
        self.low, self.high = (float(value) * MIB for value in size.split('..'))
        self.first, self.last = versions.split('..') if versions != 'all' else ('', '')
        self.proved = remedy.startswith('proved')
        self.named = remedy.endswith(',named')
        self.fleeting = remedy.endswith(',fleeting')

    def holds_for(self, version):
        return ((not self.first or number(version) >= number(self.first))
                and (not self.last or number(version) <= number(self.last)))


def expectations():
    with open(os.path.join(corpus.TOP, 'corpus', 'leaks', 'expected.txt')) as file:
        lines = [Expectation(line) for line in file if line.strip() and not line.startswith('#')]
    return {line.case: line for line in lines}


def describe(findings):
    return ', '.join(f'{f["rule"]} {f["bytes"] / MIB:.2f} MiB of {f["type"] or "?"}' for f in findings) or 'nothing'


def remedy_error(subject, findings):
    """What is wrong with what the remedy gives back, which is tried."""
    before = subject.ready['heap_alloc']
    subject.collect()
    returned, promised = before - subject.ready['heap_alloc'], sum(f['remedy_bytes'] for f in findings)
    if abs(returned - promised) > returned * 0.05:
        return [f'the remedy gives back {returned} bytes and not {promised}']
    return []


def run_case(program, case, expected):
    """What is wrong with the findings of one case, a sentence each."""
    try:
        with corpus.Subject([program, case]) as subject:
            examination = corpus.Examination(subject.pid, '--json')
            if examination.status != 0 or not examination.report:
                return [f'exit {examination.status}: {examination.errors.strip()[-200:]}']
            findings = examination.report['findings']
            if not expected:
                return [f'false alarm: {describe(findings)}'] if findings else []
            right = [f for f in findings if f['rule'] in expected.rules]
            others = [f for f in findings if f['rule'] not in expected.rules]
            total = sum(f['bytes'] for f in right)
            wrong = []
            if not expected.low <= total <= expected.high:
                wrong.append(f'{"|".join(expected.rules)} of {expected.low / MIB:.1f} to {expected.high / MIB:.1f} MiB '
                             f'expected, found {describe(right)}')
            if others:
                wrong.append(f'false alarm: {describe(others)}')
            if expected.proved and not wrong:
                wrong += remedy_error(subject, right)
            return wrong
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        return [f'{type(error).__name__}: {error}']


def facts_errors(names):
    """What is wrong with facts.txt, a sentence each; `names` by program."""
    wanted = {f'{letter}{number:02}' for letter, last in (('K', 38), ('A', 34)) for number in range(1, last + 1)}
    wrong = []
    with open(os.path.join(corpus.TOP, 'corpus', 'leaks', 'facts.txt')) as file:
        for line in file:
            if not line.strip() or line.startswith('#'):
                continue
            words = re.split(r'\s{2,}', line.strip())
            wanted.discard(words[0])
            for case in words[1].split():
                program, _, name = ('leaks:' + case if ':' not in case else case).partition(':')
                if case != '-' and name not in names[program]:
                    wrong.append(f'{words[0]}: no case called {case}')
            if len(words) != 3:
                wrong.append(f'{words[0]}: what is it about?')
    return wrong + [f'{identifier} is missing' for identifier in sorted(wanted)]


def cases_of(program, version, way):
    return subprocess.check_output([corpus.build(version, way, program)], text=True).split()


def choose(names, versions, version, way):
    """The cases that are tried there."""
    if os.environ.get('HEAPWHY_TEST_LONG') or (way == 'plain' and version in (versions[0], versions[-1])):
        return names
    turn = versions.index(version) * len(WAYS) + WAYS.index(way)
    return names[turn % PART::PART]


def run_cell(version, way, names, expected, program_name='leaks'):
    """Runs the cases with one version, built one way. Returns how many failed."""
    label = f'{program_name} go {version} {way}'

    def run(case):
        line = expected.get(case)
        if way == 'stripped' and line and line.named:
            return []
        holds = line and line.holds_for(version)
        wrong = run_case(program, case, line if holds else None)
        return run_case(program, case, line) if wrong and line and line.fleeting and not holds else wrong

    try:
        program = corpus.build(version, way, program_name)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(zip(names, pool.map(run, names)))
    except (RuntimeError, OSError) as error:
        results = [('build', [str(error)])]
    bad = [(case, wrong) for case, wrong in results if wrong]
    for case, wrong in bad:
        print(f'not ok - {label} {case}: {"; ".join(wrong)}')
    if not bad:
        print(f'ok - {label}: {len(results)} cases, nothing missed, no false alarm')
    sys.stdout.flush()
    return len(bad)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('-v', '--versions')
    parser.add_argument('-w', '--ways', default=','.join(WAYS))
    parser.add_argument('cases', nargs='*')
    options = parser.parse_args()
    versions = options.versions.split(',') if options.versions else corpus.versions()
    expected = expectations()
    names = cases_of('leaks', versions[0], 'plain')
    c_names = cases_of('cmemory', versions[0], 'cgo')
    failed = 0
    unknown = set(expected) - set(names) - set(c_names)
    if unknown:
        print(f'not ok - expected.txt: no case called {", ".join(sorted(unknown))}')
        failed = 1
    for version in versions:
        for way in options.ways.split(','):
            cases = options.cases or (names if options.versions else choose(names, versions, version, way))
            failed += run_cell(version, way, cases, expected)
    if not options.cases:
        for version in (versions[0], versions[-1]):
            failed += run_cell(version, 'cgo', c_names, expected, 'cmemory')
        all_names = {'leaks': names, 'cmemory': c_names, 'growth': cases_of('growth', versions[0], 'plain')}
        wrong = facts_errors(all_names)
        print(f'not ok - facts: {"; ".join(wrong)}' if wrong else 'ok - each fact has its cases, or a reason why not')
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
