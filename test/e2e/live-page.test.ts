// The live page in a real browser, against a whole system: a sale with an ugly name, two people and one unit. Skipped
// where no Chromium can be had; what can be read off the file itself is checked everywhere.
import { readFileSync } from 'node:fs';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../core/config.ts';
import { DEFAULTS } from '../../scripts/rush/options.ts';
import { findTarget, type Target } from '../../scripts/rush/target.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';
import { ensureChromium, launchBrowser } from '../support/browser.ts';

const html = readFileSync(new URL('../../web/live.html', import.meta.url), 'utf8');
// Before the tests are listed, since what is skipped is decided then; on a fresh machine this takes as long as a download.
const search = await ensureChromium((line) => console.log(line));
if (!search.isFound) console.log(`The live page is not tested in a browser: ${search.reason}.`);

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

describe.skipIf(!search.isFound)('in a browser', () => {
  const name = '<b onclick="x">Noon</b> & "friends" </script>';
  let target: Target;
  let browser: Browser;
  let ana: Page;
  let ben: Page;
  /** What Ana's page wrote to its console as an error, what it threw, and what its policy refused. */
  const complaints: string[] = [];

  beforeAll(async () => {
    const config = loadConfig({ DATA_DIR: '/nonexistent', LOG_LEVEL: 'warn' });
    const signal = new AbortController().signal;
    target = await findTarget(DEFAULTS, { config, say: () => undefined, signal });
    await openSale(name, 'LAST-ONE');
    browser = await launchBrowser(search.isFound ? search.program : '');
    [ana, ben] = [await newPerson(), await newPerson()];
    ana.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    ana.on('pageerror', (error) => complaints.push(error.message));
    await ana.goto(`${target.url}/`);
    await ben.goto(`${target.url}/`);
  });
  afterAll(async () => {
    await browser?.close();
    await target?.leave();
  });

  /** Somebody with a browser of their own, as far as cookies and storage go. */
  async function newPerson(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ locale: 'en-GB', ...options });
    return context.newPage();
  }

  async function openSale(name: string, sku: string): Promise<string> {
    const items = [{ sku, stock: 1, price: 499, currency: 'INR' }];
    const saleId = await asMerchant('/sales', { name, holdSeconds: 60, items });
    return asMerchant(`/sales/${saleId}/open`, {});
  }

  async function asMerchant(path: string, body: object): Promise<string> {
    const [token = ''] = await mintTokens(['u_merchant'], 'ADMIN', target.config.jwtSecret);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${target.url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(answer.status).toBeLessThan(300);
    // The contract's answer to both calls.
    return ((await answer.json()) as { saleId: string }).saleId;
  }

  const button = (page: Page, name: string | RegExp): Locator => page.getByRole('button', { name });
  const says = (page: Page, id: string, text: string): Promise<void> =>
    page
      .locator(`#${id}:visible`)
      .and(page.getByText(text, { exact: true }))
      .waitFor();
  const isConnected = (page: Page): Promise<void> => page.locator('body[data-connection=live]').waitFor();
  /** One of the statuses. */
  const is = (page: Page, ...statuses: string[]): Promise<void> =>
    page.locator(statuses.map((status) => `#mine[data-status=${status}]`).join(', ')).waitFor();

  test('it shows the sale as text, live, and complains about nothing', async () => {
    await isConnected(ana);
    await ana.locator('#stock').waitFor();
    expect(await ana.locator('#name').textContent()).toBe(name);
    expect(await ana.locator('main b[onclick]').count()).toBe(0);
    await says(ana, 'headline', '0 of 1 sold');
    expect(complaints).toEqual([]);
  });

  test('the first who presses gets the unit on hold, the second a place in the line', async () => {
    await button(ana, 'Buy one').click();
    await is(ana, 'RESERVED', 'PAYMENT_PENDING');
    await ana.getByRole('timer', { name: 'Time left to pay' }).waitFor();
    await button(ben, 'Buy one').click();
    await is(ben, 'WAITING');
    await says(ben, 'place', 'You are next');
    await says(ana, 'waiting', '1 waiting');
  });

  test('a declined card keeps the hold; given back, the unit goes to the next in line', async () => {
    await button(ana, 'Try a card that is declined').click();
    await is(ana, 'PAYMENT_FAILED');
    await button(ana, 'Give it back').click();
    await is(ana, 'CANCELLED');
    await button(ben, /^Pay /).waitFor();
  });

  test('a reload in the middle finds the hold again, and paying ends it', async () => {
    await ben.reload();
    await button(ben, /^Pay /).click();
    await is(ben, 'CONFIRMED');
    await says(ben, 'headline', '1 of 1 sold');
    await says(ana, 'status', 'Sold out');
    expect(await ana.locator('#buy').isVisible()).toBe(false);
  });

  async function pressByKeyboard(page: Page, name: string | RegExp): Promise<void> {
    // Disabled until the page can do it, and then not reached by Tab.
    await page.getByRole('button', { name, disabled: false }).waitFor();
    const focused = button(page, name).and(page.locator(':focus-visible'));
    for (let presses = 0; presses < 12 && (await focused.count()) === 0; presses += 1) await page.keyboard.press('Tab');
    expect(await focused.count(), `Tab does not lead to ${String(name)}`).toBe(1);
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
    await page.keyboard.press('Enter');
  }

  test('it is bought and paid for with the keyboard alone', async () => {
    const saleId = await openSale('Without a mouse', 'BY-KEYBOARD');
    const page = await newPerson();
    await page.goto(`${target.url}/#${saleId}/BY-KEYBOARD`);
    await says(page, 'sku', 'BY-KEYBOARD');
    await pressByKeyboard(page, 'Buy one');
    await is(page, 'RESERVED', 'PAYMENT_PENDING');
    await pressByKeyboard(page, /^Pay /);
    await is(page, 'CONFIRMED');
    await says(page, 'headline', '1 of 1 sold');
  });

  test('on a telephone of 390 px nothing has to be scrolled sideways', async () => {
    const saleId = await openSale('Unbreakable'.repeat(18), 'NARROW');
    const page = await newPerson({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
    const overflow = async (): Promise<unknown> =>
      page.evaluate('document.documentElement.scrollWidth - window.screen.width');
    await page.goto(`${target.url}/#${saleId}/NARROW`);
    await says(page, 'headline', '0 of 1 sold');
    expect(await overflow()).toBe(0);
    await button(page, 'Buy one').tap();
    await button(page, /^Pay /).waitFor();
    expect(await overflow()).toBe(0);
    await button(page, /^Pay /).tap();
    await is(page, 'CONFIRMED');
    expect(await overflow()).toBe(0);
  });

  test('it comes back by itself when the server was killed', async () => {
    const pid = target.processes().find(({ name: process }) => process === 'api-1')?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await ben.locator('body:not([data-connection=live])').waitFor();
    await isConnected(ben);
    await is(ben, 'CONFIRMED');
  });
});
