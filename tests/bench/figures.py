# SPDX-License-Identifier: Apache-2.0
"""What was measured beside what: medians, spread, targets, the table and the JSON."""

import statistics


def shown(value, unit):
    if unit == "s":
        return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"
    return f"{value:,.2f} {unit}" if value < 10 and value != int(value) else f"{value:,.0f} {unit}"


class Row:
    """One figure: pairs of nacre's and its yardstick's value, taken in turns.

    `better` tells how the ratio is made and held against the target:
    "faster"  yardstick's time by nacre's, at least the target;
    "within"  nacre's value by the yardstick's, at most the target;
    "below"   nacre's value itself, at most the target; the yardstick is a name only.
    """

    def __init__(self, name, yardstick, better, target, unit="s"):
        self.name, self.yardstick, self.better = name, yardstick, better
        self.target, self.unit = target, unit
        self.nacre, self.other, self.missing = [], [], None

    def add(self, nacre, other=None):
        self.nacre.append(nacre)
        if other is not None:
            self.other.append(other)
        beside = "" if other is None else f", {self.yardstick}: {shown(other, self.unit)}"
        print(f"  {self.name}: {shown(nacre, self.unit)}{beside}", flush=True)

    @property
    def value(self):
        """The ratio of the medians, or nothing without a yardstick."""
        if not self.nacre:
            return None
        nacre = statistics.median(self.nacre)
        if self.better == "below":
            return nacre
        if not self.other:
            return None
        other = statistics.median(self.other)
        above, under = (other, nacre) if self.better == "faster" else (nacre, other)
        return above / under if under else float("inf")

    @property
    def met(self):
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.better == "faster" else self.value <= self.target

    def verdict(self):
        if self.missing:
            return "not measured: " + self.missing
        if self.value is None:
            return "no yardstick"
        return {None: "(no target)", True: "met", False: "NOT MET"}[self.met]

    def cells(self):
        def cell(values):
            if not values:
                return "-"
            spread = ""
            if len(values) > 1:
                spread = f" ({shown(min(values), self.unit)} to {shown(max(values), self.unit)})"
            return shown(statistics.median(values), self.unit) + spread

        value = "-" if self.value is None else f"{self.value:,.2f}"
        sign = "at least" if self.better == "faster" else "at most"
        target = "-" if self.target is None else f"{sign} {self.target:,g}"
        beside = self.yardstick if not self.other else f"{self.yardstick}: {cell(self.other)}"
        return (self.name, cell(self.nacre), beside, value, target, self.verdict())

    def record(self):
        return {"what": self.name, "yardstick": self.yardstick, "unit": self.unit,
                "nacre": self.nacre, "beside": self.other, "compared": self.better,
                "value": self.value, "target": self.target, "met": self.met,
                "missing": self.missing}


def table(rows):
    lines = [("what", "nacre", "yardstick", "ratio", "target", "")]
    lines += [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |"
                     for line in lines)
