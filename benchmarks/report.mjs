// The comparison as text.

export function heading({ command, machine }) {
  return [
    command,
    `node ${machine.node}, openssl ${machine.openssl}, offloop ${machine.offloop}`,
    `${machine.cores} x ${machine.cpu}, ${machine.system}, ${machine.date}`,
    '',
  ].join('\n');
}

/** One axis: a line for each figure, then what to know of the client. */
export function axisText({ axis, targets, figures, shares, failures }) {
  const lines = [`${axis.name}: ${axis.title}`];
  for (const figure of figures) {
    const [ours, theirs] = targets.map((target) => {
      const { median, min, max } = figure.targets[target];
      return `${target} ${compact(median)} (${compact(min)}..${compact(max)})`;
    });
    const { ratio, pairwise } = figure.comparison;
    lines.push(
      `  ${`${figure.name}, ${figure.unit}`.padEnd(32)}${ours.padEnd(36)}${theirs.padEnd(36)}` +
        `ratio ${ratio.toFixed(2)}, pairwise ${pairwise.median.toFixed(2)} ` +
        `(${pairwise.min.toFixed(2)}..${pairwise.max.toFixed(2)}), ${figure.better}`,
    );
  }
  const known = targets.filter((target) => shares[target]);
  if (known.length) {
    const clients = known.map((target) => `${target} ${shares[target].client.median.toFixed(2)}`);
    lines.push(`  client's share of a core: ${clients.join(', ')}`);
  }
  for (const target of known) {
    const { client, others } = shares[target];
    if (client.max > 0.9) {
      lines.push(`  ! against ${target} the client took up to ${client.max.toFixed(2)} of a core`);
    }
    if (others.max > 0.15) {
      lines.push(`  ! beside ${target} other processes took up to ${others.max.toFixed(2)} cores`);
    }
  }
  for (const failure of failures) lines.push(`  ! ${failure}`);
  return lines.join('\n') + '\n';
}

/** Three digits that matter, thousands apart. */
export function compact(value) {
  if (!Number.isFinite(value)) return 'none';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
