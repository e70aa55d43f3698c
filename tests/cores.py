#!/usr/bin/env python3
"""Core files: what heapwhy says of a core is what it said of the process. TAP.

Every kind of core of one process is examined: our own (plain, compressed, redacted, with the program in it), gdb's,
delve's, the kernel's. HEAPWHY_TEST_LONG=1 takes each program of the corpus in a process of its own and more leaks, and damages five times as many.
"""
import collections
import concurrent.futures
import contextlib
import fcntl
import glob
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import corpus
from hostile import undisturbed

LONG = bool(os.environ.get('HEAPWHY_TEST_LONG'))
PROGRAMS = ['channels', 'closures', 'defers', 'finalizers', 'generics', 'large', 'lists', 'maps', 'pools', 'timers']
LEAKS = ['prefix', 'map-deleted', 'list-removed', 'same-strings', 'abandoned-send', 'backed-up', 'context-children',
         'handlers', 'spare', 'finalizer-cycle']
THOROUGH = ['1.19', '1.22', '1.27']
CORE_PATTERN = '/proc/sys/kernel/core_pattern'
DELVE_KNOWS = '1.19'  # the newest of our versions that Debian's delve knows


def heapwhy(*arguments, **options):
    return subprocess.run([corpus.HEAPWHY, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, **options)


def start(version, *cases, way='plain', program='agreement'):
    return corpus.Subject([corpus.build(version, way, program), *cases], stderr=subprocess.DEVNULL)


def dump(pid, path, *options):
    done = heapwhy('dump', pid, '-o', path, *options)
    if done.returncode:
        raise RuntimeError(f'dump {" ".join(options)}: exit {done.returncode}: {done.stderr.strip()}')
    return path


def snap(target, path):
    done = heapwhy('snap', target, '-o', path)
    if done.returncode:
        raise RuntimeError(f'snap: exit {done.returncode}: {done.stderr.strip()}')
    return path


def examined(target, *options):
    examination = corpus.Examination(target, '--json', '--top=1000', *options)
    if not examination.report:
        raise RuntimeError(f'{target}: exit {examination.status}: {examination.errors.strip()[-300:]}')
    return examination.report


def essence(report):
    """What must be the same, whichever way the bytes were obtained. The runtime's own objects, such as threads' records,
    come and go between two looks at one process."""
    def rows(name, *fields):
        return sorted(tuple(row[field] for field in fields) for row in report[name]
                      if not any('runtime.' in str(row[field]) for field in fields))
    return {
        'stripped': report['target']['stripped'],
        'live': [report['heap'][key] for key in ('live_bytes', 'live_objects', 'garbage_bytes')],
        'types': rows('types', 'type', 'objects', 'bytes'),
        'holders': rows('holders', 'name', 'kind', 'retained_bytes', 'objects'),
        'findings': sorted((row['rule'], row['bytes'], row['objects'], row['type']) for row in report['findings']),
        'agreement': [report['agreement'][key] for key in ('comparable', 'missing', 'extra', 'impossible')],
        'notes': report['notes'],
        'ledger': {row['account']: row['bytes'] for row in report['ledger']},
    }


def settled(pid):
    """What is the same twice in a row: timers of a program that has just begun to wait are still being sorted."""
    before, now = None, essence(examined(pid))
    for _ in range(10):
        before, now = now, essence(examined(pid))
        if before == now:
            break
    return now


def differences(expected, report, lacks=(), before=None):
    """What is not as expected, but for what such a file lacks: what was in memory, or the contents of objects. With
    `before`, what the process said a look earlier, its accounts may be anywhere between: pages are given back meanwhile."""
    found = essence(report)
    if 'residence' in lacks:
        expected = expected | {'ledger': {}}
    if 'contents' in lacks:
        expected, found, before = (each and without_contents(dict(each)) for each in (expected, found, before))
    if before and expected['ledger']:
        expected = expected | {'ledger': {name: min(max(found['ledger'].get(name, 0), min(was, is_now)), max(was, is_now))
                                          for name, is_now in expected['ledger'].items()
                                          for was in [before['ledger'][name]]}}
    return '; '.join(f'{key}: {differing(expected[key], found[key])}' for key in expected if expected[key] != found[key])


def without_contents(of):
    """Equal strings, how full maps without pointers are, and the types of maps that nobody else tells, contents tell.
    The last only in stripped programs."""
    def told(row):
        return 'map' not in row[0] and not row[0].startswith('untyped')
    of['findings'] = [row for row in of['findings'] if row[0] != 'duplicate-strings']
    if of['stripped']:
        others = [row[1:] for row in of['types'] if not told(row)]
        of['types'] = [row for row in of['types'] if told(row)] + [('maps, untyped', *map(sum, zip(*others)))]
        of['holders'] = sorted((re.sub(r'^global .* used by', 'global used by', name), *rest)
                               for name, *rest in of['holders'])
    if of['ledger']:
        of['ledger'] = dict(of['ledger'])
        of['ledger']['viewed'] += of['ledger'].pop('slack')
    return of


def differing(expected, found):
    if isinstance(expected, dict):
        return ', '.join(f'{key} {found.get(key)}, not {expected.get(key)}' for key in sorted({*expected, *found})
                         if expected.get(key) != found.get(key))
    if not isinstance(expected, list):
        return f'{found!r}, not {expected!r}'
    return f'{[row for row in found if row not in expected][:3]}, not {[row for row in expected if row not in found][:3]}'


def gcore(pid, folder):
    subprocess.run(['gcore', '-o', f'{folder}/gdb', str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   stdin=subprocess.DEVNULL, check=True)
    return f'{folder}/gdb.{pid}'


def delve_dump(pid, folder):
    with open(f'{folder}/delve.init', 'w') as file:
        file.write(f'dump {folder}/delve\ndetach\nexit\n')
    subprocess.run(['dlv', 'attach', str(pid), '--init', f'{folder}/delve.init', '--allow-non-terminal-interactive=true'],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60)
    return f'{folder}/delve'


@contextlib.contextmanager
def dying(folder):
    """What is started within leaves the kernel's core in the folder when it aborts."""
    limits, before = resource.getrlimit(resource.RLIMIT_CORE), os.getcwd()
    os.chdir(folder)
    os.environ['GOTRACEBACK'] = 'crash'
    os.environ['GOGC'] = 'off'  # else Go collects every two minutes, which a busy machine may take for one process
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        yield
    finally:
        os.chdir(before)
        del os.environ['GOTRACEBACK'], os.environ['GOGC']
        resource.setrlimit(resource.RLIMIT_CORE, limits)


def kernel_core(subject, folder):
    """The kernel's core of the subject, which dies of it; None where the system keeps cores to itself."""
    os.kill(subject.pid, signal.SIGABRT)
    subject.process.wait()
    found = glob.glob(f'{folder}/core*')
    return found[0] if found else None


def cores_of(subject, folder, thorough, delve):
    """(kind, path, what it lacks), each made when it is asked for and removed afterwards."""
    pid = subject.pid
    yield 'our own core', dump(pid, f'{folder}/own'), ()
    yield 'a snapshot of our own core', snap(f'{folder}/own', f'{folder}/own.hw'), ()
    yield 'our core of our core', dump(f'{folder}/own', f'{folder}/again'), ()
    yield 'our compressed core', dump(pid, f'{folder}/own', '--zstd'), ()
    yield 'our redacted core', dump(pid, f'{folder}/own', '--redact'), ('contents',)
    yield 'our core made with --stop', dump(pid, f'{folder}/own', '--stop'), ()
    if LONG or thorough:
        yield "gdb's core", gcore(pid, folder), ('residence',)  # a gigabyte, and seconds
    if delve:
        yield "delve's core", delve_dump(pid, folder), ('residence',)
    kernels = kernel_core(subject, folder)
    if not kernels:
        return
    yield "the kernel's core", kernels, ('residence',)
    subprocess.run(['gzip', '-1', kernels], check=True)
    yield "the kernel's core, compressed by gzip", f'{kernels}.gz', ('residence',)
    subprocess.run(['gzip', '-d', f'{kernels}.gz'], check=True)
    yield 'our core made from the kernel\'s', dump(kernels, f'{folder}/own'), ('residence',)


def same_report(version, way, cases, program='agreement'):
    wrong = []
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder, dying(folder), \
            start(version, *cases, way=way, program=program) as subject:
        expected = settled(subject.pid)
        if program == 'leaks' and not expected['findings']:
            return 'nothing is found in the process'
        delve = version == DELVE_KNOWS and way == 'plain' and shutil.which('dlv')
        for kind, path, lacks in cores_of(subject, folder, version in THOROUGH and way == 'plain', delve):
            report = examined(path)
            difference = differences(expected, report, lacks)
            if difference and subject.process.poll() is None:
                # The process itself may have moved on: then this is what it says now.
                now = settled(subject.pid)
                difference = differences(now, report, lacks, before=expected)
                expected = expected if difference else now
            if difference:
                wrong.append(f'{kind}: {difference}')
    return '; '.join(wrong)


def guest_core(program, cases, folder):
    """(what the program said, the core that qemu wrote of it) of a program for arm64."""
    command = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', program, *cases]
    with dying(folder), corpus.Subject(command, stderr=subprocess.DEVNULL) as subject:
        os.kill(subject.pid, signal.SIGABRT)
        subject.process.wait()
        return subject.ready, glob.glob(f'{folder}/qemu_*.core')[0]


def arm64(version, way):
    """Agreement with the collector of a program for another machine."""
    if not shutil.which('qemu-aarch64'):
        return 'SKIP no qemu-aarch64'
    if way == 'arm64-cgo' and not shutil.which('aarch64-linux-gnu-gcc'):
        return 'SKIP no aarch64-linux-gnu-gcc'
    program = corpus.build(version, way, 'agreement')
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder:
        ready, path = guest_core(program, PROGRAMS, folder)
        report = examined(path, f'--exe={program}')
        small = examined(dump(path, f'{folder}/own', f'--exe={program}'))
        found = {'arch': report['target']['arch'], 'live': report['heap']['live_bytes']} | report['agreement']
        expected = {'arch': 'arm64', 'live': ready['heap_alloc'], 'comparable': True, 'missing': 0, 'extra': 0,
                    'impossible': 0}
        wrong = {key: found[key] for key in expected if found[key] != expected[key]}
        # Which program it is the small one knows for sure.
        return str(wrong or '') or differences(essence(report) | {'notes': small['notes']}, small)


def debuggers():
    """gdb and delve find the frames of goroutine 1 in our core."""
    with tempfile.TemporaryDirectory() as folder, start(DELVE_KNOWS, 'closures') as subject:
        program = corpus.build(DELVE_KNOWS, 'plain', 'agreement')
        path = dump(subject.pid, f'{folder}/core')
        with open(f'{folder}/init', 'w') as file:
            file.write('goroutine 1\nbt\nexit\n')
        for command in (['gdb', '-q', '-batch', '-ex', 'thread apply all bt', program, path],
                        ['dlv', 'core', program, path, '--init', f'{folder}/init',
                         '--allow-non-terminal-interactive=true']):
            if not shutil.which(command[0]):
                return f'SKIP no {command[0]}'
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            for function in ('syscall.read', 'main.main'):
                if function not in done.stdout:
                    return f'{command[0]} does not show {function}: {(done.stdout + done.stderr)[-300:]}'
    return ''


def program_lost():
    """A core from elsewhere: the program is not where it was, is another one now, lies beside the core."""
    with tempfile.TemporaryDirectory() as folder:
        program = shutil.copy(corpus.build('1.26', 'plain', 'agreement'), f'{folder}/program')
        with corpus.Subject([program, 'closures'], stderr=subprocess.DEVNULL) as subject:
            expected = settled(subject.pid)
            small = dump(subject.pid, f'{folder}/small')
            whole = dump(subject.pid, f'{folder}/whole', '--with-program')
        os.makedirs(f'{folder}/beside')
        kept = shutil.move(program, f'{folder}/kept')
        refusal = heapwhy(small)
        if refusal.returncode != 3 or '--exe' not in refusal.stderr or refusal.stderr.count('\n') != 1:
            return f'without the program: exit {refusal.returncode}: {refusal.stderr}'
        wrong = differences(expected, examined(small, f'--exe={kept}'))
        if wrong:
            return f'with --exe: {wrong}'
        shutil.copy(corpus.build('1.24', 'plain', 'agreement'), program)
        for arguments in ([small], [small, f'--exe={program}']):
            refusal = heapwhy(*arguments)
            if refusal.returncode != 3 or 'not the program' not in refusal.stderr:
                return f'with another program: exit {refusal.returncode}: {refusal.stderr}'
        report = examined(whole)
        if not essence(report)['live'] == expected['live'] or not report['agreement']['comparable']:
            return f'with the program in the core: {essence(report)["live"]}, not {expected["live"]}'
        os.unlink(program)
        shutil.move(kept, f'{folder}/beside/program')
        shutil.move(small, f'{folder}/beside/small')
        expected['notes'] = ''
        return differences(expected, examined(f'{folder}/beside/small'))


def own_file():
    """Only its owner may read it; an old file of that name is replaced."""
    with tempfile.TemporaryDirectory() as folder, start('1.26', 'closures') as subject:
        with open(f'{folder}/core', 'w') as file:
            file.write('old')
        os.chmod(f'{folder}/core', 0o644)
        mode = os.stat(dump(subject.pid, f'{folder}/core')).st_mode & 0o777
        return undisturbed(subject.pid) or (f'mode {mode:o}' if mode != 0o600 else '') or left_over(folder, ['core'])


def left_over(folder, expected):
    found = sorted(os.listdir(folder))
    return '' if found == expected else f'the directory holds {found}'


def disk_full():
    with tempfile.TemporaryDirectory() as folder, start('1.26', 'maps') as subject:
        for options in ([], ['--zstd']):
            limit = 1 << 20 if not options else 1 << 16
            done = heapwhy('dump', subject.pid, '-o', f'{folder}/core', *options, restore_signals=False,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            if done.returncode != 4 or done.stderr.count('\n') != 1:
                return f'exit {done.returncode}: {done.stderr}'
            wrong = left_over(folder, []) or undisturbed(subject.pid)
            if wrong:
                return wrong
        done = heapwhy('dump', subject.pid, '-o', f'{folder}/absent/core')
        return '' if done.returncode == 4 else f'a directory that is not there: exit {done.returncode}'


def killed():
    """Killed at moments spread over the dump: no half file under the final name, the target goes on."""
    with tempfile.TemporaryDirectory() as folder, start('1.26', 'maps', 'lists', 'large') as subject:
        before = time.monotonic()
        dump(subject.pid, f'{folder}/core')
        took = time.monotonic() - before
        whole = os.stat(f'{folder}/core').st_size
        os.unlink(f'{folder}/core')
        for i in range(20):
            tool = subprocess.Popen([corpus.HEAPWHY, 'dump', str(subject.pid), '-o', f'{folder}/core'],
                                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(took * i / 20)
            tool.kill()
            tool.wait()
            if os.path.exists(f'{folder}/core'):
                if abs(os.stat(f'{folder}/core').st_size - whole) > whole / 4:
                    return f'half a file after {took * i / 20:.3f} s'
                os.unlink(f'{folder}/core')
        time.sleep(0.2)  # the keeper tidies up
        return undisturbed(subject.pid)


def written(path):
    """(start, size) of the parts of a sparse file that hold something, the last one up to its end."""
    parts, end = [], os.path.getsize(path)
    with open(path, 'rb') as file:
        at = 0
        while at < end:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but holes
                break
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            parts.append((start, at - start))
    return parts


def damage(path, copy, seed, cut_only):
    """Cut the copy off or flip bits of it, where something was written; says what it did."""
    chance = random.Random(seed)
    subprocess.run(['cp', '--sparse=always', path, copy], check=True)
    parts = written(copy)

    def place():
        start, size = chance.choices(parts, [size for _, size in parts])[0]
        return start + chance.randrange(size)

    if cut_only or seed % 2:
        # Others' tables are at the end.
        size = os.path.getsize(path)
        os.truncate(copy, size - chance.randrange(size // 50) if cut_only and seed % 2 else place())
        return 'cut off'
    with open(copy, 'r+b') as file:
        for _ in range(chance.choice([1, 8, 200])):
            at = chance.choice([chance.randrange(4096), place(), place()])
            file.seek(at)
            byte = file.read(1)[0] ^ 1 << chance.randrange(8)
            file.seek(at)
            file.write(bytes([byte]))
    return 'bits flipped'


def verdict(examination, truth):
    """(what became of a damaged file, what is wrong with that): refused in one line, as good as whole, or a report that
    counts what is missing, says no more than there was, and judges nothing."""
    if examination.status == 3 and examination.errors.count('\n') == 1:
        return 'refused', ''
    if examination.status != 0 or not examination.report:
        return '', f'exit {examination.status}: {examination.errors.strip()[-300:]}'
    report, found = examination.report, essence(examination.report)
    if found | {'notes': ''} == truth | {'notes': ''}:
        return 'whole', ''
    if not re.search(r'[0-9] ([KMG]i)?B(ytes)? .* not in the core', report['notes']):
        return '', f'a wrong total without a word: {found["live"]}, not {truth["live"]}; notes: {report["notes"]}'
    if report['findings'] or report['ledger'] or report['agreement']['comparable']:
        return '', 'judges what it has seen a part of'
    # Garbage is not told apart then, and a type may be lost.
    if any(part > whole for part, whole in zip(found['live'], truth['live'])):
        return '', f'more than there was: {found["live"]}, not {truth["live"]}'
    return 'with gaps counted', ''


def damaged(make, cut_only=False, count=200):
    """Cut off or with wrong bits."""
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder, dying(folder):
        with start('1.24', 'closures', way='stripped') as subject:
            path = make(subject, folder)
            if not path:
                return 'SKIP the system keeps cores to itself'
        truth = essence(examined(path))

        def examine(seed):
            copy = f'{folder}/damaged-{seed}'
            how = damage(path, copy, seed, cut_only)
            outcome, wrong = verdict(corpus.Examination(copy, '--json', seconds=60), truth)
            os.unlink(copy)
            return outcome, f'seed {seed}, {how}: {wrong}' if wrong else ''

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(examine, range(5 * count if LONG else count)))
    print('# ' + ', '.join(f'{number} {name or "wrong"}' for name, number in
                           sorted(collections.Counter(outcome for outcome, _ in outcomes).items())))
    return next((wrong for _, wrong in outcomes if wrong), '')


def snapshot_paths():
    """The same paths from a core and from its snapshot, by type and by address."""
    with tempfile.TemporaryDirectory() as folder:
        with start('1.26', 'maps', 'lists') as subject:
            core = dump(subject.pid, f'{folder}/core')
        file = snap(core, f'{folder}/core.hw')
        for kind in [row['type'] for row in examined(core)['types'] if row['type'].startswith('main.')][:5]:
            expected, found = (json.loads(heapwhy('paths', target, kind, '--json').stdout) for target in (core, file))
            # Which of several equals comes first is nobody's business.
            for key in ('objects', 'retained_bytes'):
                if expected[key] != found[key]:
                    return f'{kind}: {key} {found[key]}, not {expected[key]}'
            sizes = [[path['retained_bytes'] for path in paths['paths']] for paths in (expected, found)]
            if sizes[0] != sizes[1]:
                return f'{kind}: retained {sizes[1]}, not {sizes[0]}'
            address = hex(expected['paths'][0]['address'])
            if heapwhy('paths', core, address).stdout != heapwhy('paths', file, address).stdout:
                return f'{kind} at {address}: another path'
    return ''


def handler():
    """As the kernel would run it: a core by a pipe, the limits, what is no Go program."""
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder, dying(folder):
        with start('1.26', 'closures') as subject:
            core = kernel_core(subject, folder)
        if not core:
            return 'SKIP the system keeps cores to itself'
        command = [corpus.HEAPWHY, 'core-handler', '-d', f'{folder}/kept', '--keep=2']
        with open(core, 'rb') as file:
            content = file.read()
        for pid in (101, 102, 103):
            done = subprocess.run([*command, f'--pid={pid}'], input=content, capture_output=True, timeout=120)
            if done.returncode:
                return f'exit {done.returncode}: {done.stderr}'
            for name in os.listdir(f'{folder}/kept'):
                if f'-{pid}-' in name:
                    os.utime(f'{folder}/kept/{name}', (pid, pid))
        kept = sorted(os.listdir(f'{folder}/kept'))
        if [name.split('-')[1] for name in kept] != ['102', '102', '103', '103']:
            return f'keeps {kept}'
        wrong = differences(essence(examined(core)), examined(f'{folder}/kept/{kept[0]}'))
        if wrong:
            return wrong
        with open(f'{folder}/kept/{kept[1]}') as file:
            if 'Who holds it' not in file.read():
                return 'the report says nothing'
        for options, words, status in (([], b'hello' * 1000, 3), (['--max-bytes=64K'], content, 3)):
            done = subprocess.run([*command, *options], input=words, capture_output=True, timeout=120)
            if done.returncode != status or sorted(os.listdir(f'{folder}/kept')) != kept:
                return f'{options}: exit {done.returncode}: {done.stderr}'
        late = subprocess.Popen([*command, '--timeout=1'], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        status = late.wait(60)
        late.stdin.close()
        return '' if status == -signal.SIGALRM else f'a core that does not come: exit {status}'


@contextlib.contextmanager
def handling(command):
    """The kernel hands cores to the command meanwhile. What was set before comes back however this ends: a process of its
    own waits for our end, and keeps others from doing the same at the same time."""
    with open(CORE_PATTERN) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = file.read().strip()
        guard = subprocess.Popen(['sh', '-c', f'cat; echo "$1" > {CORE_PATTERN}', 'guard', before], stdin=subprocess.PIPE,
                                 start_new_session=True, pass_fds=[file.fileno()])
    try:
        with open(CORE_PATTERN, 'w') as file:
            file.write(command)
        yield
    finally:
        guard.stdin.close()
        guard.wait()


def last_child(pid):
    """The one at the end of a chain of processes that have one child each."""
    while True:
        with open(f'/proc/{pid}/task/{pid}/children') as file:
            children = file.read().split()
        if not children:
            return pid
        pid = int(children[0])


def installed(container):
    """As the kernel itself runs it when a program dies, also one that nobody outside its container sees."""
    if not os.access(CORE_PATTERN, os.W_OK):
        return f'SKIP {CORE_PATTERN} is not ours to set'
    program = corpus.build('1.26', 'plain', 'agreement')
    command = [program, 'closures']
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder, dying(folder):
        if container:
            inside = ['unshare', '--fork', '--pid', '--mount', '--mount-proc']
            if subprocess.run([*inside, 'true'], stderr=subprocess.DEVNULL).returncode:
                return 'SKIP namespaces are not to be had'
            os.mkdir(f'{folder}/inside')
            script = 'mount -t tmpfs none "$0" && cp "$1" "$0/program" && "$0/program" closures; true'
            command = [*inside, 'sh', '-c', script, f'{folder}/inside', program]
        os.symlink(os.path.abspath(corpus.HEAPWHY), f'{folder}/heapwhy')  # the kernel takes 127 characters
        with corpus.Subject(command, stderr=subprocess.DEVNULL) as subject, \
                handling(f'|{folder}/heapwhy core-handler -d {folder}/kept --pid=%P'):
            pid = last_child(subject.pid)
            expected = essence(examined(pid))
            os.kill(pid, signal.SIGABRT)
            subject.process.wait()
            for _ in range(600):
                text = glob.glob(f'{folder}/kept/*-{pid}-*.txt')
                if text:
                    break
                time.sleep(0.1)
        if not text:
            return f'no report: {os.listdir(folder)}'
        core = text[0].removesuffix('.txt') + '.core.zst'
        with open(text[0]) as file:
            if 'with debug information' not in file.read():
                return 'the report does without the program'
        found = essence(examined(core))
        return '' if found['live'] == expected['live'] else f'{found["live"]}, not {expected["live"]}'


def not_cores():
    with tempfile.TemporaryDirectory() as folder:
        program = corpus.build('1.26', 'plain', 'agreement')
        with open(f'{folder}/garbage.zst', 'wb') as file:
            file.write(b'\x28\xb5\x2f\xfd' + random.Random(1).randbytes(10000))
        with open(f'{folder}/garbage.gz', 'wb') as file:
            file.write(b'\x1f\x8b\x08\x00' + random.Random(1).randbytes(10000))
        for path, words in ((program, 'is a program'), (f'{folder}/garbage.zst', ''), (f'{folder}/garbage.gz', '')):
            refusal = heapwhy(path)
            if refusal.returncode != 3 or refusal.stderr.count('\n') != 1 or words not in refusal.stderr:
                return f'{path}: exit {refusal.returncode}: {refusal.stderr}'
    return ''


def tests():
    for version in corpus.versions():
        for cases in [[case] for case in PROGRAMS] if LONG else [PROGRAMS]:
            yield f'go {version}, {" ".join(cases) if LONG else "ten programs"}: each core says what the process said', \
                lambda version=version, cases=cases: same_report(version, 'plain', cases)
    for i, version in enumerate(corpus.versions()):
        for case in LEAKS if LONG and version in THOROUGH else [LEAKS[i % len(LEAKS)]]:
            yield f'go {version}, {case}: each core finds what was found in the process', \
                lambda version=version, case=case: same_report(version, 'plain', [case], 'leaks')
    for way in ('stripped', 'pie', 'cgo'):
        yield f'go 1.26 {way}: each core says what the process said', lambda way=way: same_report('1.26', way, PROGRAMS)
    for version in corpus.versions() if LONG else ('1.22', '1.24', '1.26', '1.27'):
        yield f'go {version} for arm64: agreement with the collector', lambda version=version: arm64(version, 'arm64')
    for version, way in [('1.26', 'arm64-stripped'), ('1.24', 'arm64-pie')] + LONG * [('1.26', 'arm64-cgo')]:
        yield f'go {version} {way}: agreement with the collector', lambda version=version, way=way: arm64(version, way)
    yield 'gdb and delve show the frames of goroutine 1', debuggers
    yield 'a program that is elsewhere, or another', program_lost
    yield 'the file is its owner\'s', own_file
    yield 'a full disk: exit 4, nothing left', disk_full
    yield 'killed half-way: nothing left', killed
    yield '200 cut off and damaged cores', lambda: damaged(lambda subject, folder: dump(subject.pid, f'{folder}/own'))
    yield '200 cut off and damaged cores, compressed', \
        lambda: damaged(lambda subject, folder: dump(subject.pid, f'{folder}/own', '--zstd'))
    yield '200 cut off and damaged snapshots', lambda: damaged(lambda subject, folder: snap(subject.pid, f'{folder}/own.hw'))
    yield 'cut off cores of the kernel', lambda: damaged(kernel_core, True, 40)
    yield 'paths in a snapshot', snapshot_paths
    yield 'as the kernel\'s handler of cores', handler
    yield 'as the handler of a dying program', lambda: installed(False)
    yield 'as the handler of a program that dies in a container', lambda: installed(True)
    yield 'files that are no cores', not_cores


def main():
    failed = 0
    for name, test in tests():
        try:
            wrong = test()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            wrong = str(error)
        if wrong.startswith('SKIP'):
            print(f'ok - {name} # {wrong}')
        else:
            failed += bool(wrong)
            print(f'not ok - {name}: {wrong}' if wrong else f'ok - {name}')
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
