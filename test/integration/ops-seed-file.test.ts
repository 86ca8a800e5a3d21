import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSeedFile } from '../../scripts/ops/seed-file.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';
import { createAuthenticator } from '../../api/auth.ts';
import { systemClock } from '../../core/clock.ts';
import { temporaryDirectory } from '../support/stack.ts';

function fileOf(name: string, content: string): string {
  const file = join(temporaryDirectory('seed'), name);
  writeFileSync(file, content);
  return file;
}

const read = (file: string) => readSeedFile(file, { defaultCurrency: 'INR', onProgress: () => undefined });
const list = (errors: readonly { line: number; field: string; message: string }[]) =>
  errors.map(({ line, field, message }) => `${line} ${field}: ${message}`);

describe('a stock file', () => {
  it('is read whatever the order of its columns, with the currency it does not name', async () => {
    const file = fileOf('a.csv', '\uFEFFPrice,SKU,Stock\r\n499.50,"A-1",10\r\n\r\n7,A-2,0\r\n');
    const { rows, errors } = await read(file);
    expect(errors).toEqual([]);
    expect(rows).toEqual([
      { line: 2, sku: 'A-1', stock: 10, price: 499.5, currency: 'INR', sale: '' },
      { line: 4, sku: 'A-2', stock: 0, price: 7, currency: 'INR', sale: '' },
    ]);
  });

  it('may be separated by semicolons, or be JSON', async () => {
    const csv = await read(fileOf('a.csv', 'sku;stock;price;currency;sale\nA;1;2.50;EUR;Evening\n'));
    const json = await read(fileOf('a.json', '[{"sku":"A","stock":1,"price":2.5,"currency":"EUR","sale":"Evening"}]'));
    const row = { sku: 'A', stock: 1, price: 2.5, currency: 'EUR', sale: 'Evening' };
    expect(csv.rows).toEqual([{ ...row, line: 2 }]);
    expect(json.rows).toEqual([{ ...row, line: 1 }]);
    expect(csv.hash).not.toBe(json.hash);
  });

  it('has every bad row named with its line and field, and the good ones kept', async () => {
    const lines = [
      'A,5,10.00',
      'B C,5,10',
      'D,-3,10',
      'E,x12,10',
      'F,5,10.999',
      'A,7,10',
      'G,,10',
      '"H,5,10',
      'I,5,10,extra',
      'J,1.5,10',
      'K,5,10',
    ];
    const { rows, errors } = await read(fileOf('bad.csv', `sku,stock,price\n${lines.join('\n')}\n`));
    expect(rows.map(({ sku }) => sku)).toEqual(['A', 'K']);
    expect(list(errors)).toEqual([
      '3 sku: must be 1 to 64 letters, digits, dots, dashes or underscores',
      expect.stringMatching(/^4 stock: too small/),
      '5 stock: "x12" is not a number',
      '6 price: has more decimals than INR has',
      '7 sku: A is on line 2 already',
      '8 stock: is missing',
      expect.stringMatching(/^9 : cannot be read: Quote Not Closed/),
      '10 : has 4 fields, the header has 3',
      expect.stringMatching(/^11 stock: /),
    ]);
  });

  it('is refused as a whole where its header or form is wrong', async () => {
    await expect(read(fileOf('a.csv', 'sku,quantity,price\nA,1,2\n'))).rejects.toThrow(/stock not found/);
    await expect(read(fileOf('a.csv', 'sku,stock,price,color\nA,1,2,red\n'))).rejects.toThrow(/color mean nothing/);
    await expect(read(fileOf('a.csv', ''))).rejects.toThrow(/header/);
    await expect(read(fileOf('a.json', '{"sku":"A"}'))).rejects.toThrow(/JSON array/);
    await expect(read(fileOf('a.json', '[1'))).rejects.toThrow(/cannot be read/);
    await expect(read('/nowhere/a.csv')).rejects.toMatchObject({ exitCode: 2 });
    expect((await read(fileOf('a.json', '[1]'))).errors).toHaveLength(1);
  });

  it('of 100,000 rows is checked in pieces, and lines are counted through all of them', async () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => `BIG-${i},${i % 50},${i % 900}.50,INR`);
    lines[77_777] = 'BIG-77777,many,1.00,INR';
    lines[99_999] = 'BIG-5,1,1.00,INR';
    let pieces = 0;
    const { rows, errors } = await readSeedFile(fileOf('big.csv', `sku,stock,price,currency\n${lines.join('\n')}`), {
      defaultCurrency: 'INR',
      onProgress: (done) => {
        pieces = done;
      },
    });
    expect(rows).toHaveLength(99_998);
    expect(list(errors)).toEqual(['77779 stock: "many" is not a number', '100001 sku: BIG-5 is on line 7 already']);
    expect(pieces).toBe(20);
  });
});

describe('minted tokens', () => {
  it('are one a user in their order, let in by the door, in threads or not', async () => {
    const secret = 'a secret of more than thirty-two characters';
    const door = createAuthenticator(secret, systemClock);
    for (const count of [3, 2_500]) {
      const userIds = Array.from({ length: count }, (_, i) => `u_${i}`);
      const tokens = await mintTokens(userIds, 'ADMIN', secret, { lifeSeconds: 60 });
      expect(new Set(tokens).size).toBe(count);
      const callers = tokens.map((token) => door.verify(token));
      expect(callers.map((who) => (who.kind === 'caller' ? who.caller.userId : who.code))).toEqual(userIds);
      expect(callers[0]).toMatchObject({ kind: 'caller', caller: { role: 'ADMIN' } });
    }
  });
});
