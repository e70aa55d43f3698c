#!/usr/bin/env python3
"""Programs that never hold still (corpus/running): what is known to be alive is found, what is known to be garbage is
not called alive, and the program goes on. TAP.

    tests/running.py [VERSION...]
"""
import sys

import corpus

ROUNDS = 3


def objects_of(report, name):
    return sum(row['objects'] for row in report['types'] if row['type'] == name)


def check(subject):
    """What is wrong with one examination; '' when nothing is."""
    examination = corpus.Examination(subject.pid, '--json')
    if examination.status != 0 or not examination.report:
        return f'exit {examination.status}: {examination.errors.strip()[-300:]}'
    report = examination.report
    keepers, leavers = objects_of(report, 'main.keeper'), objects_of(report, 'main.leaver')
    if keepers != subject.ready['keepers']:
        return f'{keepers} of {subject.ready["keepers"]} keepers are found alive'
    if leavers:
        return f'{leavers} leavers are called alive'
    if report['agreement']['impossible']:
        return f'{report["agreement"]["impossible"]} free slots are called alive'
    if report['heap']['garbage_objects'] < subject.ready['leavers']:
        return f'only {report["heap"]["garbage_objects"]} objects are called garbage'
    return ''


def run(version, way, worker):
    with corpus.Subject([corpus.build(version, way, 'running'), worker]) as subject:
        for _ in range(ROUNDS):
            wrong = check(subject)
            if wrong:
                return wrong
            subject.collect()
        return 'the target is gone' if subject.process.poll() is not None else ''


def main():
    versions = sys.argv[1:] or corpus.versions()
    tests = [(version, 'cgo', 'all') for version in versions]
    tests += [(versions[-1], 'cgo', worker) for worker in ('spin', 'calls', 'storm', 'syscalls', 'cgo')]
    tests += [(versions[0], 'plain', worker) for worker in ('spin', 'calls', 'storm', 'syscalls')]
    failed = 0
    for version, way, worker in tests:
        try:
            wrong = run(version, way, worker)
        except (RuntimeError, OSError, KeyError) as error:
            wrong = f'{type(error).__name__}: {error}'
        failed += bool(wrong)
        print(f'{"not ok" if wrong else "ok"} - go {version} {way} {worker}' + (f': {wrong}' if wrong else ''))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
