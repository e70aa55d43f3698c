#!/usr/bin/env python3
"""Is heapwhy right about programs that never hold still? The next collection knows (collector_check.c). TAP.

    tests/collector.py                       a few captures of each version
    tests/collector.py -n 100 -w cgo 1.19    so many of this version, built this way
"""
import argparse
import os
import subprocess
import sys

import corpus

CHECK = os.path.join(corpus.TOP, 'build', 'tests', 'collector_check')
WAYS = ['plain', 'cgo']


def check(version, way, rounds):
    """True when nothing that was claimed proved wrong; prints what was."""
    name = f'go {version} {way}'
    try:
        done = subprocess.run([CHECK, corpus.build(version, way, 'churn'), str(rounds)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60 + 10 * rounds)
        lines, status = done.stdout.splitlines(), done.returncode
    except (RuntimeError, subprocess.SubprocessError) as error:
        lines, status = [f'not ok - {error}'], 1
    for line in lines:
        print(line.replace('ok - ', f'ok - {name}: ', 1))
    if status and not any(line.startswith('not ok') for line in lines):
        print(f'not ok - {name}: ended with {status}')
    sys.stdout.flush()
    return status == 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('-n', '--rounds', type=int, default=8)
    parser.add_argument('-w', '--ways', default=','.join(WAYS))
    parser.add_argument('versions', nargs='*')
    options = parser.parse_args()
    results = [check(version, way, options.rounds)
               for version in options.versions or corpus.versions() for way in options.ways.split(',')]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
