// The live page in a real browser, against a whole system: a sale with an ugly name, two people and one unit. Skipped
// where the machine has no Chromium; what can be read off the file itself is checked everywhere.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../core/config.ts';
import { DEFAULTS } from '../../scripts/rush/options.ts';
import { findTarget, type Target } from '../../scripts/rush/target.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';
import { type Browser, findBrowser, type Page, startBrowser } from '../support/browser.ts';
import { temporaryDirectory } from '../support/stack.ts';

const html = readFileSync(new URL('../../web/live.html', import.meta.url), 'utf8');
const program = findBrowser();

test('the page carries everything itself and writes nothing as markup', () => {
  expect(html).not.toMatch(/\b(?:src|href)="(?!data:|#)/);
  expect(html).not.toMatch(/@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+="/);
});

test('every control and every picture has a name', () => {
  for (const [, attributes = ''] of html.matchAll(/<(?:svg|div)([^>]*role="img"[^>]*)>/g)) {
    // The bar and the lane get theirs from the script, with the counts.
    expect(attributes).toMatch(/aria-label|id="(?:bar|lane)"/);
  }
  for (const [, id = ''] of html.matchAll(/<(?:input|select) id="(\w+)"/g))
    expect(html).toContain(`<label for="${id}"`);
});

describe.skipIf(program === undefined)('in a browser', () => {
  const name = '<b onclick="x">Noon</b> & "friends" </script>';
  let target: Target;
  let browser: Browser;
  let saleId = '';
  let ana: Page;
  let ben: Page;

  beforeAll(async () => {
    const config = loadConfig({ DATA_DIR: '/nonexistent', LOG_LEVEL: 'warn' });
    const signal = new AbortController().signal;
    target = await findTarget(DEFAULTS, { config, say: () => undefined, signal });
    const sale = { name, holdSeconds: 60, items: [{ sku: 'LAST-ONE', stock: 1, price: 499, currency: 'INR' }] };
    saleId = await asMerchant('/sales', sale);
    await asMerchant(`/sales/${saleId}/open`, {});
    browser = await startBrowser(program ?? '', temporaryDirectory('browser'));
    ana = await browser.open(`${target.url}/`);
    ben = await browser.open(`${target.url}/`);
  });
  afterAll(async () => {
    await browser?.close();
    await target?.leave();
  });

  async function asMerchant(path: string, body: object): Promise<string> {
    const [token = ''] = await mintTokens(['u_merchant'], 'ADMIN', target.config.jwtSecret);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${target.url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(answer.status).toBeLessThan(300);
    // The contract's answer to both calls.
    return ((await answer.json()) as { saleId: string }).saleId;
  }

  const is = (status: string): string => `document.getElementById('mine').dataset.status === '${status}'`;
  const says = (id: string, text: string): string =>
    `document.getElementById('${id}').textContent === ${JSON.stringify(text)}`;
  const isShown = (id: string): string => `document.getElementById('${id}').offsetParent !== null`;

  test('it shows the sale as text, live, and complains about nothing', async () => {
    await ana.until(`document.body.dataset.connection === 'live' && ${isShown('stock')}`);
    expect(await ana.evaluate(`document.getElementById('name').textContent`)).toBe(name);
    expect(await ana.evaluate(`document.querySelectorAll('main b[onclick]').length`)).toBe(0);
    await ana.until(says('headline', '0 of 1 sold'));
    expect(ana.complaints).toEqual([]);
  });

  test('the first who presses gets the unit on hold, the second a place in the line', async () => {
    await ana.until(`!document.getElementById('buy').disabled`);
    await ana.click('#buy');
    await ana.until(`${is('RESERVED')} || ${is('PAYMENT_PENDING')}`);
    await ana.until(isShown('timer'));
    await ben.until(`!document.getElementById('buy').disabled`);
    await ben.click('#buy');
    await ben.until(is('WAITING'));
    await ben.until(says('place', 'You are next'));
    await ana.until(says('waiting', '1 waiting'));
  });

  test('a declined card keeps the hold; given back, the unit goes to the next in line', async () => {
    await ana.until(isShown('decline'));
    await ana.click('#decline');
    await ana.until(is('PAYMENT_FAILED'));
    await ana.click('#leave');
    await ana.until(is('CANCELLED'));
    await ben.until(isShown('pay'));
  });

  test('a reload in the middle finds the hold again, and paying ends it', async () => {
    await ben.reload();
    await ben.until(isShown('pay'));
    await ben.click('#pay');
    await ben.until(is('CONFIRMED'));
    await ben.until(says('headline', '1 of 1 sold'));
    await ana.until(says('status', 'Sold out'));
    expect(await ana.evaluate(isShown('buy'))).toBe(false);
  });

  test('it comes back by itself when the server was killed', async () => {
    const pid = target.processes().find(({ name: process }) => process === 'api-1')?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await ben.until(`document.body.dataset.connection !== 'live'`);
    await ben.until(`document.body.dataset.connection === 'live'`);
    await ben.until(is('CONFIRMED'));
  });
});
