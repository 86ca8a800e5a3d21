// A real browser for tests of pages: a headless Chromium of the machine, spoken to over its DevTools protocol. No driver
// is installed for it; where there is no Chromium, `findBrowser` says so and the test is skipped.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { WebSocket } from 'ws';
import { sleep } from '../../core/clock.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];
const WAIT_MS = 20_000;
const POLL_MS = 50;

export function findBrowser(): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter);
  return NAMES.flatMap((name) => places.map((place) => join(place, name))).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface Page {
  /** The value of an expression in the page, once a promise has settled. */
  evaluate(expression: string): Promise<unknown>;
  /** Waits until the expression is truthy. */
  until(expression: string): Promise<void>;
  click(selector: string): Promise<void>;
  reload(): Promise<void>;
  /** PNG, base64. */
  screenshot(): Promise<string>;
  emulate(features: { width: number; height: number; isDark: boolean }): Promise<void>;
  /** What the page wrote to its console as an error, what it threw, and what its policy refused. */
  readonly complaints: readonly string[];
}

export interface Browser {
  open(url: string): Promise<Page>;
  close(): Promise<void>;
}

type Reply = { id?: number; method?: string; sessionId?: string; params?: unknown; result?: unknown; error?: unknown };

export async function startBrowser(program: string, profile: string): Promise<Browser> {
  const child = spawn(
    program,
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'],
      ...['--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const address = await new Promise<string>((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const found = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`${program} ended: ${said}`)));
    child.once('error', reject);
  });
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));

  let lastId = 0;
  const waiting = new Map<number, (reply: Reply) => void>();
  const listeners = new Map<string, (method: string, params: unknown) => void>();
  socket.on('message', (data) => {
    // One Buffer, unless ws is told otherwise, with the protocol's own envelope in it.
    const reply = JSON.parse((data as Buffer).toString()) as Reply;
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
    else if (reply.sessionId !== undefined) listeners.get(reply.sessionId)?.(reply.method ?? '', reply.params);
  });

  function send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    lastId += 1;
    const id = lastId;
    socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    return new Promise((resolve, reject) => {
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id);
        // Each caller names the shape of the reply that the protocol documents for its method.
        if (error === undefined) resolve(result as T);
        else reject(new Error(`${method}: ${JSON.stringify(error)}`));
      });
    });
  }

  return {
    async open(url) {
      const { targetId } = await send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' });
      const { sessionId } = await send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true });
      const complaints: string[] = [];
      listeners.set(sessionId, (method, params) => {
        const isError = method === 'Log.entryAdded' && /"level":"error"/.test(JSON.stringify(params));
        if (isError || method === 'Runtime.exceptionThrown') complaints.push(JSON.stringify(params));
      });
      const page = createPage((method, params) => send(method, params, sessionId), complaints);
      for (const domain of ['Page', 'Runtime', 'Log']) await send(`${domain}.enable`, {}, sessionId);
      await send('Page.navigate', { url }, sessionId);
      await page.until('document.readyState === "complete"');
      return page;
    },
    async close() {
      socket.close();
      if (child.exitCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}

type Send = <T>(method: string, params?: object) => Promise<T>;

function createPage(send: Send, complaints: readonly string[]): Page {
  async function evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await send<{ result: { value?: unknown }; exceptionDetails?: unknown }>(
      'Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true },
    );
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  }
  return {
    evaluate,
    async until(expression) {
      for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += POLL_MS) {
        // Between two documents there is nothing to evaluate in.
        if (await evaluate(expression).catch(() => false)) return;
        await sleep(POLL_MS);
      }
      const text = await evaluate('document.body.innerText');
      throw new Error(`never true: ${expression}\n${String(text)}`);
    },
    async click(selector) {
      await evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
    },
    async reload() {
      await evaluate('window.isOld = true');
      await send('Page.reload');
      await this.until('!window.isOld && document.readyState === "complete"');
    },
    async screenshot() {
      const { data } = await send<{ data: string }>('Page.captureScreenshot', { captureBeyondViewport: true });
      return data;
    },
    async emulate({ width, height, isDark }) {
      await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
      const features = [{ name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' }];
      await send('Emulation.setEmulatedMedia', { features });
    },
    complaints,
  };
}
