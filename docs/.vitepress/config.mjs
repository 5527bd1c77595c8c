// The site: `npm run docs:build`. Its pages are the repository's Markdown files where they lie, so
// that they read as well there.
import { defineConfig } from 'vitepress';
import { checkAnchors, copyLinked, githubSlug, resolveLinks } from './links.mjs';
import { pages, root, unpublished } from './pages.mjs';
import { sidebar } from './sidebar.mjs';

export default defineConfig({
  title: 'offloop',
  description: "TLS off Node's event loop",
  srcDir: root,
  srcExclude: unpublished.map((folder) => `${folder}/**`),
  rewrites: pages,
  markdown: { config: resolveLinks, anchor: { slugify: githubSlug } },
  themeConfig: {
    search: { provider: 'local' },
    sidebar,
    outline: [2, 3],
    nav: ['options', 'errors', 'performance', 'changelog'].map((page) => ({
      text: page[0].toUpperCase() + page.slice(1),
      link: `/${page}`,
    })),
  },
  vite: { server: { watch: { ignored: unpublished.map((folder) => `${root}/${folder}/**`) } } },
  buildEnd({ outDir }) {
    copyLinked(outDir);
    checkAnchors(outDir);
  },
});
