// A progress bar on stderr, only where a person looks at a terminal; elsewhere nothing is written.
import { SingleBar } from 'cli-progress';

export interface Progress {
  /** `label` says what is being done now. */
  update(done: number, total: number, label: string): void;
  stop(): void;
}

export function startProgress(): Progress {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    stream: process.stderr,
    format: '{bar} {percentage}% {label}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    fps: 10,
  });
  let isStarted = false;
  return {
    update(done, total, label) {
      if (!isStarted) bar.start(total, done, { label });
      isStarted = true;
      bar.setTotal(Math.max(1, total));
      bar.update(done, { label });
    },
    stop() {
      if (isStarted) bar.stop();
    },
  };
}
