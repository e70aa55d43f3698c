"""Go programs of the corpus as subjects of tests: build them, start them, examine them, stop them."""
import concurrent.futures
import json
import os
import select
import subprocess
import sys
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
MIB = 1 << 20
HEAPWHY = os.environ.get('HEAPWHY', os.path.join(TOP, 'build', 'heapwhy'))


def versions():
    """The Go versions there are toolchains for, as in "1.26"; missing ones are fetched."""
    lines = subprocess.check_output([os.path.join(TOP, 'scripts', 'go-toolchains.sh')], text=True)
    return [line.split()[0] for line in lines.splitlines()]


def full_version(version):
    """What a program built with this toolchain says of itself, as in "go1.26.11"."""
    root = subprocess.check_output([os.path.join(TOP, 'scripts', 'go-toolchains.sh'), version], text=True).split()[1]
    with open(os.path.join(root, 'VERSION')) as file:
        return file.readline().strip()


def build(version, variant, program):
    """The path of corpus/PROGRAM built with that toolchain, that way (scripts/go-build.sh)."""
    command = [os.path.join(TOP, 'scripts', 'go-build.sh'), version, variant, os.path.join(TOP, 'corpus', program)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f'{program} does not build with go {version} {variant}: {done.stderr.strip()[-500:]}')
    return done.stdout.strip()


def lines(program):
    """The lines of corpus/PROGRAM/expected.txt, without comments."""
    with open(os.path.join(TOP, 'corpus', program, 'expected.txt')) as file:
        return [line for line in file if line.strip() and not line.startswith('#')]


def describe(findings):
    return ', '.join(f'{f["rule"]} {f["bytes"] / MIB:.2f} MiB of {f["type"] or "?"}' for f in findings) or 'nothing'


def run_cell(version, way, program_name, names, run):
    """Has cases judged of a program built with that version, that way; prints what is wrong. Returns how many fail.

    run(program, case) returns what is wrong with it, a sentence each.
    """
    label = f'{program_name} go {version} {way}'

    def attempt(program, case):
        try:
            return run(program, case)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            return [f'{type(error).__name__}: {error}']

    try:
        program = build(version, way, program_name)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(zip(names, pool.map(lambda case: attempt(program, case), names)))
    except (RuntimeError, OSError) as error:
        results = [('build', [str(error)])]
    bad = [(case, wrong) for case, wrong in results if wrong]
    for case, wrong in bad:
        print(f'not ok - {label} {case}: {"; ".join(wrong)}')
    if not bad:
        print(f'ok - {label}: {len(results)} cases, nothing missed, no false alarm')
    sys.stdout.flush()
    return len(bad)


class Subject:
    """A running program that says "ready key=value ..." when it may be examined, and ends with its standard input.

    with Subject([path, 'all']) as subject:
        subject.ready['heap_alloc']
    """

    def __init__(self, command, seconds=60, stderr=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0)
        self.pid = self.process.pid
        try:
            self.ready = self.values(self.read_line(seconds))
        except Exception:
            self.stop()
            raise

    def read_line(self, seconds=60):
        line, deadline = b'', time.monotonic() + seconds
        while not line.endswith(b'\n'):
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise RuntimeError(f'not ready after {seconds} s')
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                raise RuntimeError(f'ended with {self.process.wait()} before it was ready')
            line += byte
        return line.decode()

    @staticmethod
    def values(line):
        time.sleep(0.05)  # it says that it is ready a moment before it blocks
        return {key: int(value) for key, value in (word.split('=') for word in line.split()[1:])}

    def collect(self):
        """Tell the program to collect, and wait until it is ready again."""
        self.process.stdin.write(b'\n')
        line = self.read_line()
        while not line.startswith('ready'):
            line = self.read_line()
        self.ready = self.values(line)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Examination:
    """One run of heapwhy: .status, .output, .errors, .seconds, and .report, the JSON if there is one."""

    def __init__(self, *arguments, seconds=120):
        start = time.monotonic()
        try:
            done = subprocess.run([HEAPWHY, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=seconds)
            self.status, output, errors = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as expired:
            self.status, output, errors = f'more than {seconds} s', expired.stdout or b'', expired.stderr or b''
        self.seconds = time.monotonic() - start
        self.output, self.errors = output.decode(errors='replace'), errors.decode(errors='replace')
        try:
            self.report = json.loads(self.output)
        except ValueError:
            self.report = None
