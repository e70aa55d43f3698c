#!/usr/bin/env python3
"""The command line: usage, exit codes, what goes where, terminals, interruption. TAP.

HEAPWHY names the executable to test (build/heapwhy).
"""
import fcntl
import json
import os
import pty
import random
import re
import resource
import select
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time

import corpus
from hostile import start_go, undisturbed

COMMANDS = ['report', 'diff', 'paths', 'rss', 'dump', 'snap', 'core-handler', 'version', 'help']


def run(*arguments, **options):
    environment = os.environ | {'LC_ALL': 'C.UTF-8'} | options.pop('env', {})
    return subprocess.run([corpus.HEAPWHY, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True, timeout=120,
                          env=environment, **({'capture_output': True} | options))


def one_line(done, status):
    """What is wrong with a failure that should be one line on standard error."""
    if done.returncode != status:
        return f'exit {done.returncode}, not {status}: {done.stderr.strip()[-200:]}'
    if not re.fullmatch(r'heapwhy: [^\n]+\n', done.stderr):
        return f'standard error is not one line: {done.stderr!r}'
    return 'wrote to standard output' if done.stdout else ''


def no_arguments():
    done = run()
    if done.returncode != 2 or done.stdout:
        return f'exit {done.returncode}, standard output {done.stdout!r}'
    return '' if done.stderr.startswith('Usage: heapwhy') else f'no usage: {done.stderr!r}'


def mistakes():
    for arguments in (['--nonsense'], ['1', '--top'], ['1', '--top=0'], ['1', '--top=x'], ['1', '--color=red'],
                      ['1', '--fail-on=much'], ['1', '2'], ['1', '-zv'], ['--json=', '1'], ['paths'], ['paths', '1'],
                      ['paths', '1', 'a', 'b'], ['paths', '1', 'a', '--top=3'], ['help', 'nonsense'], ['version', 'x'],
                      ['rss'], ['rss', '1', '2'], ['dump'], ['dump', '1'], ['dump', '1', '2', '-o', 'x'], ['snap', '1', '2'],
                      ['snap', '-o', 'x'], ['snap', '1', '-o', 'x', '--json']):
        wrong = one_line(run(*arguments), 2)
        if wrong:
            return f'{" ".join(arguments)}: {wrong}'
        if arguments[-1].startswith('--nonsense') and '--nonsense' not in run(*arguments).stderr:
            return 'does not name what it stumbled over'
    return ''


def absent_targets():
    for target in ('0', '4194305', '99999999999999999999', 'nonsense', '/nonexistent', '1x'):
        wrong = one_line(run(target), 3)
        if wrong:
            return f'{target}: {wrong}'
    hidden = run('no\x1b[31msuch')
    return 'an escape sequence got through' if '\x1b' in hidden.stderr else one_line(hidden, 3)


def help_and_version():
    for arguments in (['help'], ['--help'], ['version'], ['--version'], *(['help', name] for name in COMMANDS),
                      *([name, '--help'] for name in COMMANDS), ['paths', '--usage']):
        done = run(*arguments)
        if done.returncode or done.stderr or not done.stdout:
            return f'{" ".join(arguments)}: exit {done.returncode}, {done.stderr!r}'
    listed = re.findall(r'^  ([\w-]+) ', run('help').stdout, re.M)
    return '' if listed == COMMANDS else f'help lists {listed}'


def options_of(command):
    return set(re.findall(r'--[a-z-]+', run('help', command).stdout.split('\n\n', 1)[1]))


def manual_and_completion():
    """Every option is in the manual and both completions, and nothing else is."""
    known = set.union(*map(options_of, COMMANDS)) | {'--version'}
    for path in ('man/heapwhy.1', 'completion/heapwhy.bash', 'completion/_heapwhy'):
        with open(os.path.join(corpus.TOP, 'packaging', path)) as file:
            text = file.read().replace('\\-', '-')
        said = set(re.findall(r'--[a-z]+(?:-[a-z]+)*', text))
        missing = known - said - ({'--version'} if path.startswith('man') else set())
        if missing or said - known:
            return f'{path}: missing {sorted(missing)}, unknown {sorted(said - known)}'
        for name in COMMANDS:
            if not re.search(rf'\b{name}\b', text):
                return f'{path}: nothing about {name}'
    return ''


def text_report():
    with start_go('closures', 'maps') as subject:
        done = run(subject.pid)
        wrong = undisturbed(subject.pid)
    if done.returncode or done.stderr:
        return f'exit {done.returncode}: {done.stderr}'
    for expected in (str(subject.pid), 'go1.26', ' live', 'Who holds it', 'What it is', 'Goroutines: ',
                     "Agrees with Go's collector", 'The process stood still for'):
        if expected not in done.stdout:
            return f'nothing about {expected!r}'
    if '\x1b' in done.stdout:
        return 'colours in a pipe'
    if re.search(r'[ \t]$', done.stdout, re.M):
        return 'blanks at the end of a line'
    return wrong


def plain_locale():
    with start_go('closures') as subject:
        done = run(subject.pid, env={'LC_ALL': 'C', 'COLUMNS': '72'})
    if done.returncode or not done.stdout.isascii():
        return f'exit {done.returncode}, ASCII: {done.stdout.isascii()}'
    widest = max(map(len, done.stdout.splitlines()))
    return f'{widest} columns of 72' if widest > 72 else ''


def on_terminal(pid, *arguments, env, columns=90):
    """What heapwhy shows on a terminal of its own: (exit status, everything)."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ('NO_COLOR', 'COLUMNS')}
    process = subprocess.Popen([corpus.HEAPWHY, str(pid), *arguments], stdin=terminal, stdout=terminal, stderr=terminal,
                               env=environment | {'LC_ALL': 'C.UTF-8', 'TERM': 'xterm'} | env)
    os.close(terminal)
    shown = b''
    while select.select([main], [], [], 60)[0]:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    return process.wait(), shown.decode()


def terminal():
    color, progress = '\x1b[1m', '\r\x1b[K'
    with start_go('closures') as subject:
        for arguments, env, expected in ((), {}, (True, True)), (('--no-progress',), {}, (True, False)), \
                ((), {'NO_COLOR': '1'}, (False, True)), ((), {'TERM': 'dumb'}, (False, True)), \
                (('--color=never',), {}, (False, True)), (('--color=always',), {'NO_COLOR': '1'}, (True, True)):
            status, shown = on_terminal(subject.pid, *arguments, env=env)
            seen = color in shown, progress in shown
            if status or seen != expected:
                return f'{arguments} {env}: exit {status}, colours and progress {seen}, not {expected}'
            lines = re.sub(r'\x1b\[[0-9;]*m|\r', '', shown.split(progress)[-1]).split('\n')
            widest = max(map(len, lines))
            if widest > 90:
                return f'{arguments} {env}: {widest} columns of 90'
    return ''


# contract.md's schema 1, without what a list holds when it is empty.
SCHEMA = {
    'schema': int,
    'target': {'kind': str, 'pid': int, 'exe': str, 'go_version': str, 'arch': str, 'stripped': bool, 'pie': bool,
               'debug_info': bool},
    'capture': {'method': str, 'pause_ns': int, 'threads': int, 'goroutines': int},
    'agreement': {'comparable': bool, 'marked': int, 'reached': int, 'missing': int, 'extra': int, 'impossible': int,
                  'why': str},
    'resident_bytes': int,
    'ledger': [{'account': str, 'bytes': int}],
    'heap': {'live_bytes': int, 'live_objects': int, 'garbage_bytes': int, 'garbage_objects': int, 'typed_bytes': int},
    'types': [{'type': str, 'objects': int, 'bytes': int, 'retained_bytes': int}],
    'holders': [{'name': str, 'kind': str, 'retained_bytes': int, 'objects': int}],
    'goroutines': [{'state': str, 'count': int, 'retained_bytes': int, 'wait_ns': int, 'stack': [str],
                    'created_by': str}],
    'findings': [{'rule': str, 'account': str, 'bytes': int, 'objects': int, 'type': str, 'proven': bool,
                  'path': [{'kind': str, 'name': str, 'type': str}], 'allocated_at': [str], 'remedy': str,
                  'remedy_bytes': int}],
    'timings_ms': {'capture': (int, float), 'read': (int, float), 'graph': (int, float), 'rules': (int, float),
                   'total': (int, float)},
}


def mismatch(value, schema, where='report'):
    """Where `value` is not as the schema says; '' when it is. More fields are no mismatch."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return f'{where} is no object'
        absent = schema.keys() - value.keys()
        if absent:
            return f'{where} has no {sorted(absent)}'
        return next(filter(None, (mismatch(value[key], part, f'{where}.{key}') for key, part in schema.items())), '')
    if isinstance(schema, list):
        if not isinstance(value, list):
            return f'{where} is no list'
        return next(filter(None, (mismatch(item, schema[0], f'{where}[]') for item in value)), '')
    if isinstance(value, bool) != (schema is bool) or not isinstance(value, schema):
        return f'{where} is {value!r}'
    return ''


def json_report():
    with start_go('all') as subject:
        done = run(subject.pid, '--json')
    if done.returncode or done.stderr:
        return f'exit {done.returncode}: {done.stderr}'
    report = json.loads(done.stdout)
    wrong = mismatch(report, SCHEMA)
    if wrong:
        return wrong
    if report['schema'] != 1 or report['target']['kind'] != 'process':
        return 'not schema 1 of a process'
    kinds = {holder['kind'] for holder in report['holders']}
    if not kinds <= {'global', 'stack', 'goroutine', 'finalizer', 'other'}:
        return f'kinds of holders: {kinds}'
    ledger = sum(entry['bytes'] for entry in report['ledger'])
    if ledger != report['resident_bytes']:
        return f'the ledger adds up to {ledger}, not {report["resident_bytes"]}'
    kept = sum(holder['retained_bytes'] for holder in report['holders'])
    if not report['holders_left_out'] and kept != report['heap']['live_bytes']:
        return f'holders add up to {kept}, not {report["heap"]["live_bytes"]}'
    typed = sum(entry['bytes'] for entry in report['types'])
    return '' if typed == report['heap']['live_bytes'] else f'types add up to {typed}'


def json_file():
    with start_go('closures') as subject, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'report.json')
        os.umask(0)
        done = run(subject.pid, f'--json={path}')
        os.umask(0o022)
        if done.returncode or done.stdout or done.stderr:
            return f'exit {done.returncode}: {done.stdout}{done.stderr}'
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode != 0o600:
            return f'mode {mode:o}'
        with open(path) as file:
            json.load(file)
        # A file that cannot be written whole is not there at all, and what was there before stays.
        with open(path, 'w') as file:
            file.write('old')
        done = run(subject.pid, f'--json={path}', preexec_fn=limit_files)
        wrong = one_line(done, 4)
        if wrong:
            return f'file too large: {wrong}'
        with open(path) as file:
            if os.listdir(folder) != ['report.json'] or file.read() != 'old':
                return f'left behind: {os.listdir(folder)}'
        link = os.path.join(folder, 'link')
        os.symlink(path, link)
        if run(subject.pid, f'--json={link}').returncode or not os.path.islink(link):
            return 'a link was replaced'
        for place in os.path.join(folder, 'absent', 'file'), '/dev/full':
            wrong = one_line(run(subject.pid, f'--json={place}'), 4)
            if wrong:
                return f'{place}: {wrong}'
        done = run(subject.pid, '--json=/dev/stdout')
        return '' if json.loads(done.stdout) else 'nothing in /dev/stdout'


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def full_output():
    with start_go('closures') as subject, open('/dev/full', 'w') as full:
        done = run(subject.pid, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        done.stdout = ''
        return one_line(done, 4) or undisturbed(subject.pid)


def reader_gone():
    with start_go('all') as subject:
        reader, writer = os.pipe()
        os.close(reader)
        done = run(subject.pid, '--json', capture_output=False, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        if done.returncode != -signal.SIGPIPE or done.stderr:
            return f'exit {done.returncode}: {done.stderr!r}'
        return undisturbed(subject.pid)


def interrupted():
    """Ctrl-C at moments spread over the whole examination."""
    with start_go('all') as subject:
        typical, cut = corpus.Examination(subject.pid, '--json').seconds, 0
        for i in range(25):
            number = random.Random(i).choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
            tool = subprocess.Popen([corpus.HEAPWHY, str(subject.pid)], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(0.005 + typical * i / 25)
            tool.send_signal(number)
            output, errors = tool.communicate(timeout=60)
            if tool.returncode not in (0, -number) or errors:
                return f'after {i}/25: exit {tool.returncode}, not {-number}: {errors}'
            cut += tool.returncode != 0
            wrong = undisturbed(subject.pid)
            if wrong:
                return f'after {i}/25: {wrong}'
        if not cut:
            return 'was never interrupted'
        return '' if corpus.Examination(subject.pid, '--json').status == 0 else 'cannot be examined any more'


def paths():
    with start_go('closures', 'maps') as subject:
        report = corpus.Examination(subject.pid, '--json').report
        name = next(entry['type'] for entry in report['types'] if entry['type'].startswith('main.'))
        done = run('paths', subject.pid, name, '--json', '-n', '2')
        if done.returncode:
            return done.stderr
        found = json.loads(done.stdout)
        for path in found['paths']:
            if path['type'] != name or path['path'][-1]['address'] != path['address']:
                return f'a path to {path["type"]}'
            if path['path'][0]['kind'] == 'object':
                return 'a path that begins with an object'
        address = found['paths'][0]['address'] + 1
        text = run('paths', subject.pid, hex(address)).stdout
        if hex(address - 1) not in text or name not in text:
            return f'an address inside the object is not found: {text}'
        for nonsense in 'main.nonsense', '0x10', '0xzz', 'ffff':
            wrong = one_line(run('paths', subject.pid, nonsense), 3)
            if wrong:
                return f'{nonsense}: {wrong}'
        return undisturbed(subject.pid)


def closed_descriptors():
    """Without standard descriptors, what is opened first must not become one of them."""
    with start_go('closures') as subject:
        done = subprocess.run(['sh', '-c', f'exec {corpus.HEAPWHY} {subject.pid} <&- >&- 2>&-'], timeout=60)
        return f'exit {done.returncode}' if done.returncode else undisturbed(subject.pid)


def other_method():
    with start_go('closures') as subject:
        for method in 'stop', 'fork':
            examination = corpus.Examination(subject.pid, '--json', f'--{method}')
            if examination.status or examination.report['capture']['method'] != method:
                return f'--{method}: exit {examination.status} {examination.errors}'
        return undisturbed(subject.pid)


TESTS = [
    ('without arguments: usage', no_arguments),
    ('mistakes: one line, exit 2', mistakes),
    ('targets that are not there: one line, exit 3', absent_targets),
    ('help and version', help_and_version),
    ('options in the manual and in completions', manual_and_completion),
    ('a report as text', text_report),
    ('a report in the C locale, 72 columns', plain_locale),
    ('colours, progress and width on a terminal', terminal),
    ('a report as JSON: schema 1, sums that add up', json_report),
    ('JSON in a file', json_file),
    ('standard output that is full', full_output),
    ('a reader that goes away', reader_gone),
    ('interruption', interrupted),
    ('paths', paths),
    ('closed standard descriptors', closed_descriptors),
    ('--stop and --fork', other_method),
]


def main():
    failed = 0
    for name, test in TESTS:
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        try:
            wrong = test()
        except (RuntimeError, subprocess.SubprocessError) as error:
            wrong = str(error)
        failed += bool(wrong)
        print(f'not ok - {name}: {wrong}' if wrong else f'ok - {name}')
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
