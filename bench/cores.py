"""The size of cores, and how long the process stands still for them, as ratios: ours, gdb's gcore's, the kernel's."""
import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time

MIB = 1 << 20


def disk_bytes(path):
    return os.stat(path).st_blocks * 512


def seconds_stopped(pid, command):
    """How long the process is in a tracing stop while the command runs, looked at every half millisecond."""
    done, stopped = threading.Event(), [0.0]

    def watch():
        with open(f'/proc/{pid}/stat', 'rb') as file:
            last = time.monotonic()
            while not done.is_set():
                file.seek(0)
                state = file.read().rsplit(b')', 1)[1].split()[0]
                now = time.monotonic()
                stopped[0] += (now - last) * (state == b't')
                last = now
                time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    done.set()
    watcher.join()
    return stopped[0]


def run(heapwhy, program, arguments):
    """One process, every kind of core of it. Returns the figures, and the kernel's core's size if there is one."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder:
        process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder,
            env=os.environ | {'GOTRACEBACK': 'crash'},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1])))
        try:
            process.stdout.readline()
            pid = process.pid
            subprocess.run([heapwhy, 'dump', str(pid), '-o', f'{folder}/own'], check=True)
            subprocess.run([heapwhy, 'dump', str(pid), '-o', f'{folder}/packed', '--zstd'], check=True)
            report = json.loads(subprocess.check_output([heapwhy, f'{folder}/own', '--json']))
            figures = {
                'live': report['heap']['live_bytes'],
                'in_use': report['memstats']['HeapInuse'],
                'own': disk_bytes(f'{folder}/own'),
                'packed': disk_bytes(f'{folder}/packed'),
                'pause': report['capture']['pause_ns'] / 1e9,
            }
            if shutil.which('gcore'):
                figures['gcore_pause'] = seconds_stopped(pid, ['gcore', '-o', f'{folder}/gdb', str(pid)])
                figures['gcore'] = disk_bytes(f'{folder}/gdb.{pid}')
            process.send_signal(signal.SIGABRT)
            process.wait()
            kernels = glob.glob(f'{folder}/core*')
            if kernels:
                figures['kernel'] = disk_bytes(kernels[0])
            return figures
        finally:
            process.kill()
            process.wait()


def show(figures):
    print(f"\ncores: {figures['live'] / MIB:,.0f} MiB live, {figures['in_use'] / MIB:,.0f} MiB in spans in use")
    for key, name in (('own', 'our core'), ('packed', 'our core, compressed'), ('gcore', "gdb's gcore"),
                      ('kernel', "the kernel's core")):
        if key in figures:
            print(f"  {name:24}  {figures[key] / MIB:9.1f} MiB  {figures[key] / figures['in_use']:6.2f} x spans in use")
    print(f"  {'our pause':24}  {figures['pause'] * 1000:9.1f} ms")
    small = figures['own'] <= 1.2 * figures['in_use']
    print(f"  goal: size <= 1.2 x spans in use -> {'met' if small else 'NOT met'}")
    if 'gcore_pause' in figures:
        ratio = figures['gcore_pause'] / figures['pause']
        print(f"  {'gcore: pause':24}  {figures['gcore_pause'] * 1000:9.1f} ms  {ratio:6.0f} x ours")
        print(f"  goal: gcore's pause >= 100 x ours -> {'met' if ratio >= 100 else 'NOT met'}")
