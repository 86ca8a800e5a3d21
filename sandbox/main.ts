// Starts the payment sandbox as a process of its own: configuration in, one listening server, an orderly end on SIGTERM.
// Under a supervisor it says {type:'ready'} when it listens.
import { loadConfig } from '../core/config.ts';
import { createLog } from '../core/log.ts';
import { createSandbox } from './sandbox.ts';

const config = loadConfig();
const log = createLog(config, 'sandbox');
const { secretKey, webhookSecret } = config.stripe;
if (secretKey === undefined || webhookSecret === undefined) {
  log.fatal('The sandbox needs STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET: `npm start` makes them, or set any two.');
  process.exit(1);
}
const webhookUrl = config.sandboxWebhookUrl ?? `http://127.0.0.1:${config.port}/api/v1/payments/webhook`;
const sandbox = await createSandbox({
  port: config.sandboxPort,
  host: config.sandboxHost,
  secretKey,
  webhookSecret,
  webhookUrl,
  dataDir: config.dataDir,
});
log.info({ url: sandbox.url, webhookUrl }, 'payment sandbox listens');
process.send?.({ type: 'ready' });

let isStopping = false;
const stop = () => {
  if (isStopping) return;
  isStopping = true;
  sandbox.close().then(
    () => process.exit(0),
    (error: unknown) => {
      log.error({ err: error }, 'payment sandbox could not stop in order');
      process.exit(1);
    },
  );
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
// A supervisor that died takes its channel with it: without this the sandbox would stay behind, alone.
if (process.send !== undefined) process.on('disconnect', stop);
