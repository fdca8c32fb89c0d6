import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { InputError } from '@millrace/domain';
import { ValidationError } from './problem.js';

export interface JsonBodyRule {
  /** Paths that begin so, or match; an expression goes before a text, a longer text before a shorter one. */
  readonly path: string | RegExp;
  readonly limitBytes?: number;
  /** The body is text of this media type, such as `text/csv`, and stays a string. */
  readonly text?: string;
  /** Instead of `JSON.parse`, e.g. to keep every digit of numbers. A SyntaxError becomes a 400. */
  readonly parse?: (text: string) => unknown;
}

export interface JsonBodyOptions {
  /** For paths without a rule. Default 1 MiB. */
  readonly limitBytes?: number;
  readonly rules?: readonly JsonBodyRule[];
  /** Brackets inside brackets; deeper bodies would exhaust the stack of recursive schemas. Default 100. */
  readonly maxDepth?: number;
}

/** Reads JSON bodies as text within a size limit and parses them; anything wrong is an `InputError`. */
export function jsonBodies(options: JsonBodyOptions): RequestHandler {
  const maxDepth = options.maxDepth ?? 100;
  const rules = [...(options.rules ?? [])].sort((a, b) => precedence(b.path) - precedence(a.path));
  const readers = new Map<string, RequestHandler>();
  const readerOf = (limitBytes: number, text: string | undefined): RequestHandler => {
    const type = text ?? ['application/json', 'application/*+json'];
    const name = `${text ?? 'json'} ${limitBytes}`;
    const reader = readers.get(name) ?? express.text({ type, limit: limitBytes });
    readers.set(name, reader);
    return reader;
  };
  return (request: Request, response: Response, next: NextFunction) => {
    const rule = rules.find(({ path }) =>
      typeof path === 'string' ? request.path.startsWith(path) : path.test(request.path),
    );
    const limitBytes = rule?.limitBytes ?? options.limitBytes ?? 1024 * 1024;
    void readerOf(limitBytes, rule?.text)(request, response, (error?: unknown) => {
      if (error !== undefined && error !== null) return next(readError(error, limitBytes));
      if (typeof request.body !== 'string') {
        const hasBody =
          Number(request.headers['content-length'] ?? 0) > 0 || request.headers['transfer-encoding'] !== undefined;
        return next(
          hasBody
            ? new InputError('unsupported-content-type', `send the body as ${rule?.text ?? 'application/json'}`, {
                at: 'content-type',
              })
            : undefined,
        );
      }
      if (rule?.text !== undefined) return next();
      try {
        if (depthOf(request.body) > maxDepth) throw new SyntaxError('too deep');
        request.body = request.body === '' ? undefined : (rule?.parse ?? JSON.parse)(request.body);
      } catch (parseError) {
        return next(syntaxError(parseError, maxDepth));
      }
      next();
    });
  };
}

function precedence(path: string | RegExp): number {
  return typeof path === 'string' ? path.length : Number.MAX_SAFE_INTEGER;
}

function readError(error: unknown, limitBytes: number): unknown {
  const type = error instanceof Error && 'type' in error ? String(error.type) : '';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (type === 'entity.too.large')
    return new InputError('body-too-large', `the body is larger than ${limitBytes} bytes: send it in parts`);
  if (type !== '' || code.startsWith('Z_'))
    return new InputError('invalid-body', 'the body cannot be read: check its length, encoding and charset (UTF-8)');
  return error;
}

// V8's message quotes the text around the fault; only the position is passed on.
function syntaxError(error: unknown, maxDepth: number): unknown {
  if (!(error instanceof SyntaxError)) return error;
  if (error.message === 'too deep')
    return new ValidationError([{ field: '', message: `the JSON nests deeper than ${maxDepth} levels` }]);
  const position = /at (?:line \d+ column \d+|position \d+)/.exec(error.message)?.[0];
  return new InputError('invalid-json', `the body is not valid JSON${position === undefined ? '' : ` (${position})`}`);
}

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charCodeAt(index);
    if (inString) {
      if (character === 0x5c) index += 1;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x7b || character === 0x5b) deepest = Math.max(deepest, (depth += 1));
    else if (character === 0x7d || character === 0x5d) depth -= 1;
  }
  return deepest;
}
