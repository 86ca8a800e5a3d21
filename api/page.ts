// The live page at `/`: one file, read once, with what the browser must know about this start put into its head.
// The policy allows what the page carries itself and calls to this server and the payment sandbox; nothing from elsewhere.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defineRoute, type Route } from '../shop/route.ts';
import { pageHeaders } from './security-headers.ts';

const HTML_TYPE = 'text/html; charset=utf-8';

/** JSON inside a script element: `<` would end it, the two separators end a line in old JavaScript. */
function toScriptJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The hashes of the page's own elements: what somebody else puts into the page does not run. */
function hashesOf(html: string, element: 'script' | 'style'): string {
  const bodies = [...html.matchAll(new RegExp(`<${element}[^>]*>([\\s\\S]*?)</${element}>`, 'gi'))];
  return bodies
    .map(
      (match) =>
        `'sha256-${createHash('sha256')
          .update(match[1] ?? '')
          .digest('base64')}'`,
    )
    .join(' ');
}

function contentPolicy(html: string, sandboxUrl: string | undefined): string {
  return [
    "default-src 'none'",
    `script-src ${hashesOf(html, 'script')}`,
    `style-src ${hashesOf(html, 'style')}`,
    // style="…" attributes and element.style cannot be hashed; they can change looks and nothing else.
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data:",
    `connect-src 'self' ws: wss:${sandboxUrl === undefined ? '' : ` ${sandboxUrl}`}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

export interface PageOptions {
  file: URL;
  /** Where the page may pay, in a local start; absent in production. */
  sandboxUrl: string | undefined;
  isProduction: boolean;
}

function render({ file, sandboxUrl, isProduction }: PageOptions): string | undefined {
  let html: string;
  try {
    html = readFileSync(file, 'utf8');
  } catch {
    return undefined; // an installation without the page is an API and nothing else
  }
  const facts = `<script>window.__DOORBUSTER__ = ${toScriptJson({ sandboxUrl: sandboxUrl ?? null, isProduction })};</script>`;
  return /<head[^>]*>/i.test(html) ? html.replace(/<head[^>]*>/i, (head) => `${head}\n${facts}`) : `${facts}\n${html}`;
}

export function pageRoutes(options: PageOptions): Route[] {
  const html = render(options);
  if (html === undefined) return [];
  const headers = Object.fromEntries([pageHeaders(contentPolicy(html, options.sandboxUrl))]);
  const page = defineRoute({
    method: 'GET',
    path: '/',
    summary: 'The live page of a sale',
    tag: 'System',
    access: 'public',
    replies: { 200: { description: 'HTML', contentType: HTML_TYPE } },
    handle: () => ({ status: 200, text: html, contentType: HTML_TYPE, headers }),
  });
  return [page];
}
