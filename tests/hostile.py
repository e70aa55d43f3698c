#!/usr/bin/env python3
"""Targets that heapwhy cannot examine, or only with luck: it says so in one sentence, exits with 3, and leaves them
as they were. TAP.

HEAPWHY names the executable to test (build/heapwhy), such as the one built for the sanitizers.
"""
import ctypes
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import corpus

PTRACE_SEIZE = 0x4206
NOBODY = 65534


def refused(examination):
    """What is wrong with the way heapwhy refused a target; '' when nothing is."""
    lines = examination.errors.splitlines()
    if examination.status != 3:
        return f'exit {examination.status}, not 3: {" / ".join(lines[-3:])[-300:]}'
    if len(lines) != 1:
        return f'{len(lines)} lines on standard error, not one: {" / ".join(lines[:4])[:300]}'
    if examination.output:
        return 'wrote to standard output'
    return ''


def answered(examination):
    """What is wrong when heapwhy was free to succeed or to refuse."""
    if examination.status == 0:
        return '' if examination.report else 'exit 0 without a report'
    return refused(examination)


def process_state(pid):
    with open(f'/proc/{pid}/status') as file:
        fields = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
    return fields['State'][0], int(fields['TracerPid'])


def undisturbed(pid, states='SR'):
    state, tracer = process_state(pid)
    if tracer:
        return 'somebody still traces the target'
    if state not in states:
        return f'the target is in state {state}'
    with open(f'/proc/{pid}/task/{pid}/children') as file:
        return 'the target has a stray child' if file.read().strip() else ''


def start_go(*cases, version='1.26', way='plain'):
    return corpus.Subject([corpus.build(version, way, 'agreement'), *cases])


def no_such_process():
    gone = subprocess.Popen(['true'])
    gone.wait()
    return refused(corpus.Examination(gone.pid, '--json'))


