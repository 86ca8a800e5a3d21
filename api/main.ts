// The entry of an API process: configuration in, SIGTERM out. A supervisor hears `{type: 'ready'}` when it serves.
import { configWarnings, loadConfig, requireRuntime, type RuntimeConfig } from '../core/config.ts';
import { messageOf } from '../core/errors.ts';
import { createLog } from '../core/log.ts';
import { startApi } from './api.ts';

const config = readConfig();
const log = createLog(config, 'api');
for (const warning of configWarnings(config)) log.warn(warning);

// What nobody caught is a bug of ours: say it, and leave the restart to the supervisor, with nothing half done.
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'uncaught');
  process.exit(1);
});

const api = await startApi(config, log);
log.info({ port: api.port }, 'serving');
process.send?.({ type: 'ready' });

/** What is wrong with the configuration is for people: said in full, without a stack. */
function readConfig(): RuntimeConfig {
  try {
    return requireRuntime(loadConfig());
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return process.exit(1);
  }
}

let isStopping = false;
function stop(signal: string): void {
  if (isStopping) return;
  isStopping = true;
  log.info({ signal }, 'stopping');
  api.close().then(
    () => process.exit(0),
    (error: unknown) => {
      log.error({ err: error }, 'did not stop in order');
      process.exit(1);
    },
  );
}
process.on('SIGTERM', () => stop('SIGTERM'));
process.on('SIGINT', () => stop('SIGINT'));
