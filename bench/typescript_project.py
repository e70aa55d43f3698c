#!/usr/bin/env python3
"""Writes a TypeScript project of any size: typescript_project.py DIRECTORY FILES

Each file declares interfaces, a generic class and functions that use those of its neighbours, so that a compiler has
something to resolve, instantiate and check.
"""
import pathlib
import sys

FILE = """\
{imports}
export interface Record{n} {{
    id: number;
    name: string;
    tags: ReadonlyArray<string>;
    parent?: Record{n};
    state: "new" | "open" | "closed{n}";
    extra: {{ [key: string]: number | string | undefined }};
}}

export type Patch{n} = Partial<Omit<Record{n}, "id">> & {{ changed: Date }};

export class Store{n}<T extends Record{n}> {{
    private readonly items = new Map<number, T>();
    constructor(private readonly label: string) {{}}
    add(item: T): this {{
        this.items.set(item.id, item);
        return this;
    }}
    find(test: (item: T) => boolean): T | undefined {{
        for (const item of this.items.values()) if (test(item)) return item;
        return undefined;
    }}
    group<K extends keyof T>(key: K): Map<T[K], T[]> {{
        const groups = new Map<T[K], T[]>();
        this.items.forEach(item => groups.set(item[key], [...(groups.get(item[key]) ?? []), item]));
        return groups;
    }}
    describe(): string {{
        return `${{this.label}}: ${{[...this.items.values()].map(item => item.name).join(", ")}}`;
    }}
}}
{functions}
"""

FUNCTION = """
export function step{n}_{i}(store: Store{n}<Record{n}>, patch: Patch{n}): Record{n} {{
    const found = store.find(item => item.tags.length > {i} && item.state !== "new");
    const base = found ?? {{ id: {i}, name: "step {i}", tags: ["a", "b"], state: "open" as const, extra: {{}} }};
    const next = {{ ...base, ...patch, extra: {{ ...base.extra, [base.name]: {i} }} }};
    if (next.tags.some(tag => tag.startsWith("x{i}"))) return step{n}_{j}(store.add(next), patch);{use}
    return next;
}}
"""

USE = """
    const other = new Store{m}<Record{m}>("other").group("state").get("open")?.map(({{ name, id }}) => ({{ name, id }}));
    if (other && other.length > {i}) next.tags = other.map(({{ name }}) => name.toUpperCase());"""


def main():
    directory, files = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    source = directory / "src"
    source.mkdir(parents=True, exist_ok=True)
    (directory / "tsconfig.json").write_text(
        '{"compilerOptions": {"strict": true, "noEmit": true, "target": "es2022"}, "include": ["src"]}\n')
    for n in range(files):
        m = (n * 7 + 3) % files
        functions = "".join(
            FUNCTION.format(n=n, i=i, j=(i + 1) % 40, use=USE.format(m=m, i=i) if i % 4 == 0 else "")
            for i in range(40))
        imports = f'import {{ Record{m}, Store{m} }} from "./file{m}";' if m != n else ""
        (source / f"file{n}.ts").write_text(FILE.format(n=n, imports=imports, functions=functions))


main()
