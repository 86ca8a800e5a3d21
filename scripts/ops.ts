// `npm run ops -- <verb>`: the operators' command line. Here is the list of verbs; each is a file of its own in ops/, and
// only those of the group that is asked for are loaded: the libraries behind them take longer than most verbs.
// Exit codes: 0 done, 1 failed or (audit) something does not agree, 2 the command line or the environment is wrong.
import { Command } from 'commander';
import { EXIT_USAGE } from './ops/verb.ts';

interface Group {
  readonly description: string;
  register(program: Command): Promise<void>;
}

const GROUPS: Readonly<Record<string, Group>> = {
  sale: {
    description: 'Creates, opens, pauses, closes and shows sales.',
    async register(program) {
      const { registerSale } = await import('./ops/sale.ts');
      registerSale(program.command('sale').description(this.description));
    },
  },
  stock: {
    description: 'Fills sales with stock and shows what is left.',
    async register(program) {
      const { registerStock } = await import('./ops/stock.ts');
      registerStock(program.command('stock').description(this.description));
    },
  },
  audit: {
    description: 'Checks that stock, purchases, orders, ledger and payments agree. Changes nothing.',
    async register(program) {
      (await import('./ops/audit.ts')).registerAudit(program, this.description);
    },
  },
  rebuild: {
    description: 'Builds what Redis has lost again from Postgres, while it is fenced.',
    async register(program) {
      (await import('./ops/rebuild.ts')).registerRebuild(program, this.description);
    },
  },
  dead: {
    description: 'What the workers gave up: looks, tries again, drops.',
    async register(program) {
      const { registerDead } = await import('./ops/dead.ts');
      registerDead(program.command('dead').description(this.description));
    },
  },
  payments: {
    description: 'What was decided about payments and why; compares with the provider; retries refunds.',
    async register(program) {
      const { registerPayments } = await import('./ops/payments.ts');
      registerPayments(program.command('payments').description(this.description));
    },
  },
  token: {
    description: 'Makes access tokens.',
    async register(program) {
      (await import('./ops/token.ts')).registerToken(program, this.description);
    },
  },
};

const HELP = `
Which system: DATABASE_URL, REDIS_URL and JWT_SECRET where they are set, else the one that "npm start" runs on DATA_DIR (.data).
What changes something goes through its HTTP API (--url where it is not on this machine's PORT), with an admin token made here.
Exit codes: 0 done, 1 failed or something does not agree, 2 the command line or the environment is wrong.`;

const program = new Command('ops')
  .description('Runs sales: creates and opens them, fills them with stock, and checks that every record agrees.')
  .showHelpAfterError('(add --help for the options)')
  .exitOverride((error) => {
    // --help arrives here too, with code 0. No word at all is a question as well; everything else is the command line's fault.
    process.exit(error.exitCode === 0 || process.argv.length <= 2 ? 0 : EXIT_USAGE);
  })
  .addHelpText('after', HELP);

const asked = process.argv
  .slice(2)
  .filter((word) => word !== 'help')
  .at(0);
for (const [name, group] of Object.entries(GROUPS)) {
  if (name === asked) await group.register(program);
  else program.command(name).description(group.description);
}
await program.parseAsync();
