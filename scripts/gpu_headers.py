"""Holds what we declared of GPU libraries by hand against NVIDIA's own headers, from PyPI's wheels.

    gpu_headers.py SITE_PACKAGES

For each library two programs print every value and size that we use: one includes our header, the
other NVIDIA's. They must print the same. A third file assigns every function that we call to a
pointer of our type, which a C compiler refuses unless the parameters are the same.
"""

import pathlib
import subprocess
import sys
import tempfile

# Our folder, our headers of types and of entries, the prefix of their lists, what an entry returns
# (None: the list says it), NVIDIA's folders of headers below nvidia/, its header.
LIBRARIES = [
    ("gpu/cuda", "types.h", "entries.h", "CUDA", "CUresult", ["cu13"], "cuda.h"),
    ("gpu/nvrtc", "nvrtc_types.h", "nvrtc_entries.h", "NVRTC", None, ["cu13"], "nvrtc.h"),
]

DUMP = """
#include <stdio.h>
{head}
#include "{types}"
int main(void)
{{
#define X(name, value) printf("%s %lld\\n", #name, (long long)name);
    {prefix}_CONSTANTS(X)
#undef X
#define X(type) printf("sizeof(%s) %zu\\n", #type, sizeof(type));
    {prefix}_TYPES(X)
#undef X
    return 0;
}}
"""

POINTERS = """
{head}
#include "{types}"
#include "{entries}"
#define CHECK_CUDA(name, since, optional, parameters) {result} (*check_##name) parameters = name;
#define CHECK_NVRTC(name, result, since, parameters) result (*check_##name) parameters = name;
{prefix}_ENTRIES(CHECK_{prefix})
"""


def compile_and_run(folder, name, text, includes):
    source = folder / f"{name}.c"
    source.write_text(text)
    command = ["cc", "-std=gnu11", "-Wall", *[f"-I{i}" for i in includes], str(source)]
    subprocess.run([*command, "-o", str(folder / name)], check=True)
    return subprocess.run([str(folder / name)], check=True, capture_output=True, text=True).stdout


def check(folder, site, library):
    where, types, entries, prefix, result, wheels, header = library
    real = [site / "nvidia" / w / "include" for w in wheels]
    if not any((i / header).exists() for i in real):
        sys.exit(f"gpu_headers: no {header} in {', '.join(map(str, real))}; the wheels of "
                 "scripts/requirements.txt have it")
    head = f"#define BANYAN_REAL_HEADERS\n#include <{header}>"
    ours = compile_and_run(folder, "ours", DUMP.format(head="", types=types, prefix=prefix), [where])
    theirs = compile_and_run(folder, "theirs", DUMP.format(head=head, types=types, prefix=prefix),
                             [where, *real])
    if ours != theirs:
        for a, b in zip(ours.splitlines(), theirs.splitlines()):
            if a != b:
                print(f"{where}: we say {a}, {header} says {b}", file=sys.stderr)
        sys.exit(1)
    source = folder / "pointers.c"
    source.write_text(POINTERS.format(head=head, types=types, entries=entries, prefix=prefix,
                                      result=result))
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Werror", "-c", f"-I{where}",
                    *[f"-I{i}" for i in real], str(source), "-o", str(folder / "pointers.o")],
                   check=True)
    symbols = subprocess.run(["nm", "-u", str(folder / "pointers.o")], check=True,
                             capture_output=True, text=True).stdout.split()[1::2]
    print(f"{where}: {len(ours.splitlines())} values and sizes, {len(symbols)} functions are as in "
          f"{header}")


def main():
    site = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for library in LIBRARIES:
            check(pathlib.Path(folder), site, library)


if __name__ == "__main__":
    main()
