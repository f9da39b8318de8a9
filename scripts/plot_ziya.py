"""Draws the held-out bits per byte of two runs (banyan watch RUN --json) as SVG on standard output.

Usage: python scripts/plot_ziya.py ziya.jsonl zh-only.jsonl > docs/ziya.svg
"""

import json
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 60, 56, 24, 48
COLORS = {"zh-held": "#b3261e", "en-held": "#1f5fa8"}
NAMES = {"zh-held": "Chinese", "en-held": "English"}


def curves(path):
    """Points (step, bits per byte) by set; step 0 is the evaluation before the first update."""
    out = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            r = json.loads(line)
            for step, evals in ((0, r.get("eval_base")), (r["step"], r.get("eval"))):
                for e in evals or []:
                    out.setdefault(e["set"], []).append((step, e["bits_per_byte"]))
    return out


def main():
    runs = [("half of the data is English", curves(sys.argv[1]), ""),
            ("no English: the guard stops the run", curves(sys.argv[2]), "6 5")]
    points = [p for _, c, _ in runs for series in c.values() for p in series]
    last = max(x for x, _ in points)
    high = max(y for _, y in points) * 1.05

    def at(p):
        x = LEFT + (WIDTH - LEFT - RIGHT) * p[0] / last
        return f"{x:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (1 - p[1] / high):.1f}"

    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
          'font-family="sans-serif" font-size="13">')
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    print(f'<text x="{LEFT}" y="22" font-size="15">Bits per byte of held-out text, by step</text>')
    for i in range(int(high) + 1):
        y = at((0, i)).split(",")[1]
        print(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>'
              f'<text x="{LEFT - 10}" y="{y}" text-anchor="end" dy="4">{i}</text>')
    for step in range(0, last + 1, 50):
        x = at((step, 0)).split(",")[0]
        print(f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{step}</text>')
    x = LEFT
    for label, c, dash in runs:
        print(f'<line x1="{x}" x2="{x + 30}" y1="40" y2="40" stroke="#444" stroke-width="2" '
              f'stroke-dasharray="{dash}"/><text x="{x + 36}" y="44">{label}</text>')
        x += 300
        for name, series in c.items():
            print(f'<polyline points="{" ".join(map(at, series))}" fill="none" stroke-width="2" '
                  f'stroke="{COLORS[name]}" stroke-dasharray="{dash}"/>')
            cx, cy = at(series[-1]).split(",")
            print(f'<circle cx="{cx}" cy="{cy}" r="3" fill="{COLORS[name]}"/>')
    for name, series in runs[0][1].items():
        cx, cy = at(series[len(series) // 2]).split(",")
        print(f'<text x="{cx}" y="{float(cy) - 10:.1f}" fill="{COLORS[name]}">{NAMES[name]}</text>')
    print("</svg>")


main()
