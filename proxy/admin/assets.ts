/** The files of the status page, read into memory once. No bundler: what is served is what stands in the folder and in the packages. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** URL path to file beside this one. */
const OWN: Readonly<Record<string, string>> = {
  '/': 'page/index.html',
  '/assets/page.css': 'page/page.css',
  '/assets/page.js': 'page/page.js',
  '/assets/change.js': 'page/change.js',
  '/assets/panels.js': 'page/panels.js',
  '/assets/servers.js': 'page/servers.js',
  '/assets/flows.js': 'page/flows.js',
  '/assets/notices.js': 'page/notices.js',
  '/assets/charts.js': 'page/charts.js',
  '/assets/format.js': 'page/format.js',
  '/assets/icon.svg': 'page/icon.svg',
};

/** URL path to the exact file of a package, as ES modules that import nothing. */
const PACKAGED: Readonly<Record<string, string>> = {
  '/assets/preact.js': 'preact',
  '/assets/uplot.js': 'uplot/dist/uPlot.esm.js',
  '/assets/uplot.css': 'uplot/dist/uPlot.min.css',
};

/** Reads every asset; throws where one is missing, which means a broken installation. */
export function loadAssets(): ReadonlyMap<string, Asset> {
  const resolve = createRequire(import.meta.url).resolve;
  const files = [
    ...Object.entries(OWN).map(([path, file]) => [path, fileURLToPath(new URL(file, import.meta.url))] as const),
    ...Object.entries(PACKAGED).map(([path, specifier]) => [path, resolve(specifier)] as const),
  ];
  return new Map(files.map(([path, file]) => [path, loadAsset(file)]));
}

function loadAsset(file: string): Asset {
  const body = readFileSync(file);
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  return { type, body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
}
