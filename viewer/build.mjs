// Bundles src/main.js for the browser: `node build.mjs [FOLDER]`, by default ../static/viewer.

import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';

// The page's policy forbids style attributes, which this one line of Cornerstone3D writes; through the element's style
// the same is allowed. A release without that line fails the build, so that it is looked at again.
const ATTRIBUTE = "textElement.setAttribute('style', combinedStyle)";
const withoutStyleAttributes = {
  name: 'without-style-attributes',
  setup({ onLoad }) {
    onLoad({ filter: /drawingSvg[\\/]drawTextBox\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (!source.includes(ATTRIBUTE)) throw new Error(`${path} is not what build.mjs expects`);
      return { contents: source.replace(ATTRIBUTE, 'textElement.style.cssText = combinedStyle'), loader: 'js' };
    });
  },
};

await build({
  entryPoints: ['src/main.js'],
  outdir: process.argv[2] ?? '../static/viewer',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'eof', // the licences of what is bundled travel with it
  // Cornerstone3D reaches vtk.js' reader of XML meshes, which needs modules of Node and which nothing here calls.
  alias: { xmlbuilder2: './src/absent.js' },
  plugins: [withoutStyleAttributes],
  logLevel: 'warning',
});
