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
import os
import re
import subprocess
import sys

import corpus

WAYS = ['plain', 'stripped']
PART = 4  # of the versions in between a quarter of the cases is tried, another one for each


def number(version):
    return tuple(int(part) for part in version.split('.'))


class Versions:
    """From one version of Go to another: "1.22..1.23", "..1.23", "1.26..", "1.21", "all"."""

    def __init__(self, text):
        first, dots, last = text.partition('..')
        self.first, self.last = ('', '') if text == 'all' else (first, last if dots else first)

    def __contains__(self, version):
        return ((not self.first or number(version) >= number(self.first))
                and (not self.last or number(version) <= number(self.last)))


class Expectation:
    """A line of expected.txt."""

    def __init__(self, line):
        self.case, rules, size, versions, remedy = line.split()
        remedy, _, named = remedy.partition(',')
        self.named = bool(named)
        self.rules = rules.split('|')
        self.low, self.high = (float(value) * corpus.MIB for value in size.split('..'))
        self.versions = Versions(versions)
        self.proved = remedy == 'proved'


def expectations():
    """For each case its lines, of which the first that is about the version counts."""
    lines = {}
    for line in map(Expectation, corpus.lines('leaks')):
        lines.setdefault(line.case, []).append(line)
    return lines


def remedy_error(subject, findings):
    """What is wrong with what the remedy gives back, which is tried."""
    before = subject.ready['heap_alloc']
    subject.collect()
    returned, promised = before - subject.ready['heap_alloc'], sum(f['remedy_bytes'] for f in findings)
    if abs(returned - promised) > returned * 0.05:
        return [f'the remedy gives back {returned} bytes and not {promised}']
    return []


def finding_errors(subject, report, expected):
    """What is wrong with the findings of a leak."""
    right = [f for f in report['findings'] if f['rule'] in expected.rules]
    others = [f for f in report['findings'] if f['rule'] not in expected.rules]
    wrong = []
    if not expected.low <= sum(f['bytes'] for f in right) <= expected.high:
        wrong.append(f'{"|".join(expected.rules)} of {expected.low / corpus.MIB:.1f} to {expected.high / corpus.MIB:.1f} MiB '
                     f'expected, found {corpus.describe(right)}')
    if others:
        wrong.append(f'false alarm: {corpus.describe(others)}')
    if expected.proved and not wrong:
        wrong += remedy_error(subject, right)
    return wrong


def run_case(program, case, expected):
    """What is wrong with the report on one case, a sentence each."""
    with corpus.Subject([program, case]) as subject:
        examination = corpus.Examination(subject.pid, '--json')
        report = examination.report
        if examination.status != 0 or not report:
            return [f'exit {examination.status}: {examination.errors.strip()[-200:]}']
        if not expected:
            return [f'false alarm: {corpus.describe(report["findings"])}'] if report['findings'] else []
        return finding_errors(subject, report, expected)


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


def run_cell(version, way, program_name, names, expected):
    """Runs the cases with one version, built one way. Returns how many failed."""
    def run(program, case):
        line = next((line for line in expected.get(case, ()) if version in line.versions), None)
        if line and line.named and way == 'stripped':
            line = None
        return run_case(program, case, line)

    return corpus.run_cell(version, way, program_name, names, run)


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
            failed += run_cell(version, way, 'leaks', cases, expected)
    if not options.cases:
        for version in (versions[0], versions[-1]):
            failed += run_cell(version, 'cgo', 'cmemory', c_names, expected)
        all_names = {'leaks': names, 'cmemory': c_names, 'growth': cases_of('growth', versions[0], 'plain')}
        wrong = facts_errors(all_names)
        print(f'not ok - facts: {"; ".join(wrong)}' if wrong else 'ok - each fact has its cases, or a reason why not')
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
