"""Plots training runs as one SVG: `python -m model.training plot runs/a/log.jsonl runs/b/log.jsonl --out loss.svg`.

A log has one JSON object in each line, with `step` and the measured values, as all stages of the recipe write it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Curve = list[tuple[float, float]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 64, 44, 16, 16
COLOURS = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a", "#787774")


def read_curve(log: Path, x: str, y: str) -> Curve:
    """Points of the lines that have both."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(float(row[x]), float(row[y])) for row in rows if x in row and y in row]


def smoothed(curve: Curve, keep: float) -> Curve:
    """An exponential average over the points; `keep` 0 leaves them as they are."""
    points, mean = Curve(), 0.0
    for number, (x, y) in enumerate(curve):
        mean = y if number == 0 else keep * mean + (1 - keep) * y
        points.append((x, mean))
    return points


def svg(curves: dict[str, Curve], x: str, y: str) -> str:
    """The drawing. Raises ValueError where there is no point."""
    points = [point for curve in curves.values() for point in curve]
    if not points:
        raise ValueError(f"no line has both {x!r} and {y!r}")
    low_x, high_x = min(p[0] for p in points), max(p[0] for p in points)
    low_y, high_y = min(p[1] for p in points), max(p[1] for p in points)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        right = (point[0] - low_x) / ((high_x - low_x) or 1)
        up = (point[1] - low_y) / ((high_y - low_y) or 1)
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for step in range(5):
        value = low_y + (high_y - low_y) * step / 4
        _, at = place((low_x, value))
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        value = low_x + (high_x - low_x) * step / 4
        across, _ = place((value, low_y))
        parts.append(f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.4g}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, curve))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        down = TOP + 14 + 16 * number
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{down}" text-anchor="end" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>')
    parts.append(f'<text x="14" y="{TOP + 10}">{escape(y)}</text></svg>')
    return "\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training plot", description=main.__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--x", default="step", help="step, tokens, minutes …")
    parser.add_argument("--y", default="loss", help="loss, learning_rate …")
    parser.add_argument("--smooth", type=float, default=0.0, help="0 to 1: share of the average that each point keeps")
    parser.add_argument("--out", type=Path, default=Path("curves.svg"))
    args = parser.parse_args(argv)
    try:
        curves = {str(log): smoothed(read_curve(log, args.x, args.y), args.smooth) for log in args.logs}
        args.out.write_text(svg(curves, args.x, args.y), encoding="utf-8")
    except (ValueError, OSError) as error:
        raise SystemExit(f"plot: {error}") from None


if __name__ == "__main__":
    main()
