"""What the rounds of all programs say: whether their scores agree, and the table. Pure functions, standard library.

A peer whose scores do not agree with the reference (PyTorch in float32, a pair at a time, without padding) did other
work, a graph that lost the attention mask for example: its row is void and takes part in no comparison.
"""

import statistics

FLOAT32_BOUND = 1e-4  # of |a - b| / (1 + |b|): an absolute and a relative part
BFLOAT16_BOUND = 0.3  # of |a - b|, on logits of about -12 to 12
INT8_CORRELATION = 0.98  # Spearman's, over all pairs


def quantile(values, share):
    """The value below which a share of them lies, between the two nearest ones."""
    values = sorted(values)
    at = share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def ranks(values):
    """Ranks from 0; equal values have the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out, begin = [0.0] * len(values), 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        for i in order[begin : end + 1]:
            out[i] = (begin + end) / 2
        begin = end + 1
    return out


def spearman(a, b):
    """Rank correlation; 0 where all values of one side are equal."""
    try:
        return statistics.correlation(ranks(a), ranks(b))
    except statistics.StatisticsError:
        return 0.0


def deviation(got, want):
    return max(abs(a - b) for a, b in zip(got, want))


def disagreement(precision, got, want, float32_bound=FLOAT32_BOUND):
    """Why scores of this precision do not agree with the reference's, or None if they do."""
    if len(got) != len(want):
        return f"{len(got)} scores for {len(want)} pairs"
    if not all(abs(score) < float("inf") for score in got):
        return "a score is no number"
    if precision == "float32":
        worst = max(abs(a - b) / (1 + abs(b)) for a, b in zip(got, want))
        return None if worst <= float32_bound else f"deviates by {worst:.1e} of 1 + |score|"
    if precision == "bfloat16":
        worst = deviation(got, want)
        return None if worst <= BFLOAT16_BOUND else f"deviates by {worst:.2f}"
    if len(got) < 3:
        return None  # too few to rank
    correlation = spearman(got, want)
    return None if correlation > INT8_CORRELATION else f"rank correlation {correlation:.3f}"


def row(result, reference):
    """A line of the table, from what a program did: name, precision, batch, setting, rounds, calls, scores, ..."""
    out = {key: result[key] for key in ("name", "precision", "batch", "setting", "ours")}
    if result.get("failure"):
        return {**out, "void": result["failure"]}
    seconds = statistics.median(result["seconds"])
    out |= {
        "void": disagreement(result["precision"], result["scores"], reference, result["float32_bound"]),
        "seconds": seconds,
        "pairs_per_second": len(reference) / seconds,
        "cpu_seconds": statistics.median(result["cpu_seconds"]),
        "memory_mib": result["memory_mib"],
        "rounds": result["seconds"],
    }
    if len(result["scores"]) == len(reference):
        out["deviation"] = deviation(result["scores"], reference)
        out["rank_correlation"] = spearman(result["scores"], reference)
    if result["calls"]:
        out |= {f"p{share}_ms": quantile(result["calls"], share / 100) * 1e3 for share in (50, 95)}
    return out


def cost(entry, latency):
    """What is compared: the median call where calls are the work, else the median round."""
    return entry["p50_ms"] if latency else entry["seconds"]


def compare(rows, latency):
    """Gives each row its time and CPU time as multiples of crossenc's in the same precision; crossenc's quickest row
    that is not void counts. Returns for each precision the quickest peer and its ratio: [(precision, name, ratio)]."""
    best = []
    for precision in dict.fromkeys(entry["precision"] for entry in rows):
        valid = [entry for entry in rows if entry["precision"] == precision and not entry["void"]]
        ours = min((e for e in valid if e["ours"]), key=lambda e: cost(e, latency), default=None)
        if not ours:
            continue
        for entry in valid:
            entry["time_ratio"] = cost(entry, latency) / cost(ours, latency)
            entry["cpu_time_ratio"] = entry["cpu_seconds"] / ours["cpu_seconds"] if ours["cpu_seconds"] else None
        peer = min((e for e in valid if not e["ours"]), key=lambda e: cost(e, latency), default=None)
        if peer:
            best.append((precision, label(peer), peer["time_ratio"]))
    return best


def label(entry):
    return f"{entry['name']}, {entry['batch']}"


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def render(rows, latency):
    """The table's lines."""
    timing = ("p50 ms", "p95 ms") if latency else ("seconds", "pairs/s")
    head = ("program", "precision", *timing, "time", "CPU time", "MiB", "deviation", "setting")
    lines = [head]
    for entry in rows:
        start = (label(entry), entry["precision"])
        if "seconds" not in entry:
            lines.append((*start, "-", "-", "-", "-", "-", "-", f"void: {entry['void']}"))
            continue
        times = (number(entry["p50_ms"], 2), number(entry["p95_ms"], 2)) if latency else (
            number(entry["seconds"], 3), number(entry["pairs_per_second"], 1))
        ratios = (number(entry.get("time_ratio"), 2), number(entry.get("cpu_time_ratio"), 2))
        apart = "-" if entry.get("deviation") is None else f"{entry['deviation']:.1e}"
        note = f"void: {entry['void']}" if entry["void"] else entry["setting"]
        lines.append((*start, *times, *ratios, number(entry["memory_mib"], 0), apart, note))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) if i in (0, 1, 8) else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines]
