// What all verbs have in common: `--json`, how an outcome is printed, and which exit code it has. With --json there is
// exactly one JSON document on stdout, errors included; words for people and progress go to stderr or not at all.
import type { Command } from 'commander';
import { ConfigError } from '../../core/config.ts';
import { CodedError, messageOf } from '../../core/errors.ts';

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

export interface Outcome {
  /** With --json. */
  readonly json: unknown;
  /** Else. */
  readonly text: string;
  /** False: the exit code is 1. */
  readonly ok?: boolean;
}

/** A failure with a sentence for the operator; anything else that is thrown is a defect and shows its stack. */
export class OpsFailure extends Error {
  override readonly name = 'OpsFailure';
  readonly exitCode: number;
  /** Goes into the JSON document beside the message. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}, exitCode = EXIT_FAILED) {
    super(message);
    this.details = details;
    this.exitCode = exitCode;
  }
}

export interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
}

/** A command under `parent` with --json; `usesApi` adds --url. */
export function verb(parent: Command, usage: string, description: string, usesApi = false): Command {
  const command = parent
    .command(usage)
    .description(description)
    .option('--json', 'one JSON document on stdout, nothing else');
  return usesApi ? command.option('--url <url>', "the API's address, such as https://shop.example") : command;
}

/** Runs a verb's work and says how it went. Sets the exit code instead of exiting, so that all output gets out. */
export async function perform(options: CommonOptions, work: () => Promise<Outcome>): Promise<void> {
  try {
    const { json, text, ok = true } = await work();
    process.stdout.write(`${options.json ? JSON.stringify(json, undefined, 2) : text}\n`);
    if (!ok) process.exitCode = EXIT_FAILED;
  } catch (error) {
    const failure = toFailure(error);
    process.exitCode = failure.exitCode;
    if (options.json) {
      process.stdout.write(
        `${JSON.stringify({ error: { message: failure.message, ...failure.details } }, undefined, 2)}\n`,
      );
    } else {
      process.stderr.write(`ops: ${failure.message}\n`);
    }
  }
}

function toFailure(error: unknown): OpsFailure {
  if (error instanceof OpsFailure) return error;
  if (error instanceof ConfigError) return new OpsFailure(error.message, { problems: error.problems }, EXIT_USAGE);
  if (error instanceof CodedError) return new OpsFailure(error.detail, { code: error.code });
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === 'ECONNREFUSED')
    return new OpsFailure('the database cannot be reached: is the system running?', { code });
  if (code === undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return new OpsFailure(messageOf(error), code === undefined ? {} : { code });
}
