"""Compiles every CUDA kernel by the real NVRTC, through our loader, and reads what came out.

    gpu_lint.py SITE_PACKAGES

No kernel may have atomics (the order of a sum would be the hardware's), local memory (registers that
spill, or arrays that are indexed) or a stack; and only the kernels that say so may have fused
multiply-adds: --fmad=false must hold. The checks are first shown kernels that break them.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile

ARCHS = [80, 90]
HEADER = len(b"banyan cubin 1\n") + 32  # before the cubin in our files (gpu/nvrtc/doc.go)
FUSED = {"sum_squares_f32"}

ATOMIC = re.compile(r"^(ATOM|ATOMG|ATOMS|RED|REDG|REDUX)\b")
LOCAL = re.compile(r"^(LDL|STL)\b")
FUSION = re.compile(r"^(FFMA|DFMA|HFMA2)\b")
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)")

BAD = {
    "atomics": 'extern "C" __global__ void bad(float *x) { atomicAdd(x, 1.0f); }',
    "local memory": 'extern "C" __global__ void bad(float *x, int *p) { float a[64];'
                    " for (int i = 0; i < 64; i++) a[i] = x[i];"
                    " for (int i = 0; i < 999; i++) a[p[i] & 63] *= x[i]; x[0] = a[p[0] & 63]; }",
    "a fused multiply-add": 'extern "C" __global__ void bad(float *x)'
                            " { x[0] = __fmaf_rn(x[1], x[2], x[3]); }",
}


class Tools:
    """NVIDIA's disassembler and resource lister, which the wheel of triton brings."""

    def __init__(self, site):
        self.bin = site / "triton" / "backends" / "nvidia" / "bin"

    def run(self, tool, *args):
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin"}
        return subprocess.run([str(self.bin / tool), *args], check=True, capture_output=True,
                              text=True, env=environment).stdout


def functions(sass):
    """The instructions of each kernel of a disassembly."""
    out, name = {}, None
    for line in sass.splitlines():
        label = re.match(r"\.text\.(\w+):", line.strip())
        if label:
            name = label.group(1)
            out[name] = []
        instruction = INSTRUCTION.search(line)
        if name and instruction:
            out[name].append(instruction.group(1))
    return out


def problems(tools, cubin):
    """What is wrong with a cubin, kernel by kernel; and how many kernels it has."""
    found = []
    kernels = functions(tools.run("nvdisasm", "-c", str(cubin)))
    for name, code in kernels.items():
        rules = [(ATOMIC, "atomics"), (LOCAL, "local memory")]
        if name not in FUSED:
            rules.append((FUSION, "a fused multiply-add"))
        for rule, what in rules:
            hits = sorted({i for i in code if rule.match(i)})
            if hits:
                found.append(f"{name} has {what}: {', '.join(hits)}")
    usage = tools.run("cuobjdump", "-res-usage", str(cubin))
    for name, stack, local in re.findall(
            r"Function (\w+):\s+REG:\d+ STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage):
        if int(stack) or int(local):
            found.append(f"{name} has a stack of {stack} and {local} bytes of local memory")
    return found, len(kernels)


def compile_bad(site, text):
    """A cubin of what must not be, by NVRTC alone."""
    nvrtc = ctypes.CDLL(str(next((site / "nvidia" / "cu13" / "lib").glob("libnvrtc.so.1*"))))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()

    def call(name, *args):
        if getattr(nvrtc, name)(*args):
            sys.exit(f"gpu_lint: {name} failed")

    call("nvrtcCreateProgram", ctypes.byref(program), text.encode(), b"bad.cu", 0, None, None)
    options = (ctypes.c_char_p * 1)(b"--gpu-architecture=sm_90")
    call("nvrtcCompileProgram", program, 1, options)
    call("nvrtcGetCUBINSize", program, ctypes.byref(size))
    image = ctypes.create_string_buffer(size.value)
    call("nvrtcGetCUBIN", program, image)
    return image.raw


def show_that_it_can_fail(tools, site, folder):
    for what, text in BAD.items():
        path = folder / "bad.cubin"
        path.write_bytes(compile_bad(site, text))
        found, _ = problems(tools, path)
        if not any(what in problem for problem in found):
            sys.exit(f"gpu_lint: a kernel with {what} was not found out: {found}")


def main():
    site = pathlib.Path(sys.argv[1])
    tools = Tools(site)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        show_that_it_can_fail(tools, site, folder)
        subprocess.run(["go", "run", "./internal/gen/cubins", "-o", str(folder / "cubins"), "-arch",
                        ",".join(map(str, ARCHS)), "-cuda-path", str(site)], check=True)
        bad, count = [], 0
        for file in sorted((folder / "cubins").iterdir()):
            path = folder / "one.cubin"
            path.write_bytes(file.read_bytes()[HEADER:])
            found, kernels = problems(tools, path)
            bad += [f"{file.name}: {problem}" for problem in found]
            count += kernels
        if bad or count < 2 * len(ARCHS):
            sys.exit("gpu_lint: " + ("\n".join(bad) or f"only {count} kernels"))
        print(f"{count} kernels for {', '.join(f'sm_{a}' for a in ARCHS)}: no atomics, no local "
              "memory, no spills, fused only where it is meant")


if __name__ == "__main__":
    main()
