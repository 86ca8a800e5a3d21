// Networks that break between the API and its stores. Only the API's connections pass through the proxies: the workers
// stay connected, so that what is seen is the network's doing and not a store's.
import type { Fault, Scene } from './fault.ts';
import { SLOW_MS, type Weather } from './proxy.ts';
import type { Line } from './stage.ts';

const LASTS_MS = 3_000;

interface Storm {
  weather: Weather;
  name: string;
  title: string;
  isQuick?: boolean;
}

const STORMS: readonly Storm[] = [
  { weather: 'cut', name: 'cut', title: 'connections reset and refused' },
  { weather: 'hole', name: 'black-hole', title: 'bytes held back both ways, nothing closed', isQuick: true },
  { weather: 'slow', name: 'slow', title: `every message takes ${SLOW_MS} ms longer each way` },
  { weather: 'deaf', name: 'one-way', title: 'what is asked arrives, every answer is lost' },
];

function storm(line: Line, called: string, { weather, name, title, isQuick = false }: Storm): Fault {
  return {
    name: `net-${line}-${name}`,
    title: `API to ${called}, ${LASTS_MS / 1_000} s: ${title}`,
    stage: 'proxied',
    isQuick: isQuick && line === 'redis',
    async play({ stage, wait }: Scene) {
      stage.line(line).set(weather);
      await wait(LASTS_MS);
      stage.line(line).set('pass');
    },
    mend: ({ stage }) => stage.line(line).set('pass'),
  };
}

export const networkFaults: readonly Fault[] = [
  ...STORMS.map((one) => storm('redis', 'Redis', one)),
  ...STORMS.filter(({ weather }) => weather === 'cut' || weather === 'hole').map((one) =>
    storm('postgres', 'Postgres', one),
  ),
];
