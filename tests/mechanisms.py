#!/usr/bin/env python3
"""Do the mechanisms that no ordinary build has agree with the collector too?

    tests/mechanisms.py

User arenas and green tea switched the other way (GOEXPERIMENT), plugins, which are modules of their own, and Go in a C
program, linked with it or loaded later; and variables with initial values as the C linker lays them out, stripped. TAP; a line
holds when heapwhy exits with 0, misses and adds no object, and calls as many bytes alive as runtime.MemStats.HeapAlloc.
"""
import os
import subprocess
import sys
import tempfile

import corpus

AGREEMENT = ['-all,unique']  # the unique package keeps weak values alive by looking at them (docs/agreement.md)

CELLS = [
    # version, GOEXPERIMENT, program, arguments
    ('1.21', 'arenas', 'arenas', []),
    ('1.23', 'arenas', 'arenas', []),
    ('1.27', 'arenas', 'arenas', []),
    ('1.25', 'greenteagc', 'agreement', AGREEMENT),
    ('1.27', 'nogreenteagc', 'agreement', AGREEMENT),
    ('1.21', '', 'plugin', []),
    ('1.27', '', 'plugin', []),
    ('1.19', '', 'library', []),
    ('1.27', '', 'library', []),
    ('1.19', '', 'shared', []),
    ('1.26', '', 'shared', []),
    ('1.19', '', 'tables', []),
]

TYPED_LEAST = {'tables': 0.99}  # of the objects


def go_root(version):
    listed = subprocess.check_output([os.path.join(corpus.TOP, 'scripts', 'go-toolchains.sh'), version], text=True)
    return listed.split()[1]


def build(version, experiment, program, directory):
    cache = os.environ.get('HEAPWHY_CACHE') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'heapwhy')
    environment = dict(os.environ, GOEXPERIMENT=experiment, GO111MODULE='on', GOFLAGS='-mod=mod', GOPROXY='off',
                       GOTOOLCHAIN='local', GOCACHE=os.path.join(cache, 'gocache'),
                       CGO_ENABLED='1' if program in ('plugin', 'library', 'shared', 'tables') else '0')
    path = os.path.join(directory, program)
    go = os.path.join(go_root(version), 'bin', 'go')
    source = os.path.join(corpus.TOP, 'corpus', 'library' if program == 'shared' else program)
    if program == 'shared':
        subprocess.run([go, 'build', '-buildmode=c-shared', '-o', path + '.so', '.'], cwd=source, env=environment, check=True)
        subprocess.run(['cc', '-DSHARED', '-o', path, 'host/main.c'], cwd=source, check=True)
        return path
    if program == 'library':
        subprocess.run([go, 'build', '-buildmode=c-archive', '-o', path + '.a', '.'], cwd=source, env=environment,
                       check=True)
        subprocess.run(['cc', '-I', directory, '-o', path, 'host/main.c', path + '.a', '-lpthread'], cwd=source, check=True)
        return path
    flags = ['-ldflags=-s -w -linkmode=external'] if program == 'tables' else []
    subprocess.run([go, 'build', *flags, '-o', path, '.'], cwd=source, env=environment, check=True)
    if program == 'plugin':
        subprocess.run([go, 'build', '-buildmode=plugin', '-o', path + '.so', './plugged'], cwd=source, env=environment,
                       check=True)
    return path


def differences(examination, ready, typed_least):
    if examination.status != 0 or not examination.report:
        return [f'exit {examination.status}: {examination.errors.strip()[-200:]}']
    agreement = examination.report['agreement']
    wrong = [f'{agreement[count]} {count}' for count in ('missing', 'extra', 'impossible') if agreement[count]]
    if not agreement['comparable']:
        wrong.append('not comparable')
    if wrong and agreement['why']:
        wrong.append(agreement['why'])
    heap = examination.report['heap']
    if heap['live_bytes'] != ready['heap_alloc']:
        wrong.append(f'live_bytes {heap["live_bytes"]}, not {ready["heap_alloc"]}')
    if heap['typed_objects'] < typed_least * heap['live_objects']:
        wrong.append(f'{heap["typed_objects"]} of {heap["live_objects"]} objects typed')
    return wrong


def run_cell(version, experiment, program, arguments):
    with tempfile.TemporaryDirectory() as directory:
        path = build(version, experiment, program, directory)
        arguments = [path + '.so'] if program == 'shared' else arguments
        with corpus.Subject([path] + arguments) as subject:
            examination = corpus.Examination(subject.pid, '--json')
            return differences(examination, subject.ready, TYPED_LEAST.get(program, 0))


def main():
    failed = False
    for version, experiment, program, arguments in CELLS:
        name = f'go {version} {experiment or "plain"} {program}'
        try:
            wrong = run_cell(version, experiment, program, arguments)
        except (RuntimeError, OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
            wrong = [f'{type(error).__name__}: {error}']
        print(f'not ok - {name}: {"; ".join(wrong)}' if wrong else f'ok - {name}', flush=True)
        failed = failed or bool(wrong)
    return failed


if __name__ == '__main__':
    sys.exit(main())
