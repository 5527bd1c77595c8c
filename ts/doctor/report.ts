/** Findings for people. */
import type { Finding, Level } from './finding.js';

export function report(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ about }) => about.length));
  const lines = findings.flatMap(({ level, about, text, advice }) => {
    const line = `${level.padEnd(7)}  ${about.padEnd(width)}  ${text}`;
    return advice === undefined ? [line] : [line, `${' '.repeat(width + 11)}-> ${advice}`];
  });
  return [...lines, '', summary(findings)].join('\n');
}

function summary(findings: readonly Finding[]): string {
  return [count(findings, 'problem'), count(findings, 'warning')].join(', ');
}

function count(findings: readonly Finding[], level: Level): string {
  const number = findings.filter((finding) => finding.level === level).length;
  return `${number} ${level}${number === 1 ? '' : 's'}`;
}
