// What stands in the sidebar, in its order: titles and pages.
import { existsSync } from 'node:fs';
import { pages, root } from './pages.mjs';

const groups = {
  offloop: [
    ['What it is', 'README.md'],
    ['Performance', 'docs/performance.md'],
    ['Live page', 'docs/live-page.md'],
  ],
  'Guides: servers': [
    ['https', 'docs/guides/https.md'],
    ['Fastify', 'docs/guides/fastify.md'],
    ['Express, Koa, Hono', 'docs/guides/express.md'],
    ['HTTP/2 and gRPC', 'docs/guides/http2.md'],
    ['WebSockets', 'docs/guides/websockets.md'],
    ['MQTT broker', 'docs/guides/mqtt.md'],
    ['SMTP with STARTTLS', 'docs/guides/smtp.md'],
    ['Upgrade inside a protocol', 'docs/guides/postgres.md'],
    ['Proxy', 'docs/proxy.md'],
  ],
  'Guides: certificates': [
    ['Many names (SNI)', 'docs/guides/sni.md'],
    ['Reload', 'docs/guides/reload.md'],
    ['Client certificates', 'docs/guides/mutual-tls.md'],
    ['Session tickets', 'docs/guides/tickets.md'],
  ],
  'Guides: running it': [
    ['Deploys', 'docs/guides/drain.md'],
    ['Metrics', 'docs/guides/metrics.md'],
    ['Threads and containers', 'docs/guides/threads.md'],
    ['From node:tls', 'docs/guides/from-node-tls.md'],
    ['From nginx', 'docs/guides/from-nginx.md'],
    ['When clients fail', 'docs/guides/troubleshooting.md'],
    ['Bundlers', 'docs/bundlers.md'],
  ],
  Reference: [
    ['Commands', 'docs/commands.md'],
    ['Options', 'docs/options.md'],
    ['Limits', 'docs/limits.md'],
    ['Errors', 'docs/errors.md'],
    ['Figures and channels', 'docs/metrics.md'],
    ['Compatibility', 'docs/compatibility.md'],
  ],
  Project: [
    ['Design', 'ARCHITECTURE.md'],
    ['Security', 'SECURITY.md'],
    ['Contributing', 'CONTRIBUTING.md'],
    ['How it is tested', 'docs/testing.md'],
    ['Benchmarks', 'benchmarks/README.md'],
    ['Changelog', 'CHANGELOG.md'],
  ],
};

export const sidebar = Object.entries(groups).map(([text, items]) => ({
  text,
  items: items
    // Every page that exists stands above: a test sees to it.
    .filter(([, source]) => existsSync(`${root}/${source}`))
    .map(([title, source]) => ({ text: title, link: `/${pages[source].replace(/\.md$/, '')}` })),
}));
