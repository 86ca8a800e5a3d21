// What a buyer of the rush hears over a socket, against what the same buyer knows from elsewhere.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { systemClock } from '../../core/clock.ts';
import type { Purchase } from '../../scripts/rush/answers.ts';
import { createSocketDoor, type SocketDoor } from '../../scripts/rush/socket-door.ts';
import { createTraffic } from '../../scripts/rush/traffic.ts';
import { createWheel } from '../../scripts/rush/wheel.ts';

const wheel = createWheel(systemClock);
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const buyer = {
  ...{ index: 7, userId: 'u_7', token: 't', key: 'k', pressesAtMs: 0, isPaying: true, isOnSocket: true, thinkMs: 0 },
};
const purchase = (version: number, status: Purchase['status']): Purchase => ({
  ...{ purchaseId: 'pur_1', ticket: 1, version, status },
});
const secret = { clientSecret: 'pi_1_secret_2', status: 'requires_payment_method' };

async function openDoor(): Promise<{ door: SocketDoor; told: WebSocket }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const connected = new Promise<WebSocket>((resolve) => server.once('connection', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const door = createSocketDoor(buyer, { url, offer: { saleId: 's', sku: 'A' }, wheel, traffic: createTraffic() });
  await door.open();
  const told = await connected;
  closing.push(
    () => door.close(),
    () => server.close(),
  );
  return { door, told };
}

it('takes the secret that was told of an older state, once, and then waits again', async () => {
  const { door, told } = await openDoor();
  const bought = door.buy();
  told.send(JSON.stringify({ type: 'purchase', id: buyer.index, ...purchase(1, 'RESERVED') }));
  await bought;
  told.send(JSON.stringify({ type: 'payment', purchaseId: 'pur_1', ...secret }));
  // A look over HTTP was ahead of both.
  const known = purchase(2, 'PAYMENT_PENDING');
  const news = await door.news(known, 5_000);
  expect(news).toEqual({ ...known, payment: secret });
  expect(await door.news({ ...known, payment: secret }, 20)).toBeUndefined();
});

it('has no news of a state that is older than what is known', async () => {
  const { door, told } = await openDoor();
  const bought = door.buy();
  told.send(JSON.stringify({ type: 'purchase', id: buyer.index, ...purchase(1, 'RESERVED'), payment: secret }));
  await bought;
  expect(await door.news({ ...purchase(3, 'EXPIRED'), payment: secret }, 20)).toBeUndefined();
});
