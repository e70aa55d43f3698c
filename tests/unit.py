#!/usr/bin/env python3
"""Run the unit tests of a build folder and print what they print: TAP, a line a test.

    tests/unit.py BUILD [SUITE...] [-TEST...]   suites: unit (fast, no Go), live (on running processes); default both;
                                                -TEST is left out
"""
import json
import os
import re
import subprocess
import sys

TIMEOUT_SECONDS = 300


def run_program(name, command, environment, folder):
    """cmocka programs print TAP; any other program is one test, passed when it exits with 0."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT='TAP', **environment)
    try:
        done = subprocess.run(command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT_SECONDS, errors='replace')
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b'').decode(errors='replace')
        status = f'more than {TIMEOUT_SECONDS} s'
    failed = tests = 0
    for line in output.splitlines():
        match = re.match(r'(ok|not ok) \d+ - (.*)', line)
        skipped = re.match(r'not ok \d+ # SKIP (.*)', line)  # so says cmocka
        if skipped:
            tests += 1
            print(f'ok - {name}: {skipped[1]} # SKIP')
        elif match:
            tests += 1
            failed += match[1] == 'not ok'
            print(f'{match[1]} - {name}: {match[2]}')
        elif line and not re.match(r'\d+\.\.\d+$|# (Running|.* tests?$)', line):
            print('#', line.removeprefix('# '))
    if status == 77:
        print(f'ok - {name} # SKIP')
    elif not tests or (status != 0 and not failed):
        # A crash says nothing in TAP.
        print(f'{"ok" if status == 0 else "not ok"} - {name}' + (f': ended with {status}' if status else ''))
    sys.stdout.flush()


def main():
    build = sys.argv[1]
    suites = [word for word in sys.argv[2:] if not word.startswith('-')] or ['unit', 'live']
    left_out = [word[1:] for word in sys.argv[2:] if word.startswith('-')]
    tests = json.loads(subprocess.check_output(['meson', 'introspect', '--tests', build]))
    for test in tests:
        if test['name'] not in left_out and any(suite.split(':')[-1] in suites for suite in test['suite']):
            run_program(test['name'], test['cmd'], test['env'], test['workdir'] or build)


if __name__ == '__main__':
    main()