def not_go():
    sleeper = subprocess.Popen(['sleep', '100'])
    try:
        return refused(corpus.Examination(sleeper.pid, '--json')) or undisturbed(sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


def zombie():
    dead = subprocess.Popen(['true'])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    try:
        return refused(corpus.Examination(dead.pid, '--json'))
    finally:
        dead.wait()


def kernel_thread():
    threads = [pid for pid in os.listdir('/proc') if pid.isdigit() and is_kernel_thread(pid)]
    if not threads:
        return 'SKIP no kernel thread to be seen here'
    return refused(corpus.Examination(threads[0], '--json'))


def is_kernel_thread(pid):
    try:
        os.readlink(f'/proc/{pid}/exe')
        return False
    except FileNotFoundError:
        return True
    except OSError:
        return False


def permission_denied():
    if os.getuid() != 0:
        return refused(corpus.Examination(1, '--json'))
    with start_go('closures') as subject, tempfile.TemporaryDirectory() as folder:
        # As nobody, from a place that nobody may read.
        os.chmod(folder, 0o755)
        tool = shutil.copy(corpus.HEAPWHY, folder)
        os.chmod(tool, 0o755)
        done = subprocess.run([tool, str(subject.pid), '--json'], user=NOBODY, group=NOBODY, extra_groups=[],
                              cwd='/', stdin=subprocess.DEVNULL, capture_output=True, text=True)
        examination = corpus.Examination('help')
        examination.status, examination.output, examination.errors = done.returncode, done.stdout, done.stderr
        return refused(examination) or undisturbed(subject.pid)


def traced_by_another():
    libc = ctypes.CDLL(None, use_errno=True)
    with start_go('closures') as subject:
        # A process of its own: its end ends the tracing.
        reader, writer = os.pipe()
        tracer = os.fork()
        if tracer == 0:
            refusals = [libc.ptrace(PTRACE_SEIZE, int(task), None, None)
                        for task in os.listdir(f'/proc/{subject.pid}/task')]
            os.write(writer, b'n' if any(refusals) else b'y')
            time.sleep(600)
            os._exit(0)
        try:
            if os.read(reader, 1) != b'y':
                return 'SKIP ptrace is not allowed here'
            return refused(corpus.Examination(subject.pid, '--json'))
        finally:
            os.kill(tracer, signal.SIGKILL)
            os.waitpid(tracer, 0)
            os.close(reader)
            os.close(writer)


def stopped_target():
    """A stopped process can be examined, and stays stopped."""
    with start_go('closures') as subject:
        os.kill(subject.pid, signal.SIGSTOP)
        time.sleep(0.1)
        examination = corpus.Examination(subject.pid, '--json')
        wrong = answered(examination) or undisturbed(subject.pid, 'T')
        os.kill(subject.pid, signal.SIGCONT)
        return wrong or ('' if examination.status == 0 else 'refused: ' + examination.errors.strip())


def exits_during_capture():
    """Killed at moments spread over the whole examination."""
    with start_go('closures') as subject:
        typical = corpus.Examination(subject.pid, '--json').seconds
    for i in range(30):
        subject = start_go('closures')
        tool = subprocess.Popen([corpus.HEAPWHY, str(subject.pid), '--json'], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(typical * i / 30)
        subject.process.kill()
        try:
            output, errors = tool.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            tool.kill()
            return f'hangs when the target is killed after {typical * i / 30 * 1000:.0f} ms'
        finally:
            subject.stop()
        examination = corpus.Examination('help')
        examination.status, examination.output, examination.errors = tool.returncode, output, errors
        examination.report = output.startswith('{') or None
        wrong = answered(examination)
        if wrong:
            return f'killed after {typical * i / 30 * 1000:.0f} ms: {wrong}'
    return ''


def writable_mappings(pid):
    """(start, end, whether it holds the program's variables) of the private mappings, main's stack aside."""
    found, variables_end = [], 0
    with open(f'/proc/{pid}/maps') as file:
        for line in file:
            match = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)', line)
            start, end = int(match[1], 16), int(match[2], 16)
            # .bss has no file behind it: it follows .data at once.
            variables = match[4].endswith('/agreement') or (start == variables_end and not match[4])
            if variables:
                variables_end = end
            if match[3] == 'rw-p' and match[4] != '[stack]':
                found.append((start, end, variables))
    return found


def garble(pid, change):
    """Let change(address, bytes, whether variables) say what becomes of each resident page."""
    memory = os.open(f'/proc/{pid}/mem', os.O_RDWR)
    pagemap = os.open(f'/proc/{pid}/pagemap', os.O_RDONLY)
    try:
        for start, end, variables in writable_mappings(pid):
            entries = os.pread(pagemap, (end - start) // 512, start // 512)
            for page in range(start, end, 4096):
                if not entries[(page - start) // 512 + 7] & 0x80:
                    continue
                old = os.pread(memory, 4096, page)
                new = change(page, old, variables)
                if new != old:
                    os.pwrite(memory, new, page)
    finally:
        os.close(memory)
        os.close(pagemap)


def garbled(change, judge):
    """A Go program whose memory was changed. It stays stopped: its own threads would fall over at once."""
    with start_go('closures', 'maps') as subject:
        os.kill(subject.pid, signal.SIGSTOP)
        time.sleep(0.05)
        garble(subject.pid, change)
        examination = corpus.Examination(subject.pid, '--json')
        subject.process.kill()
        return judge(examination)


def wiped_variables():
    return garbled(lambda page, old, variables: bytes(4096) if variables else old, refused)


def random_variables():
    chance = random.Random(1)
    return garbled(lambda page, old, variables: chance.randbytes(4096) if variables else old, refused)


def random_everything():
    chance = random.Random(2)
    return garbled(lambda page, old, variables: chance.randbytes(4096), refused)


def scattered_damage():
    """A few words in a hundred are wrong: pointers to nowhere, lengths beyond reason."""
    for seed in range(20):
        chance = random.Random(seed)
        share = chance.choice([0.0005, 0.005, 0.05])

        def change(page, old, variables):
            words = [old[i:i + 8] for i in range(0, len(old), 8)]
            for i in range(len(words)):
                if chance.random() < share:
                    words[i] = chance.choice([b'\xff' * 8, b'\0' * 8, chance.randbytes(8), chance.choice(words),
                                              (page + 8 * chance.randrange(512)).to_bytes(8, 'little')])
            return b''.join(words)

        wrong = garbled(change, answered)
        if wrong:
            return f'seed {seed}: {wrong}'
    return ''


def bad_file(name, content):
    def test():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, name)
            with open(path, 'wb') as file:
                file.write(content)
            return refused(corpus.Examination(path, '--json'))
    return test


def directory():
    return refused(corpus.Examination('/tmp', '--json'))


def memory_group():
    """A new memory control group (version 1 or 2) and the name of its limit's file, or None."""
    for parent, limit in (('/sys/fs/cgroup/memory', 'memory.limit_in_bytes'), ('/sys/fs/cgroup', 'memory.max')):
        path = os.path.join(parent, f'heapwhy-test-{os.getpid()}')
        try:
            os.mkdir(path)
        except OSError:
            continue
        if os.path.exists(os.path.join(path, limit)):
            return path, limit
        os.rmdir(path)
    return None


def pages_read(pid):
    """How often its threads have waited for a page of a file."""
    count = 0
    for stat in glob.glob(f'/proc/{pid}/task/*/stat'):
        with open(stat) as file:
            count += int(file.read().rsplit(')', 1)[1].split()[9])
    return count


def is_thrashing(pid):
    """At its limit the kernel may, instead of killing, drop the program's own code and read it again, for minutes."""
    before = pages_read(pid)
    time.sleep(1)
    return pages_read(pid) - before > 10


def out_of_memory():
    """Killed by the kernel for want of memory, at moments spread by how much it was allowed."""
    group = memory_group()
    if not group:
        return 'SKIP no control group for memory can be made here'
    path, limit = group

    def join():
        with open(os.path.join(path, 'cgroup.procs'), 'w') as file:
            file.write(str(os.getpid()))

    killed = 0
    try:
        with start_go('closures', 'lists', 'maps') as subject:
            for mebibytes in (2, 4, 8, 12, 16, 24):
                with open(os.path.join(path, limit), 'w') as file:
                    file.write(str(mebibytes << 20))
                tool = subprocess.Popen([corpus.HEAPWHY, str(subject.pid), '--json'], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=join)
                try:
                    status = tool.wait(20)
                except subprocess.TimeoutExpired:
                    thrashing = is_thrashing(tool.pid)
                    tool.kill()
                    status = tool.wait()
                    if not thrashing:
                        return f'hangs with {mebibytes} MiB'
                killed += status == -signal.SIGKILL
                time.sleep(0.2)
                wrong = undisturbed(subject.pid)
                if wrong:
                    return f'with {mebibytes} MiB (status {status}): {wrong}'
            examination = corpus.Examination(subject.pid, '--json')
            if examination.status != 0:
                return 'afterwards the target cannot be examined: ' + examination.errors.strip()
    finally:
        for _ in range(50):
            try:
                os.rmdir(path)
                break
            except OSError:
                time.sleep(0.1)
    return '' if killed else 'never killed'


TESTS = [
    ('no such process', no_such_process),
    ('a process that is not Go', not_go),
    ('a process that ended and was not waited for', zombie),
    ('a kernel thread', kernel_thread),
    ('a process of somebody else', permission_denied),
    ('a process that somebody else traces', traced_by_another),
    ('a stopped process', stopped_target),
    ('a process that is killed meanwhile', exits_during_capture),
    ('heapwhy itself is killed for want of memory', out_of_memory),
    ('a runtime whose variables are zero', wiped_variables),
    ('a runtime whose variables are random', random_variables),
    ('random bytes everywhere', random_everything),
    ('wrong words here and there', scattered_damage),
    ('a file that does not exist', lambda: refused(corpus.Examination('/nonexistent/core', '--json'))),
    ('a directory', directory),
    ('an empty file', bad_file('core', b'')),
    ('a text file', bad_file('core', b'hello\n' * 100)),
    ('a core file cut off in its header', bad_file('core', b'\x7fELF\x02\x01\x01' + bytes(20))),
]


def main():
    failed = 0
    for name, test in TESTS:
        try:
            wrong = test()
        except RuntimeError as error:
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
