// Relative links of the pages, which are those of the repository, as links of the site.
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { pages, root } from './pages.mjs';

/** Files that are no pages, and folders, which pages link to. */
const linked = new Set();

/** For markdown-it: lets each relative link lead to the page or file that it leads to here. */
export function resolveLinks(md) {
  md.core.ruler.push('repository-links', ({ tokens, env }) => {
    // Of the search index, whose links nobody follows, the page itself is known by its name alone.
    const page = relative(root, env.realPath ?? env.path);
    for (const { children } of tokens) {
      for (const token of children ?? []) {
        if (token.type === 'link_open') resolveLink(token, page);
      }
    }
  });
}

function resolveLink(token, page) {
  const href = token.attrGet('href');
  if (/^([a-z]+:|#|\/)/i.test(href)) return;
  const [target, anchor] = href.split('#');
  const path = posix.join(posix.dirname(page), decodeURI(target));
  if (Object.hasOwn(pages, path)) {
    token.attrSet('href', `/${pages[path]}${anchor === undefined ? '' : `#${anchor}`}`);
  } else if (existsSync(join(root, path))) {
    linked.add(path);
    token.attrSet('href', `/${path}`);
    // A file, which the site's router can't show.
    token.attrSet('target', '_self');
  } else {
    throw new Error(`${page}: ${href} leads nowhere`);
  }
}

/** The anchor of a heading, as GitHub makes it. */
export function githubSlug(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/** Puts the files that pages link to beside them. */
export function copyLinked(site) {
  for (const path of linked) cpSync(join(root, path), join(site, path), { recursive: true });
}

/** Throws when a link names a heading that its page does not have. */
export function checkAnchors(site) {
  const texts = Object.fromEntries(
    readdirSync(site, { recursive: true })
      .filter((path) => path.endsWith('.html'))
      .map((path) => [`/${path}`, readFileSync(join(site, path), 'utf8')]),
  );
  const dead = Object.entries(texts).flatMap(([page, text]) =>
    [...text.matchAll(/ href="([^"#:]*)#([^"]+)"/g)]
      .filter(([, path, anchor]) => !texts[path || page]?.includes(` id="${decodeURI(anchor)}"`))
      .map(([, path, anchor]) => `${page}: ${path}#${anchor} leads nowhere`),
  );
  if (dead.length > 0) throw new Error(dead.join('\n'));
}
