#!/usr/bin/env python3
"""Does heapwhy count what the collector counts? Versions of Go x ways to build, on corpus/agreement.

    tests/matrix.py                          every cell, and a table
    tests/matrix.py -v 1.19,1.26 -w stripped these versions, this way
    tests/matrix.py --each ...               each case of the corpus in a process of its own: which one is it?
    tests/matrix.py --cases maps,lists ...   these cases only; --cases -timers: all but these
    tests/matrix.py --keep DIR               leave each report as DIR/VERSION-WAY-CASES.json

The output is TAP.

A cell holds when heapwhy exits with 0, calls the target comparable, misses no object that the collector marked,
reaches none that it did not, and when the sum of what it calls alive is runtime.MemStats.HeapAlloc to the byte. Of all
cases together, built plainly, 99 % of the objects must have an exact type (docs/typing.md).
"""
import argparse
import json
import os
import subprocess
import sys
import time

import corpus

TYPED_LEAST = 0.99
WAYS = ['plain', 'stripped', 'pie', 'cgo', 'race', 'noinline']


def differences(examination, ready, version, way):
    """What is wrong with the report, a short sentence each; [] when nothing is."""
    if examination.status != 0:
        return [f'exit {examination.status}: {examination.errors.strip()[-200:]}']
    report = examination.report
    if not report:
        return ['no JSON']
    wrong = []

    def expect(name, actual, expected):
        if actual != expected:
            wrong.append(f'{name} {actual}, not {expected}')

    agreement, heap, target = report['agreement'], report['heap'], report['target']
    if not agreement['comparable']:
        wrong.append(f'not comparable: {agreement["why"]}')
    for count in 'missing', 'extra', 'impossible':
        if agreement[count]:
            wrong.append(f'{agreement[count]} {count}')
    if wrong and agreement['comparable'] and agreement['why']:
        wrong.append(f'({agreement["why"]})')
    expect('live_bytes', heap['live_bytes'], ready['heap_alloc'])
    expect('live_objects', heap['live_objects'], ready['heap_objects'])
    expect('go_version', target['go_version'], corpus.full_version(version))
    expect('stripped', target['stripped'], way == 'stripped')
    expect('pie', target['pie'], way == 'pie')
    expect('debug_info', target['debug_info'], way != 'stripped')
    return wrong


def run_cell(version, way, cases, keep):
    """One process, one examination. Returns (what is wrong, remark)."""
    try:
        program = corpus.build(version, way, 'agreement')
        with corpus.Subject([program] + cases) as subject:
            examination = corpus.Examination(subject.pid, '--json')
            wrong = differences(examination, subject.ready, version, way)
            alive = subject.process.poll() is None
            heap = (examination.report or {}).get('heap')
            if heap and way == 'plain' and cases == ['all']:
                typed = heap['typed_objects'] / heap['live_objects']
                if typed < TYPED_LEAST:
                    wrong.append(f'{100 * typed:.2f} % of the objects typed')
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        return [f'{type(error).__name__}: {error}'], ''
    if not alive:
        wrong.append('the target is gone')
    if keep:
        with open(os.path.join(keep, f'{version}-{way}-{"+".join(cases)}.json'), 'w') as file:
            json.dump({'ready': subject.ready, 'report': examination.report, 'errors': examination.errors}, file, indent=1)
    pause = (examination.report or {}).get('capture', {}).get('pause_ns', 0)
    return wrong, f'{subject.ready["heap_objects"]} objects, pause {pause / 1e6:.1f} ms, {examination.seconds:.1f} s'


def print_table(versions, ways, results):
    print('#\n# ' + ' ' * 7 + ''.join(f'{way:>10}' for way in ways))
    for version in versions:
        row = ''.join(f'{results.get((version, way), "-"):>10}' for way in ways)
        print(f'# go {version}{row}')
    print('#')


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('-v', '--versions')
    parser.add_argument('-w', '--ways')
    parser.add_argument('--cases', default='all')
    parser.add_argument('--each', action='store_true')
    parser.add_argument('--keep')
    options = parser.parse_args()
    versions = options.versions.split(',') if options.versions else corpus.versions()
    ways = options.ways.split(',') if options.ways else WAYS

    results, failed = {}, 0
    for version in versions:
        for way in ways:
            case_lists = [[options.cases]] if options.cases.startswith('-') else [options.cases.split(',')]
            if options.each:
                names = subprocess.check_output([corpus.build(version, way, 'agreement')], text=True).split()
                case_lists = [[name] for name in names]
            bad = 0
            for cases in case_lists:
                start = time.monotonic()
                wrong, remark = run_cell(version, way, cases, options.keep)
                took = f'{time.monotonic() - start:.0f} s in all'
                name = f'go {version} {way} {" ".join(cases)}'
                if wrong:
                    bad += 1
                    print(f'not ok - {name}: {"; ".join(wrong)}')
                else:
                    print(f'ok - {name}: {remark}, {took}')
                sys.stdout.flush()
            failed += bad
            results[version, way] = 'ok' if not bad else f'{bad} bad' if options.each else 'FAIL'
    print_table(versions, ways, results)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
