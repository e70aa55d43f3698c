#!/usr/bin/env python3
"""Point heapwhy at Go programs that nobody here wrote, while they work.

    tests/real/real.py [--heapwhy build/heapwhy] [--save docs/examples] [--list] [NAME...]

Debian's prometheus, caddy, syncthing and rclone, and npm's TypeScript compiler and esbuild are fetched into the cache
by name, started with a small configuration in a network namespace of their own (loopback only) and put under load; then
one report is taken as text and one as JSON. Each report must be sensible: exit 0, a live heap, an agreement that is
either exact or says why it cannot be compared, and most bytes typed. --save writes the text into a folder, which is
how docs/examples came to be.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

CACHE = pathlib.Path(os.environ.get("HEAPWHY_CACHE")
                     or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "heapwhy")


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options).stdout


def debian(package):
    """Unpacks a Debian package into the cache, without installing it."""
    folder = CACHE / "real" / package
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run("apt-get", "download", package, cwd=folder)
        run("dpkg", "-x", next(folder.glob("*.deb")), folder)
        (folder / ".complete").touch()
    return folder / "usr/bin" / package


def npm(package, path):
    """Unpacks an npm package into the cache."""
    folder = CACHE / "real" / re.sub(r"\W", "-", package)
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run("npm", "pack", "--silent", package, cwd=folder)
        run("tar", "-xzf", next(folder.glob("*.tgz")), cwd=folder)
        (folder / ".complete").touch()
    return folder / "package" / path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def wait_for(url, seconds=60):
    for _ in range(seconds * 10):
        try:
            return get(url)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


def hammer(urls, seconds):
    """Requests the addresses in turn from eight threads for some seconds."""
    end = time.monotonic() + seconds

    def client(first):
        done = 0
        while time.monotonic() < end:
            get(urls[(first + done) % len(urls)])
            done += 1
        return done

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return sum(pool.map(client, range(8)))


def typescript_project(folder, files):
    """A project whose files import one another, with enough types to keep a checker busy."""
    write(folder / "tsconfig.json", json.dumps(
        {"compilerOptions": {"strict": True, "noEmit": True, "target": "es2022", "module": "esnext",
                             "moduleResolution": "bundler"}, "include": ["src"]}))
    for i in range(files):
        fields = "\n".join(f"  field{k}: Box{(i * 7 + k) % files}<string> | number | undefined;" for k in range(20))
        imports = "\n".join(f'import {{ Box{j} }} from "./m{j}";' for j in sorted({(i * 7 + k) % files for k in range(20)}) if j != i)
        functions = "\n".join(
            f"export function f{i}_{k}<T extends keyof Record{i}>(r: Record{i}, key: T): Record{i}[T] | undefined {{\n"
            f"  const found = Object.entries(r).map(([name, value]) => ({{ name, value, at: {k} }})).find(e => e.name === key);\n"
            f"  return found === undefined ? undefined : r[key];\n}}" for k in range(20))
        write(folder / f"src/m{i}.ts",
              f"{imports}\nexport interface Box{i}<T> {{ value: T; next?: Box{i}<T>; }}\n"
              f"export interface Record{i} {{\n{fields}\n}}\n{functions}\n")


def start_prometheus(home):
    jobs = "\n".join(f"  - job_name: self{i}\n    static_configs: [{{targets: ['127.0.0.1:9090']}}]" for i in range(40))
    write(home / "prometheus.yml", f"global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}\n")
    yield [debian("prometheus"), f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
           "--web.listen-address=127.0.0.1:9090"]
    wait_for("http://127.0.0.1:9090/-/ready")
    hammer(["http://127.0.0.1:9090/metrics",
            "http://127.0.0.1:9090/api/v1/query?query=sum(rate(prometheus_http_requests_total[1m]))by(handler)",
            "http://127.0.0.1:9090/api/v1/series?match[]=up"], 15)


def start_caddy(home):
    for i in range(200):
        write(home / f"site/{i}.txt", f"{i} " * 20000)
    yield [debian("caddy"), "file-server", "--root", home / "site", "--listen", "127.0.0.1:8080"]
    wait_for("http://127.0.0.1:8080/0.txt")
    hammer([f"http://127.0.0.1:8080/{i}.txt" for i in range(200)], 10)


def start_syncthing(home):
    for i in range(5000):
        write(home / f"Sync/{i % 50}/{i}.txt", f"{i} " * 100)
    yield [debian("syncthing"), "serve", "--no-browser", "--no-restart", "--no-upgrade", f"--home={home}/config",
           "--gui-address=http://127.0.0.1:8384", "--gui-apikey=heapwhy"]
    wait_for("http://127.0.0.1:8384/")
    urls = ["http://127.0.0.1:8384/", "http://127.0.0.1:8384/assets/css/overrides.css"]
    hammer(urls, 10)


def start_rclone(home):
    for i in range(3000):
        write(home / f"files/{i % 30}/{i}.txt", f"{i} " * 500)
    yield [debian("rclone"), "serve", "http", home / "files", "--addr", "127.0.0.1:8081", "--vfs-cache-mode", "off"]
    wait_for("http://127.0.0.1:8081/")
    hammer([f"http://127.0.0.1:8081/{i % 30}/{i}.txt" for i in range(3000)] +
           [f"http://127.0.0.1:8081/{i}/" for i in range(30)], 10)


def start_typescript(home):
    typescript_project(home / "project", 400)
    yield [npm("@typescript/native-preview-linux-x64", "lib/tsgo"), "--watch", "-p", home / "project"]
    time.sleep(20)


def start_esbuild(home):
    typescript_project(home / "project", 400)
    write(home / "project/src/main.ts", "\n".join(f'export * from "./m{i}";' for i in range(400)))
    yield [npm("@esbuild/linux-x64@0.25.0", "bin/esbuild"), home / "project/src/main.ts", "--bundle", "--sourcemap",
           f"--outfile={home}/out.js", "--servedir=" + str(home), "--serve=127.0.0.1:8082"]
    wait_for("http://127.0.0.1:8082/out.js")
    hammer(["http://127.0.0.1:8082/out.js"], 10)


PROGRAMS = {name[len("start_"):]: start for name, start in list(globals().items()) if name.startswith("start_")}


def largest(pid):
    """The process with the most memory among `pid` and its children: syncthing watches over itself."""
    def resident(process):
        return int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1])

    # Whichever thread started them.
    children = [child for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return max([pid, *map(int, children)], key=resident)


def examine(name, heapwhy, save):
    """Runs one program under load and takes its reports. Returns what is wrong with them."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="heapwhy-real-") as folder:
        home = pathlib.Path(folder)
        steps = PROGRAMS[name](home)
        command = [str(word) for word in next(steps)]
        environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        with open(home / "log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
                                       start_new_session=True)
        try:
            next(steps, None)
            if process.poll() is not None:
                return [f"{name} ended by itself: {(home / 'log').read_text(errors='replace')[-400:]}"]
            pid = largest(process.pid)
            text = subprocess.run([heapwhy, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, "COLUMNS": "120", "LC_ALL": "C.UTF-8"})
            data = subprocess.run([heapwhy, str(pid), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)
            if text.returncode or data.returncode:
                return [f"heapwhy ended with {text.returncode} and {data.returncode}: {text.stderr}{data.stderr}"]
            if process.poll() is not None or largest(process.pid) != pid:
                wrong.append("the program did not survive")
            report = json.loads(data.stdout)
            wrong += judge(report)
            if save:
                write(pathlib.Path(save) / f"{name}.txt",
                      f"$ heapwhy $(pidof {name})\n" + text.stdout.replace(str(home), "/srv").replace(str(CACHE), "/opt"))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    print(summary(name, report), flush=True)
    return wrong


def judge(report):
    wrong = []
    heap, agreement = report["heap"], report["agreement"]
    if heap["live_objects"] < 1000:
        wrong.append(f"only {heap['live_objects']} live objects")
    # What was let go while the collector marked is missing, and `why` says so.
    unexplained = agreement["missing"] and not agreement["why"]
    if agreement["comparable"] and (unexplained or agreement["extra"] or agreement["impossible"]):
        wrong.append(f"agreement {agreement}")
    if not agreement["comparable"] and not agreement["why"]:
        wrong.append("not comparable, and no reason given")
    if agreement["impossible"]:
        wrong.append(f"{agreement['impossible']} reachable objects in free slots")
    if not report["holders"] or not report["types"] or not report["goroutines"]:
        wrong.append("no holders, types or goroutines")
    return wrong


def summary(name, report):
    heap, agreement = report["heap"], report["agreement"]
    return (f"{name}: {report['target']['go_version']} live {heap['live_bytes'] / 2**20:.1f} MiB in {heap['live_objects']} "
            f"objects, typed {100 * heap['typed_objects'] / max(heap['live_objects'], 1):.1f} % of objects and "
            f"{100 * heap['typed_bytes'] / max(heap['live_bytes'], 1):.1f} % of bytes, pause "
            f"{report['capture']['pause_ns'] / 1e6:.2f} ms, agreement "
            + (f"{agreement['missing']}/{agreement['extra']}/{agreement['impossible']}" if agreement["comparable"]
               else f"not comparable ({agreement['why']}), {agreement['impossible']} impossible"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heapwhy", default="build/heapwhy")
    parser.add_argument("--save")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    if options.list:
        print("\n".join(PROGRAMS))
        return 0
    # A namespace of our own: nothing the programs do can leave this machine, and no port is taken.
    if "HEAPWHY_REAL_INSIDE" not in os.environ:
        for name in options.names or PROGRAMS:  # fetching needs the network that the namespace does not have
            with tempfile.TemporaryDirectory(prefix="heapwhy-real-") as folder:
                next(PROGRAMS[name](pathlib.Path(folder)))
        os.environ["HEAPWHY_REAL_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    run("ip", "link", "set", "lo", "up")
    passed = failed = 0
    for name in options.names or PROGRAMS:
        wrong = examine(name, options.heapwhy, options.save)
        passed += not wrong
        failed += bool(wrong)
        for line in wrong:
            print(f"{name}: WRONG: {line}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
