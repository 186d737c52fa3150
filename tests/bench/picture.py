# SPDX-License-Identifier: MIT
"""The picture: what each way adds to a start and end of /bin/true."""
import shutil
import subprocess

import tables
from variants import BARE

# Too long for the others to be seen beside them.
LEFT_OUT = (BARE, "python3 alone", "Python's protocol")

SCRIPT = """
set terminal svg size 640,340 font "sans-serif,12" background rgb "white"
set output "{file}"
set label "What it adds to a start and end of /bin/true, microseconds" at screen 0.5, screen 0.95 center
set tmargin 3
set rmargin 7
set style fill solid 0.85
set xrange [0:{most}]
set yrange [{last}.6:-0.6]
set ytics nomirror scale 0
set xtics nomirror
set grid xtics
set border 1
unset key
plot "-" using 2:0:(0):2:($0-0.35):($0+0.35):($3):ytic(1) with boxxyerror linecolor rgb variable, \\
     "-" using 2:0:(sprintf(" %.0f", $2)) with labels left
{data}
e
{data}
e
"""


def draw(figures, file):
    if not shutil.which("gnuplot"):
        print(f"\nNo gnuplot: no {file}.")
        return
    rows = sorted((tables.added(figures, label), label) for label in figures if label not in LEFT_OUT)
    ours = 0x2a6f97, 0xa9a9a9
    data = "\n".join(f'"{label}" {max(more, 0):.1f} {ours[0] if "exlock" in label else ours[1]}' for more, label in rows)
    # One round on a busy machine may measure the bare program as the slowest: then nothing seems to add anything.
    most = "*" if rows[-1][0] > 0 else "1"
    subprocess.run(["gnuplot"], input=SCRIPT.format(file=file, last=len(rows) - 1, data=data, most=most), text=True, check=True)
    print(f"\nDrawn: {file}")
