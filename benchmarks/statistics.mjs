// Figures of several runs.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function summary(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** How the first target's runs compare with the second's: run i of each were neighbours in time. */
export function comparison(ours, theirs) {
  return {
    ratio: median(ours) / median(theirs),
    pairwise: summary(ours.map((value, run) => value / theirs[run])),
  };
}
